"""Export a trained network to other formats, and compare each one with the network itself."""

import io
import logging
import warnings
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from monai.bundle import ConfigParser
from torch import Tensor, nn

from pipeline.bundle import Bundle
from pipeline.files import atomic, write_json
from pipeline.inference import TrainedModel
from pipeline.inference.folder import find_images
from pipeline.networks import UNetPlusPlus

TOLERANCE = 1e-4
"""Largest accepted difference of a probability."""
MAX_COMPARED_IMAGES = 8
"""Largest number of images on which the formats are compared."""
SUFFIXES = {"torchscript": ".ts", "onnx": ".onnx", "torch_export": ".pt2"}


class ExportComparison(NamedTuple):
    """The comparison of exported formats with the network.

    Attributes:
        images: number of images that were compared.
        differences: largest difference of a probability for each format; the name of a pruned
            network's format includes its level.
    """

    images: int
    differences: dict[str, float]


class Probability(nn.Module):
    """A network with its sigmoid: an exported file gives probabilities without further code."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Tensor:
        """Return the probabilities of an image, ``(B, C, *spatial)``."""
        return self.network(image).sigmoid()


def export(
    bundle: Bundle, model: Path, images: Path, out: Path, formats: Sequence[str]
) -> ExportComparison:
    """Export a model for any batch size and image size, and compare each format with the network.

    The sides of an image must be multiples of ``pixel_unshuffle x 2^poolings``, as those of the
    training crops are.

    Args:
        bundle: the bundle, with the overlays that the model was trained with.
        model: file of the weights.
        images: folder of real images. The first :data:`MAX_COMPARED_IMAGES` are compared, each
            whole and cropped to its centre.
        out: folder for the exported files.
        formats: names of formats, keys of :data:`SUFFIXES`.

    Returns:
        The measured differences. ``exports.json`` holds them, too.

    Raises:
        ValueError: the network is a 3D network, an image is too small, or a difference is above
            :data:`TOLERANCE`.
    """
    parser = bundle.parser("inferring")
    if parser.get_parsed_content("spatial_dims") != 2:
        raise ValueError(f"{bundle.folder}: a 3D network; export supports 2D networks")
    trained = TrainedModel(model, parser.get_parsed_content("network_def"))
    network = trained.network.eval()
    features = parser.get_parsed_content("network_def::features")
    side = 2 ** (len(features) - 1) * int(parser["network_def"].get("pixel_unshuffle", 1))
    tiles = _tiles(parser, images, side)
    differences: dict[str, float] = {}
    for level, part in _levels(network).items():
        for name in formats:
            path = out / f"model{level}{SUFFIXES[name]}"
            run = EXPORTERS[name](Probability(part).eval(), tiles[0], side, path)
            difference = max(_difference(run, part, tile) for tile in tiles)
            differences[name + level.replace("_", " ")] = difference
            if difference > TOLERANCE:
                path.unlink()
                raise ValueError(
                    f"{path}: differs by {difference:.1e} from the network; not written"
                )
    content = {
        "model_sha256": trained.record.sha256,
        "images": len(tiles) // 2,
        "tolerance": TOLERANCE,
        "differences": differences,
    }
    write_json(out / "exports.json", content)
    return ExportComparison(len(tiles) // 2, differences)


def _tiles(parser: ConfigParser, images: Path, side: int) -> list[Tensor]:
    """Return preprocessed images and the centre of each, with sides that the network accepts."""
    preprocessing = parser.get_parsed_content("preprocessing")
    tiles = []
    for case in find_images(str(images))[:MAX_COMPARED_IMAGES]:
        image = preprocessing(case)["image"].as_tensor()[None]
        if min(image.shape[2:]) < 4 * side:  # torch.export treats sides of 1 as fixed
            raise ValueError(
                f"{case['image']}: smaller than {4 * side} pixels a side; give larger images"
            )
        for part in (1, 2):
            sizes = [length // part // side * side for length in image.shape[2:]]
            starts = [(a - b) // 2 for a, b in zip(image.shape[2:], sizes, strict=True)]
            (top, left), (rows, columns) = starts, sizes
            tiles.append(image[..., top : top + rows, left : left + columns].contiguous())
    return tiles


def _levels(network: nn.Module) -> dict[str, nn.Module]:
    """Return the network, and the pruned networks of a UNet++ with deep supervision."""
    if not isinstance(network, UNetPlusPlus) or not network.deep_supervision:
        return {"": network}
    levels = range(1, network.depth)
    return {"": network, **{f"_level_{level}": network.pruned(level) for level in levels}}


def _difference(run: Callable[[Tensor], Tensor], network: nn.Module, tile: Tensor) -> float:
    with torch.no_grad():
        return float((run(tile) - network(tile).sigmoid()).abs().max())


def _torchscript(network: nn.Module, tile: Tensor, side: int, path: Path) -> Any:
    with warnings.catch_warnings(), torch.no_grad(), atomic(path) as temporary:
        warnings.simplefilter("ignore")
        torch.jit.trace(network, tile, check_trace=False).save(str(temporary))
    return torch.jit.load(str(path))


def _program(network: nn.Module, tile: Tensor, side: int) -> torch.export.ExportedProgram:
    sides = {2 + i: side * torch.export.Dim(f"side{i}") for i in range(2)}
    shapes = ({0: torch.export.Dim("batch"), **sides},)
    example = torch.cat([tile, tile])  # torch.export treats a batch of one as fixed
    return torch.export.export(network, (example,), dynamic_shapes=shapes)


def _torch_export(network: nn.Module, tile: Tensor, side: int, path: Path) -> Any:
    with warnings.catch_warnings(), atomic(path) as temporary:
        warnings.simplefilter("ignore")  # it warns of a guess about the device of the weights
        torch.export.save(_program(network, tile, side), temporary)
    return torch.export.load(path).module()


def _onnx(network: nn.Module, tile: Tensor, side: int, path: Path) -> Any:
    import onnxruntime

    program = _program(network, tile, side)
    names: dict[str, Any] = {"input_names": ["image"], "output_names": ["probability"]}
    # it warns that torchvision is missing, which is not needed
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        graph: Any = torch.onnx.export(program, dynamo=True, verbose=False, **names)
    with atomic(path) as temporary:
        graph.save(str(temporary))
    session = onnxruntime.InferenceSession(str(path))
    return partial(_run_onnx, session)


def _run_onnx(session: Any, tile: Tensor) -> Tensor:
    return torch.from_numpy(session.run(None, {"image": tile.numpy()})[0])


EXPORTERS = {"torchscript": _torchscript, "onnx": _onnx, "torch_export": _torch_export}
