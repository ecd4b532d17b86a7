"""The configs of a packed bundle: what was executed, without where and when, each in one file."""

import copy
import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.bundle.flatten import dump, flatten

OF_HERE = (
    "dataset_dir", "models_dir", "output_dir", "tracking_dir", "run_name", "threads", "resume",
    "device", "model", "seed",
)  # fmt: skip
"""Keys that say where and when something was run, not what it was."""
OVERLAYS = ("inference", "explain", "multi_gpu")
KEEPS = "pipeline.training.KeepBest"
WRITES = "pipeline.inference.WritePredictions"
FINGERPRINT = "docs/fingerprint.json"
EVALUATION = "docs/evaluation.json"
EXPORTS = "docs/exports.json"
CHECKS_TUNING, REPORTS_BOTH = "pipeline.training.check_fine_tuning", "pipeline.training.compare_fine_tuning"
OF_TUNING = (CHECKS_TUNING, REPORTS_BOTH)
OF_PAPERS, SEEN = ("pipeline.papers.",), "seen"
"""Steps that measure what a paper prints, and the training images that they measure it on, too."""
CHOSEN = ("threshold", "tta_versions", "clean")
"""Knobs of an evaluation that the record of the model decides."""


def packed_configs(
    bundle: Path, trained: Mapping[str, Any], evaluated: Mapping[str, Any]
) -> dict[str, bytes]:
    """Return each config of a packed bundle, by its path.

    Args:
        bundle: folder of the bundle.
        trained: the config that the training executed, whole.
        evaluated: likewise of the evaluation.
    """
    configs = bundle / "configs"
    train = _without_here(trained, [configs / "train.yaml"])
    overlays = {name: [configs / f"{name}.yaml"] for name in OVERLAYS}
    there = {name: files for name, files in overlays.items() if files[0].is_file()}
    whole = {name: _laid_over(train, files) for name, files in there.items()}
    evaluate = _without_here(evaluated, [configs / "train.yaml", configs / "evaluate.yaml"])
    whole["evaluate"] = _as_sent(_laid_over(evaluate, []))
    whole["train"] = _tunable(_laid_over(train, []))
    for name, steps in (("evaluate", "evaluating"), ("train", "training")):
        whole[name]["run"] = copy.deepcopy(whole[name][steps])
    if "multi_gpu" in whole:
        whole["multi_gpu"]["models_dir"] = whole["train"]["models_dir"]
    _judge_images(whole["inference"])
    title = f"{bundle.resolve().name}: %s, whole; written by unet-school pack"
    return {f"configs/{name}.yaml": dump(each, title % name) for name, each in whole.items()}


def _without_here(executed: Mapping[str, Any], usual: Sequence[Path]) -> dict[str, Any]:
    default = flatten(usual)
    config = {key: copy.deepcopy(executed[key]) for key in executed if key != "_meta_"}
    config |= {key: default[key] for key in OF_HERE if key in default}
    config.get("tracking", {}).pop("parent", None)
    if "init_from" in config:  # of a model that was itself received and tuned
        config["init_from"] = config["sender_dir"] = None
        config["training"] = [each for each in config["training"] if not _is(each, OF_TUNING)]
    return config


def _laid_over(config: Mapping[str, Any], overlays: Sequence[Path]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder) / "train.json"
        base.write_text(json.dumps(config), "utf-8")
        return flatten([base, *overlays])


def _tunable(config: dict[str, Any]) -> dict[str, Any]:
    """A training that may begin from received weights, and leaves these as they are."""
    config["models_dir"] = "$@bundle_root + '/own_models'"
    config["init_from"] = None
    config["network"] = {
        "_target_": "pipeline.inference.load_network",
        "network": "@network_def",
        "path": "@init_from",
        "device": "@device",
    }
    keeps = next(each for each in config["train"]["handlers"] if each.get("_target_") == KEEPS)
    keeps["init_from"] = "@init_from"
    config["sender_dir"] = None
    *before, train = config["training"]
    cohorts = {"dataset_dir": "@dataset_dir", "sender_dir": "@sender_dir"}
    check = {"_target_": CHECKS_TUNING, "received": "@init_from", **cohorts}
    report = {
        "_target_": REPORTS_BOTH,
        "bundle": "@bundle_root",
        "received": "@init_from",
        "tuned": "$@models_dir + '/model.pt'",
        **cohorts,
        "folder": "@output_dir",
        "tracking_dir": "@tracking_dir",
    }
    config["training"] = [*before, check, train, report]
    return config


def _as_sent(config: dict[str, Any]) -> dict[str, Any]:
    """An evaluation by what the sender chose, with the sender's numbers beside its own."""
    config["evaluating"] = [each for each in config["evaluating"] if not _is(each, OF_PAPERS)]
    config.pop(SEEN, None)
    step = next(each for each in config["evaluating"] if "choices" in each)
    kept = {key: step["choices"][key] for key in ("metric", "tta") if key in step["choices"]}
    step["choices"] = {"_target_": "pipeline.training.choices_of", "model": "@model", **kept}
    for key in CHOSEN:
        config.pop(key, None)
    if "find_instances" in step:
        config["usual_cells"] = config["find_instances"]
        chosen = {"_target_": "pipeline.inference.cell_finder_of", "path": "@model"}
        config["find_instances"] = {**chosen, "usual": "@usual_cells"}
    step["sender"] = {
        "_target_": "pipeline.training.Sender",
        "evaluation": _in_bundle(EVALUATION),
        "fingerprint": _in_bundle(FINGERPRINT),
    }
    return config


def _is(step: Any, beginnings: tuple[str, ...]) -> bool:
    """Whether a step calls something whose name begins so."""
    return isinstance(step, dict) and step.get("_target_", "").startswith(beginnings)


def _judge_images(config: dict[str, Any]) -> None:
    writes = next(each for each in config["handlers"] if each["_target_"] == WRITES)
    told = _in_bundle(FINGERPRINT)
    writes["input_check"] = {"_target_": "pipeline.inference.InputCheck", "fingerprint": told}


def _in_bundle(path: str) -> str:
    return f"$@bundle_root + '/{path}'"
