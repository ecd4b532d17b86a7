"""How MONAI Label and MONAI Deploy read a bundle, step by step, in few lines of our own."""

import json
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from monai.bundle import ConfigParser
from monai.data import MetaTensor
from monai.transforms import Compose, LoadImaged, MapTransform, SaveImaged


class Segmented(NamedTuple):
    """What a person sees: a label map, the number of each name, and where the map lies."""

    label_map: np.ndarray
    numbers: dict[str, int]
    affine: np.ndarray


def monai_label(bundle: Path, image: Path) -> Segmented:
    """Segment a file as MONAI Label's ``BundleInferTask`` does with the folder of a bundle."""
    parser = ConfigParser()
    parser.read_config(_first(bundle / "configs", "inference.json", "inference.yaml"))
    parser.config.update({"bundle_root": str(bundle), "use_click": True})
    metadata = json.loads((bundle / "configs" / "metadata.json").read_text("utf-8"))
    image_key, pred_key, numbers = _formats(metadata)
    network = _network(bundle / "models", parser)
    parser.config["device"] = "cpu"
    item: dict[str, Any] = {image_key: str(image), "device": "cpu", "result_extension": ".nrrd"}
    preprocessing = parser.get_parsed_content("preprocessing", instantiate=True)
    for transform in _chain(preprocessing):
        item = _loaded(item, transform) if isinstance(transform, LoadImaged) else transform(item)
    inferer = parser.get_parsed_content("inferer", instantiate=True)
    with torch.no_grad():
        item[pred_key] = inferer(item[image_key][None], network)[0]
    for transform in _chain(parser.get_parsed_content("postprocessing", instantiate=True)):
        item = item if isinstance(transform, SaveImaged) else transform(item)
    result, meta = item[pred_key], item[image_key].meta
    assert [*result.shape[1:]] == [*meta["spatial_shape"]][1 - result.ndim :]  # else it resizes
    return Segmented(result.numpy()[0], numbers, meta["original_affine"])


def monai_deploy(program: Path, image: np.ndarray, affine: np.ndarray) -> Segmented:
    """Segment an image in memory as MONAI Deploy's bundle operator does with TorchScript."""
    with zipfile.ZipFile(program) as archive:
        metadata, config = (
            json.loads(archive.read(f"{program.stem}/extra/{name}.json"))
            for name in ("metadata", "inference")
        )
    parser = ConfigParser()
    parser.read_meta(f=metadata)
    parser.read_config(f=config)
    parser.parse()
    image_key, pred_key, numbers = _formats(parser.get("_meta_"))
    device, inferer = (parser.get_parsed_content(key) for key in ("device", "inferer"))
    before, after = (_in_memory(parser, key) for key in ("preprocessing", "postprocessing"))
    network = torch.jit.load(str(program), map_location=device).eval()
    meta = {"affine": affine, "original_affine": affine, "original_channel_dim": "no_channel"}
    item = before({image_key: MetaTensor.ensure_torch_and_prune_meta(image, meta)})
    with torch.no_grad():
        pixels = item.pop(image_key)
        further = {key: value[None] for key, value in item.items() if torch.is_tensor(value)}
        output = inferer(inputs=pixels[None].to(device), network=network, **further)
    label_map = after({pred_key: output[0], image_key: pixels, **item})[pred_key]
    original = pixels.meta["original_affine"]
    return Segmented(np.squeeze(label_map.numpy(force=True), 0), numbers, original)


def _formats(metadata: Mapping[str, Any]) -> tuple[str, str, dict[str, int]]:
    formats = metadata["network_data_format"]
    (image_key, _), *_ = formats["inputs"].items()
    (pred_key, pred), *_ = formats["outputs"].items()
    names = {name.lower(): int(number) for number, name in pred["channel_def"].items()}
    return image_key, pred_key, {name: i for name, i in names.items() if name != "background"}


def _first(folder: Path, *names: str) -> Path:
    return next(folder / name for name in names if (folder / name).is_file())


def _network(models: Path, parser: ConfigParser) -> torch.nn.Module:
    if (models / "model.ts").is_file():
        return torch.jit.load(str(models / "model.ts")).eval()
    network = parser.get_parsed_content("network_def", instantiate=True)
    network.load_state_dict(torch.load(models / "model.pt", weights_only=True))
    return network.eval()


def _chain(composed: Any) -> list[Callable]:
    assert isinstance(composed, Compose)
    return list(composed.transforms)


def _loaded(item: dict[str, Any], loader: LoadImaged) -> dict[str, Any]:
    """MONAI Label reads every key of a loader, and asks for the meta data beside the image."""
    loader._loader.image_only = False
    for key in loader.keys:
        assert isinstance(item[key], str)
    return loader(item)


def _in_memory(parser: ConfigParser, key: str) -> Compose:
    """MONAI Deploy takes loaders and savers out of the chain itself, which an inverse refers to.

    It hands over dictionaries where the first transform is one of dictionaries.
    """
    composed = parser.get_parsed_content(key)
    kept = [t for t in composed.transforms if not _is_of_files(type(t).__name__)]
    assert isinstance(kept[0], MapTransform)
    composed.transforms = tuple(kept)
    return composed


def _is_of_files(name: str) -> bool:
    return "LoadImage" in name or "SaveImage" in name
