"""The places that a run writes to are tried before it loads anything."""

import os
from pathlib import Path
from typing import Any

from monai.bundle import ConfigWorkflow

from pipeline.bundle.received import contained
from pipeline.claims import claim, refuse_another_run
from pipeline.files import check_room, check_writable

MODEL = "model"
"""The key of the weights, beside which an evaluation stores the operating point."""
PLACES = {
    "training": ("models_dir", "output_dir", "tracking_dir"),
    "evaluating": ("output_dir", "tracking_dir", MODEL),
    "inferring": ("output_dir",),
    "explaining": ("output_dir", "tracking_dir"),
}
"""The keys of the places that a run writes to."""
SERVER = "MLFLOW_TRACKING_URI"
"""Environment variable: the tracking store is there, and not in ``tracking_dir``."""
RECORD_BYTES = 5 * 10**6
"""Room in the tracking store for the record of a run: its database has 1 MB, a report as much."""
RANK = "RANK"
"""Environment variable: number of this process of ``torchrun``; the first speaks for all."""


def check_places(workflow: ConfigWorkflow) -> None:
    """Refuse folders that cannot be written, have no room, or are not this run's.

    Args:
        workflow: of the run, with its config.

    Raises:
        OSError: a folder cannot be written; the system's reason.
        ValueError: the tracking store has no room; a folder that a received bundle may not write;
            another run writes to the run's folder, or it holds the state or the model of another
            training.
    """
    parser = workflow.parser
    run = run_kind(workflow)
    for key in PLACES.get(run, ()):
        if key in parser and not (key == "tracking_dir" and SERVER in os.environ):
            path = contained(parser.get_parsed_content(key), f"--{key}")
            check_writable(path.parent if key == MODEL else path, f"--{key}")
            if key == "tracking_dir":
                check_room(path, RECORD_BYTES, "the record of this run", f"--{key}")
    if run == "training" and "output_dir" in parser and os.environ.get(RANK, "0") == "0":
        resume = parser.get_parsed_content("resume", default=None)
        folder = Path(parser.get_parsed_content("output_dir"))
        with claim(folder):  # a training that is running is no candidate for --resume
            refuse_another_run(folder, resume)


def run_kind(workflow: ConfigWorkflow) -> str:
    """Return what a workflow does: ``training``, ``evaluating``, …, also where its id is ``run``.

    An overlay on ``train.yaml`` has the training as well; ``run`` is that of the overlay.
    """
    config: dict[str, Any] = workflow.parser.config
    if workflow.run_id != "run":
        return str(workflow.run_id)
    return next((kind for kind in reversed(PLACES) if config.get(kind) == config["run"]), "")
