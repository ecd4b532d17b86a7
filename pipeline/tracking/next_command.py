"""What follows a run of a bundle: something else with the same training."""

from pathlib import Path
from shutil import which

from pipeline.bundle import Bundle
from pipeline.bundle.bundle import TRAIN
from pipeline.bundle.received import is_of_job
from pipeline.bundle.workflow import RESTORED, typed_values
from pipeline.files import shown
from pipeline.next_command import PROGRAM, print_next, typed_command
from pipeline.tracking.connection import store_errors
from pipeline.tracking.experiment_words import experiment_words
from pipeline.tracking.run import Run
from pipeline.tracking.trainings import StoredTraining, find_training

PRETRAINING = "pretraining"
"""Folder of the overlays that learn from images alone."""


def print_next_run(run: Run, verb: str, training: str, model: Path, *settings: str) -> None:
    """Print the command that does something with the training of a run; nothing where none works.

    Args:
        run: that has ended.
        verb: ``evaluate`` or ``explain``.
        training: name of the training.
        model: its weights; a packed bundle's runs are met by their file, not by their training.
        settings: further ones for a packed bundle, as ``evaluation=FOLDER``.
    """
    words = run_words(run, verb, training, model, *settings)
    if words is not None:
        print_next(*words)


def print_next_training(run: Run, model: Path) -> None:
    """Print the command that begins a training from labels with pretrained weights.

    Args:
        run: the pretraining.
        model: its weights.
    """
    bundle = _bundle_of(run)
    if bundle is None:
        return
    files, typed = typed_values(run.workflow)
    if run.workflow in RESTORED:  # which was begun by another line
        print(f"next        train as {run.name} was begun, with --set init_from={shown(model)}")
        return
    overlays = [Path(file) for file in files[1:] if Path(file).parent.name != PRETRAINING]
    own = [f"{key}={value}" for key, value in typed.items() if key.startswith("network_def")]
    data: list[str | Path] = ["--data", Path(run.dataset_dir)] if "dataset_dir" in typed else []
    store = _store(run, bundle.tracking_dir())
    network: list[str | Path] = ["--with", *overlays] if overlays else []
    settings = [f"init_from={shown(model)}", *own]
    print_next("train", bundle.folder, *data, *store, *network, "--set", *settings)


def run_words(
    run: Run, verb: str, training: str, model: Path, *settings: str
) -> list[str | Path] | None:
    """Return the words of the command that does something with the training of a run.

    Args:
        run: that has ended, or ends.
        verb: ``evaluate``, ``infer`` or ``explain``.
        training: name of the training.
        model: its weights; a packed bundle's runs are met by their file, not by their training.
        settings: further ones for a packed bundle, as ``evaluation=FOLDER``.

    Returns:
        None where no such command would work: the store lacks the training, the configs lie in no
        bundle or in one of a federated job, or a packed bundle runs by the source that it brings.
    """
    bundle = _bundle_of(run)
    if bundle is None:
        return None
    if bundle.is_packed() and which(PROGRAM):
        places = ["--data", Path(run.dataset_dir), *_store(run, bundle.tracking_dir())]
        return [verb, bundle.folder, *places, "--set", f"model={model.resolve()}", *settings]
    if not bundle.is_packed() and (stored := _find_stored(run, training)):
        own = Path(stored.dataset_dir).resolve() == Path(run.dataset_dir).resolve()
        data: list[str | Path] = [] if own else ["--data", Path(run.dataset_dir)]
        store = _store(run, bundle.tracking_dir())
        return [verb, bundle.folder, "--run", training, *data, *store]
    return None


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


def crossval_command(run: Run, training: str) -> str:
    """Return the command that cross-validates what was trained; empty where none would work.

    Args:
        run: an evaluation; of a packed bundle there are no data to train on.
        training: name of the training, whose experiment is cross-validated.
    """
    bundle = _bundle_of(run)
    if bundle is None or bundle.is_packed():
        return ""
    data, store = Path(run.dataset_dir), _store(run, Path("mlruns"))
    folds = ["--folds", "5", "--out", "runs/cv"]
    experiment = experiment_words(run.workflow, bundle, _find_stored(run, training))
    places = ["--dataset-dir", data, *folds, *store]
    return typed_command("crossval", bundle.folder, *places, *experiment)


def _bundle_of(run: Run) -> Bundle | None:
    folder = Path(run.workflow.config_root_path).resolve().parent
    is_own = (folder / "configs" / TRAIN).is_file() and not is_of_job(folder)
    return Bundle(folder) if is_own else None


def _store(run: Run, default: Path) -> list[str | Path]:
    """The argument that names the tracking store, unless it is the one that would be taken."""
    return [] if run.store == default.resolve() else ["--tracking", run.store]


def _find_stored(run: Run, training: str) -> StoredTraining | None:
    try:
        with store_errors():
            return find_training(run.client, training, run.bundle)
    except (ValueError, FileNotFoundError):
        return None
