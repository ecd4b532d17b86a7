"""TorchScript as MONAI Deploy and MONAI Label read it: a network, and in the file its inference."""

import json
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.inference import OperatingPoint

READ = ("preprocessing", "inferer", "postprocessing", "network_def", "device")
"""Keys of an inference that those tools look up."""
REFERENCE = re.compile(r"[@%](\w+)")


def inference_config(config: Mapping[str, Any], operating_point: OperatingPoint) -> dict[str, Any]:
    """Return the part of an inference that stands alone, without files beside it.

    Args:
        config: merged, of a bundle's inference.
        operating_point: what the record beside the weights says; it is written out.

    Returns:
        What :data:`READ` needs, directly or through other keys.

    Example:
        >>> config = {"device": "cpu", "inferer": "$f(@window)", "window": 8, "image_dir": "/data"}
        >>> sorted(inference_config(config, OperatingPoint()))
        ['device', 'inferer', 'window']
    """
    written = {"_target_": "pipeline.inference.OperatingPoint"}
    alone = {**config, "operating_point": written | operating_point.model_dump(mode="json")}
    needed: dict[str, Any] = {}
    open_keys = [key for key in READ if key in alone]
    while open_keys:
        key = open_keys.pop()
        needed[key] = alone[key]
        used = REFERENCE.findall(json.dumps(alone[key]))
        open_keys += [other for other in used if other in alone and other not in needed]
    return {key: needed[key] for key in alone if key in needed}


def extra_files(config: Mapping[str, Any], metadata: Path) -> dict[str, str]:
    """Return the files that a TorchScript file holds beside the network, by name.

    Args:
        config: by :func:`inference_config`.
        metadata: ``metadata.json`` of the bundle.

    Raises:
        FileNotFoundError: there are no metadata.
    """
    if not metadata.is_file():
        raise FileNotFoundError(f"{metadata}: no such file; every bundle needs it")
    return {
        "inference.json": json.dumps(config, indent=2),
        "metadata.json": metadata.read_text("utf-8"),
    }


def save_torchscript(
    network: nn.Module, tile: Tensor, path: Path, extra: Mapping[str, str]
) -> torch.jit.ScriptModule:
    """Write a network that takes any size, and return it as it was read again.

    A network that TorchScript cannot read, which none of this package is, is traced on the tile.

    Args:
        network: in evaluation mode.
        tile: image ``(B, C, *spatial)``.
        path: file to write, which becomes whole or not at all.
        extra: content of further files by name, see :func:`extra_files`.
    """
    with torch.no_grad():
        try:
            program = torch.jit.script(network)
        except Exception:  # torch has many kinds of errors of what it cannot read
            program = torch.jit.trace(network, tile, check_trace=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".") as folder:
        whole = Path(folder) / path.name  # readers look for the file's own name in it
        torch.jit.save(program, str(whole), dict(extra))
        whole.replace(path)
    return torch.jit.load(str(path))
