"""The sample: one image with its expected result, which shows that the bundle works as sent."""

import io
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import tifffile
import yaml
from monai.bundle import ConfigParser
from numpy.typing import NDArray

from pipeline.data.pixels import Pixels, format_maximum
from pipeline.data.readers import read_case
from pipeline.inference import infer
from pipeline.inference.formats import save_volume
from pipeline.sharing.sample_results import IMAGE, INSTANCES, result_folders
from pipeline.sharing.synthetic import synthetic_pixels

EXACT_BITS = 32
"""Bits in which an inference of the sample writes its probabilities."""


def sample_files(bundle_files: Mapping[str, bytes], images: Sequence[Path]) -> dict[str, bytes]:
    """Run a packed bundle on one image; return the image and its result, by path in the bundle.

    Args:
        bundle_files: configs and weights, by path.
        images: file of an image, or the files of one case with several, of which only the pixels
            and their place are packed, as TIFF or NIfTI; none: a synthetic image.

    Raises:
        ValueError: the bundle cannot infer the image.
    """
    config = yaml.safe_load(bundle_files["configs/inference.yaml"])
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for path, content in bundle_files.items():
            if PurePosixPath(path).parts[0] in ("configs", "models", "docs"):
                (root / path).parent.mkdir(parents=True, exist_ok=True)
                (root / path).write_bytes(content)
        pixels = read_case([str(path) for path in images]) if images else _synthetic(config, root)
        name = write_image(root / "in", pixels)
        _infer(config, root, root / "in", root / "out")
        results = {
            result: root / "out" / place / name for result, place in result_folders(config).items()
        }
        suffix = name.removeprefix(IMAGE)
        return {
            f"sample/{result}{suffix}": path.read_bytes()
            for result, path in ({IMAGE: root / "in" / name} | results).items()
            if result != INSTANCES or path.is_file()
        }


def _synthetic(config: Mapping[str, Any], root: Path) -> Pixels:
    parser = ConfigParser({**config, "bundle_root": str(root)})
    dims, channels, preprocessing = (
        parser.get_parsed_content(key) for key in ("spatial_dims", "in_channels", "preprocessing")
    )
    return synthetic_pixels(dims, channels, preprocessing.transforms)


def write_image(folder: Path, pixels: Pixels) -> str:
    """Write an image as a sample: its pixels and their place, nothing else that its file said.

    Args:
        folder: new folder.
        pixels: flat image or volume.

    Returns:
        The file's name: ``image.tif``, or ``image.nii.gz`` of a volume.
    """
    folder.mkdir()
    if pixels.affine is not None:
        save_volume(folder / f"{IMAGE}.nii.gz", pixels.array, pixels.affine)
        return f"{IMAGE}.nii.gz"
    array = _full_range(pixels)
    settings: dict[str, Any] = {"photometric": "rgb" if pixels.colour else "minisblack"}
    if pixels.alpha:
        settings |= {"extrasamples": ["unassalpha"], "planarconfig": "contig"}
    elif pixels.channels > 1 and not pixels.colour:
        # not as OME-TIFF, whose UUID holds the time and the machine
        array, settings["metadata"] = np.moveaxis(array, -1, 0), {"axes": "CYX"}
    if pixels.spacing is not None:
        rows, columns = pixels.spacing
        settings |= {"resolution": (10 / columns, 10 / rows), "resolutionunit": "CENTIMETER"}
    tifffile.imwrite(folder / f"{IMAGE}.tif", array, **settings)
    return f"{IMAGE}.tif"


def _full_range(pixels: Pixels) -> NDArray[Any]:
    """Return values whose white is that of their bytes: TIFF cannot say that 12 bits were used."""
    maximum = format_maximum(pixels.array.dtype)
    if pixels.maximum is None or maximum is None or pixels.maximum == maximum:
        return pixels.array
    return np.rint(pixels.array * (maximum / pixels.maximum)).astype(pixels.array.dtype)


def _infer(config: dict[str, Any], root: Path, image_dir: Path, out: Path) -> None:
    """Run the inference of a config in this process, without starting a tracked run."""
    folders = {"bundle_root": str(root), "image_dir": str(image_dir), "output_dir": str(out)}
    parser = ConfigParser({**config, **folders, "device": "cpu", "probabilities": EXACT_BITS})
    with _quiet():
        evaluator, writer = (parser.get_parsed_content(key) for key in ("evaluator", "writer"))
        try:
            infer(evaluator, writer)
        except SystemExit:
            reason = writer.report.failed[0]["reason"]
            raise ValueError(
                f"the bundle cannot infer the sample ({reason}); give another with --sample"
            ) from None


@contextmanager
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")  # MONAI's readers warn of packages that are not needed here
        yield
