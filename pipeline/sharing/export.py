"""Export a trained network to other formats, and compare each one with the network itself."""

import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from functools import cached_property, partial
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple

import torch
from monai.bundle import ConfigParser
from torch import Tensor, nn

from pipeline.bundle import Bundle
from pipeline.files import atomic, write_json
from pipeline.inference import TrainedModel, find_cases
from pipeline.networks import UNetPlusPlus
from pipeline.sharing.torchscript import extra_files, inference_config, save_torchscript

TOLERANCE = 1e-4
"""Largest accepted difference of a probability."""
MAX_COMPARED_IMAGES = 8
"""Largest number of images on which the formats are compared."""
EXPORTS = "exports.json"
"""The measured differences, which a model card shows."""
SUFFIXES = {"torchscript": ".ts", "onnx": ".onnx", "torch_export": ".pt2"}
Sides = tuple[int, ...]
"""Pixels along each axis."""


class ExportComparison(NamedTuple):
    """The comparison of exported formats with the network.

    Attributes:
        images: number of images that were compared.
        differences: largest difference of a probability for each format; the name of a pruned
            network's format includes its level.
        fixed_sides: sides of the image for each format that takes no others.
    """

    images: int
    differences: dict[str, float]
    fixed_sides: dict[str, Sides]


