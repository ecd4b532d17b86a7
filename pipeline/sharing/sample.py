"""One image with what is expected of it: it shows that nothing was lost on the way."""

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

from pipeline.data.image_statistics import Pixels, read_pixels
from pipeline.data.phantom import cells
from pipeline.inference.formats import save_volume
from pipeline.sharing.archive import RefusedError

SIDE, DEPTH = 256, 32
"""Pixels of a made image, and voxels along each axis of a made volume."""
IMAGE, PROBABILITY, MASK = "image", "probability", "mask"
TOLERANCE = 1e-5
"""Largest difference of a probability between two machines of one kind."""


class SampleAgreement(NamedTuple):
    """How a result compares with what is expected.

    Attributes:
        difference: largest between two probabilities.
        dice: of the two masks; 1 where both are empty.
    """

    difference: float
    dice: float

    @property
    def enough(self) -> bool:
        """Whether it is the same result."""
        return self.difference <= TOLERANCE and self.dice == 1.0


def sample_files(bundle_files: Mapping[str, bytes], image: Path | None) -> dict[str, bytes]:
    """Run a packed bundle on one image, and return both for ``sample/``.

    Args:
        bundle_files: configs and weights, by path.
        image: given explicitly; None: one is made. Its pixels alone are packed, as TIFF or NIfTI.
    """
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for path, content in bundle_files.items():
            if PurePosixPath(path).parts[0] in ("configs", "models", "docs"):
                (root / path).parent.mkdir(parents=True, exist_ok=True)
                (root / path).write_bytes(content)
        pixels = _made(bundle_files) if image is None else read_pixels(image)
        name = _write(root / "in", pixels)
        config = yaml.safe_load(bundle_files["configs/inference.yaml"])
        _infer(config, root, root / "in", root / "out")
        found = {
            IMAGE: root / "in" / name,
            PROBABILITY: root / "out" / PROBABILITY / name,
            MASK: root / "out" / MASK / name,
        }
        suffix = ".nii.gz" if name.endswith(".nii.gz") else ".tif"
        return {f"sample/{what}{suffix}": path.read_bytes() for what, path in found.items()}


def compare_sample(expected: Path, found: Path) -> SampleAgreement:
    """Compare a result with the expected one.

    Args:
        expected: the bundle's folder ``sample``.
        found: where the inference of its image wrote.

    Raises:
        RefusedError: they are of different sizes, or cannot be read.
    """
    image = next(expected.glob(f"{IMAGE}.*"))
    suffix = image.name.removeprefix(IMAGE)
    try:
        arrays = {
            what: tuple(
                read_pixels(path).array.astype(np.float64)
                for path in (expected / f"{what}{suffix}", found / what / image.name)
            )
            for what in (PROBABILITY, MASK)
        }
    except (OSError, ValueError) as error:
        raise RefusedError("sample", str(error), "cannot be compared") from None
    for what, (one, other) in arrays.items():
        if one.shape != other.shape:
            raise RefusedError(what, f"{other.shape} pixels", f"expected {one.shape}")
    before, after = (array > 0 for array in arrays[MASK])
    total = int(before.sum() + after.sum())
    dice = 2 * int((before & after).sum()) / total if total else 1.0
    return SampleAgreement(float(np.abs(np.subtract(*arrays[PROBABILITY])).max()), dice)


def _made(files: Mapping[str, bytes]) -> Pixels:
    """Make an image of cells, of the number format and channels that the metadata name."""
    metadata = json.loads(files["configs/metadata.json"])
    config = yaml.safe_load(files["configs/train.yaml"])
    channels = metadata["network_data_format"]["inputs"]["image"]["num_channels"]
    rng = np.random.default_rng(0)
    if config["spatial_dims"] == 3:
        volume = rng.normal(size=(DEPTH,) * 3).cumsum(0).cumsum(1).astype(np.float32)
        return Pixels(volume, np.eye(4))
    grey = cells(SIDE, rng)[0]
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
    """Run the evaluator of an inference config here, without what a run of its own would change."""
    here = {"bundle_root": str(root), "image_dir": str(image_dir), "output_dir": str(out)}
    parser = ConfigParser({**config, **here, "device": "cpu"})
    with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")  # of MONAI's readers, on packages that nothing here needs
        parser.get_parsed_content("evaluator").run()
