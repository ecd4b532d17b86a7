"""What a training that was stopped says in its last lines: its best model, and how to go on."""

from pathlib import Path

from pipeline.bundle.received import is_of_job
from pipeline.files import shown
from pipeline.inference.trained_model import is_pretrained, read_record, record_path
from pipeline.next_command import typed_command
from pipeline.tracking import Run
from pipeline.tracking.next_command import run_words
from pipeline.tracking.store import MODEL


def stopped_lines(run: Run, epoch: int, max_epochs: int) -> list[str]:
    """Return the lines that a training ends with when it is stopped and can be resumed.

    Args:
        run: the training.
        epoch: epoch that it was in.
        max_epochs: number of its epochs.
    """
    stopped = f"stopped in epoch {epoch} of {max_epochs}; {_best_model(run.folder)}"
    bundle = Path(run.workflow.config_root_path).parent
    if is_of_job(bundle):  # it goes on with the other sites
        return [stopped]
    resume = typed_command("train", bundle, "--resume", run.folder)
    return [stopped, f"to go on from the last whole epoch: {resume}", *_use(run)]


def _best_model(folder: Path) -> str:
    model = folder / MODEL
    if not record_path(model).is_file():
        return "no epoch was validated yet, so there is no model"
    record = read_record(model)
    return (
        f"best model so far, of epoch {record.epoch} with validation {record.key_metric} "
        f"{record.key_metric_value:.4f}: {shown(model)}"
    )


def _use(run: Run) -> list[str]:
    """Return the commands that use the best model as it is, where they work."""
    model = run.folder / MODEL
    if not model.is_file() or is_pretrained(model):
        return []
    evaluate, infer = (run_words(run, verb, run.name, model) for verb in ("evaluate", "infer"))
    if evaluate is None or infer is None:
        return []
    return [
        f"to score the best model:            {typed_command(*evaluate)}",
        "to segment images with it:          "
        + typed_command(*infer, "--images", "DIR", "--out", "OUT"),
    ]
