"""The rounds that a site has finished, from which an interrupted federated training goes on.

At the end of a round a site's state holds the server's model, so the server needs none of its own.
"""

import shutil
from collections.abc import Mapping
from pathlib import Path

from pipeline.claims import claim
from pipeline.federating.site_settings import SiteSettings
from pipeline.files import atomic
from pipeline.states import FINISHED, PREVIOUS_STATE, STATE

ROUNDS = "rounds"
"""Folder in that of a site's run: the states of its last two whole rounds, ``NUMBER.pt``."""


def keep_round(run: Path, number: int) -> None:
    """Keep the last state of a run as that of a whole round, and the round's before it.

    One site may be a round ahead of another, and never two: the server averages what all have sent.

    Args:
        run: folder of the training.
        number: of the round that ended, from 1.
    """
    folder = run / ROUNDS
    with atomic(folder / f"{number}.pt", durable=True) as temporary:
        shutil.copyfile(run / STATE, temporary)
    (folder / f"{number - 2}.pt").unlink(missing_ok=True)


def go_on(settings: Mapping[str, SiteSettings], rounds: int) -> tuple[int, dict[str, SiteSettings]]:
    """Set every site back to the last round that all have finished, or to its beginning.

    Where all rounds are done the last is done again: its validation gives the last model's scores.

    Args:
        settings: of each site.
        rounds: number of all rounds.

    Returns:
        The number of rounds that need not be done again, and the settings with the states.

    Raises:
        ValueError: a site of the interrupted training still runs.
    """
    runs = {name: _run(own) for name, own in settings.items()}
    common = set.intersection(*({0, *_kept(run)} for run in runs.values()))
    done = min(max(common), rounds - 1)
    return done, {
        name: own.model_copy(update={"resume": _set_back(own, runs[name], done)})
        for name, own in settings.items()
    }


def _run(own: SiteSettings) -> Path | None:
    """Return the folder of a site's training; None: it had not begun."""
    runs = [path for path in own.models.glob("*") if path.is_dir()]
    for run in runs:
        with claim(run):  # refuses one that is written
            pass
    return runs[0] if runs else None


def _kept(run: Path | None) -> set[int]:
    if run is None:
        return set()
    return {int(path.stem) for path in (run / ROUNDS).glob("[0-9]*.pt")}


def _set_back(own: SiteSettings, run: Path | None, done: int) -> Path | None:
    """Make the state of a whole round the last one, and return it; None: begin anew."""
    for path in own.out.glob("*"):  # what the server sends again
        if path == own.models and done:
            continue
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    if run is None or not done:
        return None
    for number in _kept(run) - set(range(done + 1)):
        (run / ROUNDS / f"{number}.pt").unlink()
    for name in (PREVIOUS_STATE, FINISHED):
        (run / name).unlink(missing_ok=True)
    with atomic(run / STATE, durable=True) as temporary:
        shutil.copyfile(run / ROUNDS / f"{done}.pt", temporary)
    return run / STATE
