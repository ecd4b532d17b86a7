"""A training that ``torchrun --max-restarts`` starts again goes on from its last state.

When a process is lost, torchrun ends the others and starts all again with the same words, which
name no state. So the first process notes which run it began, in a file of the folder of runs that
is named after torchrun's own id; the processes of a restart read it.
"""

import os
from hashlib import sha256
from pathlib import Path

from pipeline.files import write_text
from pipeline.states import has_state

RUN_ID = "TORCHELASTIC_RUN_ID"
"""Environment variable: what the processes of one call of ``torchrun`` have in common."""
RESTARTS = "TORCHELASTIC_RESTART_COUNT"
"""Environment variable: how often ``torchrun`` started them again."""


def note_run(models: Path, folder: Path) -> None:
    """Note the run that this call of ``torchrun`` trains; nothing without ``torchrun``.

    Args:
        models: folder of the bundle's runs, which all machines share.
        folder: of the run.
    """
    if note := _note(models):
        write_text(note, str(folder.resolve()))


def forget_run(models: Path) -> None:
    """Remove the note of this call of ``torchrun``: its training has ended."""
    if note := _note(models):
        note.unlink(missing_ok=True)


def run_before_restart(models: Path) -> Path | None:
    """Return the folder of the run to go on with; None: no restart, or no epoch was complete.

    Args:
        models: folder of the bundle's runs.
    """
    note = _note(models)
    if note is None or os.environ.get(RESTARTS, "0") == "0" or not note.is_file():
        return None
    folder = Path(note.read_text("utf-8"))
    return folder if has_state(folder) else None


def _note(models: Path) -> Path | None:
    run_id = os.environ.get(RUN_ID)
    if run_id is None:
        return None
    return models / f".torchrun-{sha256(run_id.encode()).hexdigest()[:8]}"