class Probability(nn.Module):
    """A network with its sigmoid: ONNX and torch.export give probabilities without further code."""

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

    TorchScript gives logits, as MONAI's tools expect, and holds the configs with which MONAI Deploy
    and MONAI Label make label maps of them; ONNX and torch.export give probabilities.

    To ONNX and torch.export the sides of an image must be multiples of the network's poolings, as
    those of the training crops are. Where torch cannot export a network for any size, they take the
    sides of one window alone.

    Args:
        bundle: the bundle, with the overlays that the model was trained with.
        model: file of the weights.
        images: folder of real images, or volumes. The first :data:`MAX_COMPARED_IMAGES` are
            compared, each whole (of a volume a window) and cropped to its centre.
        out: folder for the exported files.
        formats: names of formats, keys of :data:`SUFFIXES`.

    Returns:
        The measured differences. ``exports.json`` holds them, too.

    Raises:
        ValueError: the poolings of the network are not known, an image is too small, or a
            difference is above :data:`TOLERANCE`.
        FileNotFoundError: the bundle has no ``metadata.json``.
    """
    parser = bundle.parser("inferring")
    trained = _trained_model(parser, model)
    trained.print_unselected()
    config = inference_config(bundle.config("inferring"), trained.operating_point)
    extra = extra_files(config, bundle.configs / "metadata.json")
    network = trained.network.eval()
    multiples = _multiples(parser, network)
    tiles = _tiles(parser, images, multiples)
    window = [*parser.get_parsed_content("window")]
    differences: dict[str, float] = {}
    fixed_sides: dict[str, Sides] = {}
    for level, part in _levels(network).items():
        exporter = Exporter(part, tiles[0], multiples, window, extra)
        for name in formats:
            path = out / f"model{level}{SUFFIXES[name]}"
            run, key = EXPORTERS[name](exporter, path), name + level.replace("_", " ")
            compared = tiles
            if name in PROGRAMS and exporter.fixed:
                compared, fixed_sides[key] = [exporter.window], tuple(exporter.window.shape[2:])
            differences[key] = max(_difference(run, part, tile) for tile in compared)
            if differences[key] > TOLERANCE:
                path.unlink()
                raise ValueError(
                    f"{path}: differs by {differences[key]:.1e} from the network; not written"
                )
    content = {
        "model_sha256": trained.record.sha256,
        "images": len(tiles) // 2,
        "tolerance": TOLERANCE,
        "differences": differences,
        "fixed_sides": fixed_sides,
    }
    write_json(out / EXPORTS, content)
    return ExportComparison(len(tiles) // 2, differences, fixed_sides)


def _trained_model(parser: ConfigParser, model: Path) -> TrainedModel:
    keys = ("network_def", "symmetries", "instances")
    network, symmetries, instances = map(parser.get_parsed_content, keys)
    return TrainedModel(model, network, symmetries=symmetries, instances=instances)


def _multiples(parser: ConfigParser, network: nn.Module) -> Sides:
    """Return the number along each axis whose multiples a network takes."""
    own = getattr(network, "multiples", None)
    if own is not None:
        return tuple(own)
    definition = parser.get("network_def")
    if "features" not in definition:  # as an ensemble of folds
        raise ValueError(
            f"network_def: {type(network).__name__}, whose poolings are not known; expected a "
            "network with features; export one network of it"
        )
    poolings = len(parser.get_parsed_content("network_def::features")) - 1
    return (2**poolings,) * int(parser.get_parsed_content("spatial_dims"))


def _tiles(parser: ConfigParser, images: Path, multiples: Sides) -> list[Tensor]:
    """Return preprocessed images and the centre of each, with sides that the network accepts.

    Of a volume a window stands for the whole, which may not fit into memory.
    """
    preprocessing = parser.get_parsed_content("preprocessing")
    dims, channels = len(multiples), parser.get("channels")
    tiles = []
    for case in find_cases(str(images), dims, channels=channels)[:MAX_COMPARED_IMAGES]:
        image = preprocessing(case)["image"].as_tensor()[None]
        smallest = [2 * multiple for multiple in multiples]  # torch.export fixes sides of 1
        if any(side < least for side, least in zip(image.shape[2:], smallest, strict=True)):
            raise ValueError(
                f"{case['name']}: smaller than {' x '.join(map(str, smallest))} pixels; give "
                "larger images"
            )
        if dims == 3:
            window = parser.get_parsed_content("window")
            image = _centre(image, [max(*pair) for pair in zip(window, smallest, strict=True)])
        half = [side // 2 for side in image.shape[2:]]
        tiles += [_fitting(image, sides, multiples) for sides in (image.shape[2:], half)]
    return tiles


def _fitting(image: Tensor, sides: Sequence[int], multiples: Sides) -> Tensor:
    """Return the centre of an image whose sides are at most these, and multiples."""
    return _centre(image, [a // b * b for a, b in zip(sides, multiples, strict=True)])


def _centre(image: Tensor, sides: Sequence[int]) -> Tensor:
    """Return the centre of an image, of at most these sides."""
    cut = [min(pair) for pair in zip(image.shape[2:], sides, strict=True)]
    starts = [(length - side) // 2 for length, side in zip(image.shape[2:], cut, strict=True)]
    window = [slice(start, start + side) for start, side in zip(starts, cut, strict=True)]
    return image[(slice(None), slice(None), *window)].contiguous()


def _levels(network: nn.Module) -> dict[str, nn.Module]:
    """Return the network, and the pruned networks of a UNet++ with deep supervision."""
    if not isinstance(network, UNetPlusPlus) or not network.deep_supervision:
        return {"": network}
    levels = range(1, network.depth)
    return {"": network, **{f"_level_{level}": network.pruned(level) for level in levels}}


def _difference(run: Callable[[Tensor], Tensor], network: nn.Module, tile: Tensor) -> float:
    with torch.no_grad():
        return float((run(tile) - network(tile).sigmoid()).abs().max())


class Exporter:
    """Writes one network in several formats; ONNX and torch.export share its exported program.

    Args:
        network: network of logits, in evaluation mode.
        tile: image ``(1, C, *spatial)``, each side at least twice its multiple.
        multiples: number along each axis whose multiples the network takes.
        window: sides of the window that a program of fixed sides takes.
        extra: files that TorchScript holds, by name.

    Attributes:
        window: the centre of the tile, of the sides of the window.
        fixed: whether torch could export the program for the sides of the window alone.

    Example:
        >>> class Odd(nn.Module):
        ...     def forward(self, image):
        ...         return image * 2 if image.shape[2] > 8 else image
        >>> exporter = Exporter(Odd(), torch.zeros(1, 1, 12, 12), (2, 2), [8, 8])
        >>> exporter.program.module()(exporter.window).shape, exporter.fixed
        (torch.Size([1, 1, 8, 8]), True)
    """

    def __init__(
        self,
        network: nn.Module,
        tile: Tensor,
        multiples: Sides,
        window: Sequence[int],
        extra: Mapping[str, str] | None = None,
    ) -> None:
        self.network, self.tile, self.multiples = network, tile, multiples
        self.probability = Probability(network).eval()
        self.extra = extra or {}
        self.window = _fitting(tile, window, multiples)
        self.fixed = False

    @cached_property
    def program(self) -> torch.export.ExportedProgram:
        """The program for any batch and sides; where torch cannot, for one window."""
        sides = {
            axis: multiple * torch.export.Dim(f"side{axis}")
            for axis, multiple in enumerate(self.multiples, start=2)
        }
        example = torch.cat([self.tile, self.tile])  # torch.export treats a batch of one as fixed
        shapes = ({0: torch.export.Dim("batch"), **sides},)
        try:
            program = torch.export.export(self.probability, (example,), dynamic_shapes=shapes)
            half = [side // 2 for side in self.tile.shape[2:]]
            # a branch on a side is no error before an image takes the other one
            program.module()(_fitting(self.tile, half, self.multiples))
        except Exception:  # torch has many kinds of errors of a side that it cannot leave open
            self.fixed = True
            return torch.export.export(self.probability, (self.window,))
        return program

    def torchscript(self, path: Path) -> Any:
        """Write TorchScript; return the probabilities of the network that was read again."""
        with _quiet():
            return Probability(save_torchscript(self.network, self.tile, path, self.extra))

    def torch_export(self, path: Path) -> Any:
        """Write a program of torch.export; return the network that was read again."""
        with _quiet(), atomic(path) as temporary:
            torch.export.save(self.program, temporary)
        return torch.export.load(path).module()

    def onnx(self, path: Path) -> Any:
        """Write ONNX; return a function that runs it."""
        import onnxruntime

        names: dict[str, Any] = {"input_names": ["image"], "output_names": ["probability"]}
        with _quiet(), redirect_stdout(StringIO()):
            graph: Any = torch.onnx.export(self.program, dynamo=True, verbose=False, **names)
        with atomic(path) as temporary:
            graph.save(str(temporary))
        return partial(_run_onnx, onnxruntime.InferenceSession(str(path)))


@contextmanager
def _quiet() -> Iterator[None]:
    """Torch warns of a guess about the device, of branches that do not matter, of torchvision."""
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _run_onnx(session: Any, tile: Tensor) -> Tensor:
    return torch.from_numpy(session.run(None, {"image": tile.numpy()})[0])


EXPORTERS = {
    "torchscript": Exporter.torchscript,
    "onnx": Exporter.onnx,
    "torch_export": Exporter.torch_export,
}
PROGRAMS = ("onnx", "torch_export")
"""Formats that are made from the exported program."""
