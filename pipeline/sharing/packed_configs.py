"""The configs of a packed bundle: what was executed, without where and when, each in one file."""

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
"""Steps of an evaluation that measure what a paper prints begin so."""


def packed_configs(
    bundle: Path, trained: Mapping[str, Any], evaluated: Mapping[str, Any]
) -> dict[str, bytes]:
    """Return each config of a packed bundle, by its path.

    Args:
        bundle: folder of the bundle.
        trained: the config that the training executed, whole.
        evaluated: the config that the evaluation executed, whole.
    """
    own = Bundle(bundle)
    train = _without_places(trained, own.files("training"))
    # so that an own training does not overwrite the received weights
    train["models_dir"] = "$@bundle_root + '/own_models'"
    sent = {**train, "models_dir": "$@bundle_root + '/models'"}
    evaluate = _without_places(evaluated, own.files("evaluating"))
    steps = [step for step in evaluate["evaluating"] if not _is_of_a_paper(step)]
    configs = {
        "train": _laid_over(train, []),
        "evaluate": _laid_over({**evaluate, "evaluating": steps, **_AS_SENT}, []),
        "inference": {**_laid_over(sent, own.files("inferring")[1:]), **_INPUT_CHECK},
        "explain": _laid_over(sent, own.files("explaining")[1:]),
    }
    if (own.configs / "multi_gpu.yaml").is_file():
        configs["multi_gpu"] = _laid_over(train, [own.configs / "multi_gpu.yaml"])
    for name, run in (("train", "training"), ("evaluate", "evaluating")):
        configs[name]["run"] = copy.deepcopy(configs[name][run])
    title = f"{own.name}: %s, whole; written by unet-school pack"
    return {f"configs/{name}.yaml": dump(each, title % name) for name, each in configs.items()}


def _in_bundle(path: str) -> str:
    return f"$@bundle_root + '/{path}'"


_AS_SENT = {
    "threshold": None,
    "as_stored": True,
    "reference": {
        "_target_": "pipeline.evaluation.ReferenceEvaluation",
        "evaluation": _in_bundle(EVALUATION),
        "fingerprint": _in_bundle(FINGERPRINT),
    },
}
"""An evaluation at the sender's operating point, with the sender's scores beside its own."""
_INPUT_CHECK = {
    "input_check": {
        "_target_": "pipeline.inference.InputCheck",
        "fingerprint": _in_bundle(FINGERPRINT),
    }
}


def _without_places(executed: Mapping[str, Any], usual: Sequence[Path]) -> dict[str, Any]:
    default = flatten(usual)
    config = {key: copy.deepcopy(executed[key]) for key in executed if key != "_meta_"}
    config |= {key: default[key] for key in PLACES_AND_TIMES if key in default}
    config["current_run"].pop("parent", None)
    return config


def _laid_over(config: Mapping[str, Any], overlays: Sequence[Path]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder) / "train.json"
        base.write_text(json.dumps(config), "utf-8")
        return flatten([base, *overlays])


def _is_of_a_paper(step: Any) -> bool:
    return isinstance(step, dict) and step.get("_target_", "").startswith(PAPER_STEPS)
