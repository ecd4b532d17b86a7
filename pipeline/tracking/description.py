"""The description of a run, which the MLflow UI shows on its page: its command and its report."""

from pathlib import Path

from mlflow.entities import Run as StoredRun
from monai.bundle import ConfigWorkflow

from pipeline.bundle.bundle import monai_arguments, monai_command
from pipeline.bundle.workflow import typed_values

NOTE = "mlflow.note.content"
"""Tag that MLflow shows as the description, in Markdown."""
MAX_COMMAND_CHARACTERS = 4000
PARENT = "current_run#parent"
"""What the command of a parent sets: typed again, it would file the run under a run that ended."""
REPORT_LINE = "Report of its evaluation:"
"""Beginning of the line that the newest evaluation replaces."""


def description(workflow: ConfigWorkflow, folder: Path) -> str:
    """Return the command that does what a run does, and where it writes."""
    files, overrides = typed_values(workflow)
    place = f"Written to `{folder.absolute()}`"
    if not files:  # a workflow that was made by hand
        return place
    own = {key: value for key, value in overrides.items() if key != PARENT}
    command = monai_command(monai_arguments(str(workflow.run_id), files, own))
    return f"```\n{command[:MAX_COMMAND_CHARACTERS]}\n```\n{place}"


def with_report(training: StoredRun, evaluation: str, folder: Path, report: str) -> str:
    """Return a training's description with the place of the report of its newest evaluation.

    Args:
        training: run that was evaluated.
        evaluation: id of the run with the report among its artefacts.
        folder: of the evaluation.
        report: name of the file.
    """
    lines = training.data.tags.get(NOTE, "").split("\n")
    own = "\n".join(line for line in lines if not line.startswith(REPORT_LINE)).rstrip()
    page = f"#/experiments/{training.info.experiment_id}/runs/{evaluation}/artifacts/{report}"
    return f"{own}\n\n{REPORT_LINE} [{report}]({page}) (`{folder.absolute() / report}`)".strip()
