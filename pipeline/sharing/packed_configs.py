"""The configs of a packed bundle: the executed ones without paths and times, one file each."""

import copy
import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.bundle import Bundle
from pipeline.bundle.flatten import dump, flatten
from pipeline.tracking.executed_config import PLACES_AND_TIMES

FINGERPRINT = "docs/fingerprint.json"
EVALUATION = "docs/evaluation.json"
EXPORTS = "docs/exports.json"
PAPER_STEPS = "pipeline.papers."
"""Prefix of evaluation steps that compute a paper's results; a packed bundle omits them."""


def packed_configs(
    bundle: Path, trained: Mapping[str, Any], evaluated: Mapping[str, Any]
) -> dict[str, bytes]:
    """Return each config of a packed bundle, by its path in the bundle.

    Args:
        bundle: folder of the bundle.
        trained: the complete config that the training executed.
        evaluated: the complete config that the evaluation executed.
    """
    own = Bundle(bundle)
    train = _without_places(trained, own.files("training"))
    # so that the receiver's training does not overwrite the received weights
    train["models_dir"] = "$@bundle_root + '/own_models'"
    received = {**train, "models_dir": "$@bundle_root + '/models'"}
    evaluate = _without_places(evaluated, own.files("evaluating"))
    steps = [step for step in evaluate["evaluating"] if not _is_paper_step(step)]
    configs = {
        "train": _merge(train, []),
        "evaluate": _merge({**evaluate, "evaluating": steps, **_AS_STORED}, []),
        "inference": {**_merge(received, own.files("inferring")[1:]), **_INPUT_CHECK},
        "explain": _merge(received, own.files("explaining")[1:]),
    }
    if (own.configs / "multi_gpu.yaml").is_file():
        configs["multi_gpu"] = _merge(train, [own.configs / "multi_gpu.yaml"])
    for name, run in (("train", "training"), ("evaluate", "evaluating")):
        configs[name]["run"] = copy.deepcopy(configs[name][run])
    title = f"{own.name}: %s, whole; written by unet-school pack"
    return {f"configs/{name}.yaml": dump(config, title % name) for name, config in configs.items()}


def _in_bundle(path: str) -> str:
    return f"$@bundle_root + '/{path}'"


_AS_STORED = {
    "threshold": None,
    "as_stored": True,
    "reference": {
        "_target_": "pipeline.evaluation.ReferenceEvaluation",
        "evaluation": _in_bundle(EVALUATION),
        "fingerprint": _in_bundle(FINGERPRINT),
    },
}
"""Keys of an evaluation at the stored operating point, with the sender's scores as reference."""
_INPUT_CHECK = {
    "input_check": {
        "_target_": "pipeline.inference.InputCheck",
        "fingerprint": _in_bundle(FINGERPRINT),
        "spatial_dims": "@spatial_dims",
        "in_channels": "@in_channels",
    }
}


def _without_places(executed: Mapping[str, Any], files: Sequence[Path]) -> dict[str, Any]:
    """Return an executed config with the paths and times of the bundle's own config files."""
    default = flatten(files)
    config = {key: copy.deepcopy(executed[key]) for key in executed if key != "_meta_"}
    config |= {key: default[key] for key in PLACES_AND_TIMES if key in default}
    config["current_run"].pop("parent", None)
    return config


def _merge(config: Mapping[str, Any], overlays: Sequence[Path]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder) / "train.json"
        base.write_text(json.dumps(config), "utf-8")
        return flatten([base, *overlays])


def _is_paper_step(step: Any) -> bool:
    return isinstance(step, dict) and step.get("_target_", "").startswith(PAPER_STEPS)
