"""A trained model on disk: its weights, and the record beside them that says where it is from."""

import json
from pathlib import Path
from typing import Any

import torch

from pipeline.files import sha256, write_json
from pipeline.inference.watershed_instances import WatershedInstances
from pipeline.inference.postprocessing import Postprocessing
from pipeline.networks.weights import load_weights, read_checkpoint


def load_network(
    network: torch.nn.Module, path: str | None, device: torch.device | str = "cpu"
) -> torch.nn.Module:
    """Give a network the weights of ``path`` and move it to a device.

    Args:
        network: made by the config.
        path: of the weights; None: it keeps its own, as a training that begins anew wants it.
        device: where it is used.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not a checkpoint, or one of another network.
    """
    if path is not None:
        load_weights(network, read_checkpoint(Path(path)), Path(path))
    if any(weight.ndim == 5 for weight in network.parameters()):  # a network of volumes
        return network.to(device)
    return network.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def record_path(model: Path) -> Path:
    """Return where the record of a model is: ``model.json`` beside ``model.pt``."""
    return model.with_suffix(".json")


def read_record(model: Path) -> dict[str, Any]:
    """Read the record of a model.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it belongs to other weights.
    """
    path = record_path(model)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; training writes it beside the weights")
    record: dict[str, Any] = json.loads(path.read_text("utf-8"))
    if record["sha256"] != sha256(model):
        raise ValueError(f"{path}: belongs to other weights than {model.name}; copy both together")
    return record


def store_choices(model: Path, **chosen: Any) -> None:
    """Add what was chosen on validation to the record of a model: threshold, cleaning, ….

    Raises:
        FileNotFoundError: the model has no record.
        ValueError: the record belongs to other weights.
    """
    write_json(record_path(model), {**read_record(model), **chosen})


def threshold_of(path: str) -> float:
    """Return the threshold that evaluation chose on validation for a model; 1/2 before that.

    Raises:
        FileNotFoundError: the model has no record.
        ValueError: the record belongs to other weights.
    """
    return float(read_record(Path(path)).get("threshold", 0.5))


def tta_of(path: str) -> int:
    """Return how many symmetries evaluation chose to average; 8 before that.

    Raises:
        FileNotFoundError: the model has no record.
        ValueError: the record belongs to other weights.
    """
    return int(read_record(Path(path)).get("tta_versions") or 8)


def mask_finder_of(path: str) -> Postprocessing:
    """Return what evaluation chose to do to the mask; nothing before that.

    Raises:
        FileNotFoundError: the model has no record.
        ValueError: the record belongs to other weights.
    """
    return Postprocessing(**read_record(Path(path)).get("cleaning", {}))


def cell_finder_of(path: str, usual: WatershedInstances) -> WatershedInstances:
    """Return how evaluation chose to tell cells apart; as usual before that.

    Raises:
        FileNotFoundError: the model has no record.
        ValueError: the record belongs to other weights.
    """
    chosen = read_record(Path(path)).get("cells")
    return WatershedInstances(**chosen) if chosen else usual
