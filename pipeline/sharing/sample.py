"""The sample: one image with its expected result, which shows that the bundle works as sent."""

import io
import json
import tempfile
import warnings
from collections.abc import Mapping
from contextlib import redirect_stdout
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np
import tifffile
import yaml
from monai.bundle import ConfigParser

from pipeline.data.phantom import cells
from pipeline.data.pixels import Pixels
from pipeline.data.readers import read_pixels
from pipeline.inference.formats import save_volume
from pipeline.sharing.archive import RefusedError

IMAGE_SIDE_PIXELS, VOLUME_SIDE_VOXELS = 256, 32
"""Length of each side of a synthetic image, and of a synthetic volume."""
IMAGE, PROBABILITY, MASK = "image", "probability", "mask"
TOLERANCE = 1e-5
"""Largest accepted difference of a probability between two machines of the same kind."""


class SampleAgreement(NamedTuple):
    """The comparison of a result with the expected one.

    Attributes:
        difference: largest absolute difference of a probability.
        dice: Dice of the two masks; 1 if both are empty.
    """

    difference: float
    dice: float

    @property
    def enough(self) -> bool:
        """Whether both results count as the same."""
        return self.difference <= TOLERANCE and self.dice == 1.0


def sample_files(bundle_files: Mapping[str, bytes], image: Path | None) -> dict[str, bytes]:
    """Run a packed bundle on one image; return the image and its result, by path in the bundle.

    Args:
        bundle_files: configs and weights, by path.
        image: file of an image, of which only the pixels are packed, as TIFF or NIfTI; None: a
            synthetic image.
    """
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for path, content in bundle_files.items():
            if PurePosixPath(path).parts[0] in ("configs", "models", "docs"):
                (root / path).parent.mkdir(parents=True, exist_ok=True)
                (root / path).write_bytes(content)
        pixels = _synthetic_pixels(bundle_files) if image is None else read_pixels(image)
        name = _write(root / "in", pixels)
        config = yaml.safe_load(bundle_files["configs/inference.yaml"])
        _infer(config, root, root / "in", root / "out")
        paths = {
            IMAGE: root / "in" / name,
            PROBABILITY: root / "out" / PROBABILITY / name,
            MASK: root / "out" / MASK / name,
        }
        suffix = ".nii.gz" if name.endswith(".nii.gz") else ".tif"
        return {f"sample/{name}{suffix}": path.read_bytes() for name, path in paths.items()}


def compare_sample(expected: Path, output: Path) -> SampleAgreement:
    """Compare a result with the expected one.

    Args:
        expected: the bundle's folder ``sample``.
        output: folder to which the inference of the sample's image wrote.

    Raises:
        RefusedError: the results differ in size, or cannot be read.
    """
    image = next(expected.glob(f"{IMAGE}.*"))
    suffix = image.name.removeprefix(IMAGE)
    try:
        arrays = {
            name: tuple(
                read_pixels(path).array.astype(np.float64)
                for path in (expected / f"{name}{suffix}", output / name / image.name)
            )
            for name in (PROBABILITY, MASK)
        }
    except (OSError, ValueError) as error:
        raise RefusedError("sample", str(error), "cannot be compared") from None
    for name, (reference, result) in arrays.items():
        if result.shape != reference.shape:
            raise RefusedError(name, f"{result.shape} pixels", f"expected {reference.shape}")
    reference_mask, mask = (array > 0 for array in arrays[MASK])
    total = int(reference_mask.sum() + mask.sum())
    dice = 2 * int((reference_mask & mask).sum()) / total if total else 1.0
    return SampleAgreement(float(np.abs(np.subtract(*arrays[PROBABILITY])).max()), dice)


def _synthetic_pixels(files: Mapping[str, bytes]) -> Pixels:
    """Return a synthetic image of cells, with the channels that the metadata state, or a volume."""
    metadata = json.loads(files["configs/metadata.json"])
    config = yaml.safe_load(files["configs/train.yaml"])
    channels = metadata["network_data_format"]["inputs"]["image"]["num_channels"]
    rng = np.random.default_rng(0)
    if config["spatial_dims"] == 3:
        volume = rng.normal(size=(VOLUME_SIDE_VOXELS,) * 3).cumsum(0).cumsum(1).astype(np.float32)
        return Pixels(volume, np.eye(4))
    grey = cells(IMAGE_SIDE_PIXELS, rng)[0]
    return Pixels(grey if channels == 1 else np.stack([grey] * channels, axis=-1), None)


def _write(folder: Path, pixels: Pixels) -> str:
    folder.mkdir()
    if pixels.affine is not None:
        save_volume(folder / "image.nii.gz", pixels.array, pixels.affine)
        return "image.nii.gz"
    kind = "rgb" if pixels.channels in (3, 4) else "minisblack"
    tifffile.imwrite(folder / "image.tif", pixels.array, photometric=kind)
    return "image.tif"


def _infer(config: dict[str, Any], root: Path, image_dir: Path, out: Path) -> None:
    """Run the evaluator of an inference config in this process, without starting a tracked run."""
    overrides = {"bundle_root": str(root), "image_dir": str(image_dir), "output_dir": str(out)}
    parser = ConfigParser({**config, **overrides, "device": "cpu"})
    with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")  # MONAI's readers warn of packages that are not needed here
        parser.get_parsed_content("evaluator").run()
