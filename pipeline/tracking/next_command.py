"""What follows a run of a bundle: something else with the same training."""

from pathlib import Path
from shutil import which

from pipeline.bundle import Bundle
from pipeline.bundle.bundle import TRAIN
from pipeline.next_command import PROGRAM, print_next, typed_command
from pipeline.tracking.connection import store_errors
from pipeline.tracking.run import Run
from pipeline.tracking.trainings import StoredTraining, find_training


def print_next_run(run: Run, verb: str, training: str, model: Path, *settings: str) -> None:
    """Print the command that does something with the training of a run.

    Nothing is printed where no such command would work: the store lacks the training, the configs
    lie in no bundle, or a packed bundle runs by the source that it brings.

    Args:
        run: that has ended.
        verb: ``evaluate`` or ``explain``.
        training: name of the training.
        model: its weights; a packed bundle's runs are met by their file, not by their training.
        settings: further ones for a packed bundle, as ``evaluation=FOLDER``.
    """
    bundle = _bundle_of(run)
    if bundle is None:
        return
    if bundle.is_packed() and which(PROGRAM):
        places = ["--data", Path(run.dataset_dir), *_store(run, bundle.tracking_dir())]
        print_next(verb, bundle.folder, *places, "--set", f"model={model.resolve()}", *settings)
    elif not bundle.is_packed() and (stored := _find_stored(run, training)):
        own = Path(stored.dataset_dir).resolve() == Path(run.dataset_dir).resolve()
        data: list[str | Path] = [] if own else ["--data", Path(run.dataset_dir)]
        store = _store(run, bundle.tracking_dir())
        print_next(verb, bundle.folder, "--run", training, *data, *store)


def print_next_pack(run: Run, training: str) -> None:
    """Print the command that packs an evaluated training, where it would work.

    Args:
        run: that has ended, of the training's own bundle.
        training: name of the training.
    """
    bundle = _bundle_of(run)
    if bundle is not None and not bundle.is_packed() and _find_stored(run, training):
        places = ["--out", f"{training}.zip", *_store(run, Path("mlruns"))]
        print_next("pack", bundle.folder, "--run", training, *places)


def crossval_command(run: Run) -> str:
    """Return the command that cross-validates the bundle of a run; empty where none would work.

    Args:
        run: an evaluation; of a packed bundle there are no data to train on.
    """
    bundle = _bundle_of(run)
    if bundle is None or bundle.is_packed():
        return ""
    data, store = Path(run.dataset_dir), _store(run, Path("mlruns"))
    folds = ["--folds", "5", "--out", "runs/cv"]
    return typed_command("crossval", bundle.folder, "--dataset-dir", data, *folds, *store)


def _bundle_of(run: Run) -> Bundle | None:
    folder = Path(run.workflow.config_root_path).resolve().parent
    return Bundle(folder) if (folder / "configs" / TRAIN).is_file() else None


def _store(run: Run, default: Path) -> list[str | Path]:
    """The argument that names the tracking store, unless it is the one that would be taken."""
    return [] if run.store == default.resolve() else ["--tracking", run.store]


def _find_stored(run: Run, training: str) -> StoredTraining | None:
    try:
        with store_errors():
            return find_training(run.client, training, run.bundle)
    except (ValueError, FileNotFoundError):
        return None
