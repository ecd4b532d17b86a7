"""The name of a run: what differs from other runs first, and a part that no other run has."""

import re
import secrets
from pathlib import Path

from monai.bundle import ConfigWorkflow

from pipeline.bundle.bundle import OVERLAYS, TRAIN
from pipeline.bundle.network_names import network_name
from pipeline.bundle.places import run_kind
from pipeline.bundle.workflow import current_workflow, typed_values

DIGITS = 6
"""Hexadecimal digits by which runs of one experiment differ."""
MAX_CHARACTERS = 40
"""Characters of what differs; the name is also that of a folder."""
KINDS = {"evaluating": "evaluation", "inferring": "inference", "explaining": "explanation"}
"""What stands in the name of a run that is no training."""
OWN_CONFIGS = (TRAIN, *OVERLAYS.values(), "multi_gpu.yaml", "config.json")
"""Configs that are no experiment; the last is what an earlier run executed."""


def unique_run_name(first: str | None = None) -> str:
    """Return a name such as ``unetpp-3d95a1``, ``elastic-0c4f77`` or ``unet-evaluation-9e21b0``.

    It begins with the experiment (the names of the overlays), or else with the network. MONAI's
    MLflow handler continues any unfinished run of the same name, and two runs that start in one
    second would share a time; the digits come from the system, not from the seeded generators.

    Args:
        first: what it begins with instead.

    Example:
        >>> unique_run_name("crossval").rpartition("-")[0]
        'crossval'
    """
    workflow = current_workflow()
    if first is None:
        first = "run" if workflow is None else _what_differs(workflow)
    return f"{_as_file_name(first)}-{secrets.token_hex(DIGITS // 2)}"


def experiment_name(workflow: ConfigWorkflow) -> str:
    """Return the names of a run's overlays; empty: it has none."""
    stems = [
        Path(file).stem for file in typed_values(workflow)[0] if Path(file).name not in OWN_CONFIGS
    ]
    return "+".join(dict.fromkeys(stems))


def _what_differs(workflow: ConfigWorkflow) -> str:
    experiment = experiment_name(workflow) or network_name(workflow.parser.config)
    return "-".join(filter(None, [experiment, KINDS.get(run_kind(workflow))]))


def _as_file_name(text: str) -> str:
    return re.sub(r"[^\w.+-]+", "_", text).strip("._-")[:MAX_CHARACTERS] or "run"
