"""The bundle of an experiment, and the hashes of its configs."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from monai.bundle import ConfigParser

from pipeline.bundle import Bundle
from pipeline.bundle.config_files import ConfigFiles
from pipeline.bundle.network_numbers import network_numbers
from pipeline.bundle.overrides import read_settings
from pipeline.papers.paper import Experiment, Paper
from pipeline.planning.wiring import wiring_of
from pipeline.precision import FLOAT32

REDUCED = "reduced"
WITHOUT_KEY = {"precision": FLOAT32}
"""What a training did whose config lacked a key that was added later."""

RECIPE_AXES = ("mirror_axes", "turned_axes")
"""What a training does not read that has augmentation of its own, and not the recipe's."""

INDECISIVE = {"engine", "surface_tolerance", "outer_missed"}
"""The engine that makes masks of new images; the tolerance that a score of its own is named by;
what a second contour may miss."""


class OneScaleError(ValueError):
    """Paper scale was asked of an experiment that has reduced scale alone."""


def experiment_bundle(
    root: Path, paper: Paper, experiment: Experiment, scale: str, settings: Sequence[str] = ()
) -> Bundle:
    """Return the bundle with the overlays of an experiment at a scale.

    The overlays of its bases stand before its own; all have the paper's settings. At reduced scale
    a further overlay reduces them: the experiment's own, or else that of its nearest base.

    Args:
        root: folder that holds ``bundles``.
        paper: paper of the experiment.
        experiment: experiment of the paper.
        scale: ``reduced`` or ``paper``.
        settings: further settings, each ``KEY=VALUE``.

    Raises:
        FileNotFoundError: a missing file.
        OneScaleError: paper scale of an experiment that has reduced scale alone.
    """
    folder = root / "bundles" / paper.bundle
    experiments = folder / "configs" / "experiments" / paper.name
    chain = [one.name for one in paper.with_bases(experiment)]
    overlays = [experiments / f"{name}.yaml" for name in chain]
    reducing = [experiments / REDUCED / f"{name}.yaml" for name in reversed(chain)]
    reducing = [path for path in reducing if path.is_file()][:1]
    if scale == REDUCED:
        overlays += reducing
    elif scale not in experiment.scales or not reducing:
        raise OneScaleError(f"{paper.name}: {experiment.name} has reduced scale alone")
    try:
        return Bundle(folder, overlays, read_settings(list(settings)))
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"{error}; give --root the folder that holds bundles and docs"
        ) from None


def evaluation_overlay(root: Path, paper: Paper) -> Path:
    """Return the paper's overlay on the evaluation's config."""
    configs = root / "bundles" / paper.bundle / "configs"
    return configs / "experiments" / paper.name / "evaluate.yaml"


def config_hashes(
    root: Path, paper: Paper, experiment: Experiment, scale: str, settings: Sequence[str]
) -> dict[str, str]:
    """Hash the config of a training and that of its evaluation.

    The number of threads is left out, since it changes the time and the last digits of a sum alone.
    So is the wiring, which is the same for all experiments and belongs to the code.
    """
    decisive = [setting for setting in settings if not setting.startswith("threads=")]
    bundle = experiment_bundle(root, paper, experiment, scale, decisive)
    overlay = evaluation_overlay(root, paper)
    return {
        "training_sha256": config_sha256(bundle.config("training"), "training"),
        "evaluation_sha256": config_sha256(bundle.config("evaluating", overlay), "evaluating"),
    }


def is_of_another_config(
    root: Path, paper: Paper, experiment: Experiment, record: Mapping[str, Any]
) -> bool:
    """Return whether the config of a record has changed since."""
    now = config_hashes(root, paper, experiment, record["scale"], record["settings"])
    return any(record[key] != value for key, value in now.items())


def config_sha256(config: dict[str, Any], run: str) -> str:
    """Hash a merged config without the wiring of its run."""
    wiring = WITHOUT_KEY | wiring_of("training") | wiring_of(run)
    experiment = _without(_decisive(_without_unread(config)), _decisive(wiring))
    text = json.dumps(experiment, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def _without_unread(config: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out the axes of the recipe where nothing refers to them."""
    text = json.dumps(config, default=str)
    return {
        key: value for key, value in config.items() if key not in RECIPE_AXES or f"@{key}" in text
    }


def _decisive(part: Any) -> Any:
    """Leave out what changes no score of a record."""
    if isinstance(part, Mapping):
        return {key: _decisive(value) for key, value in part.items() if key not in INDECISIVE}
    return [_decisive(value) for value in part] if isinstance(part, list) else part


def _without(config: Mapping[str, Any], wiring: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a config has beside the wiring, also in sections of which it changes a part."""
    own = {}
    for key, value in config.items():
        common = wiring.get(key)
        if value == common and key in wiring:
            continue
        if isinstance(value, Mapping) and isinstance(common, Mapping):
            own[key] = _without(value, common)
        else:
            own[key] = value
    return own


class Size(NamedTuple):
    """How large a training is.

    Attributes:
        numbers: numbers in the network: its parameters, and the running statistics of batch norm,
            which is Keras's "total parameters".
        steps: steps of the training.
        batch_size: images of a step.
    """

    numbers: int
    steps: int
    batch_size: int


def experiment_size(root: Path, paper: Paper, experiment: Experiment, scale: str) -> Size:
    """Return how large an experiment is; its network is built without memory for its weights.

    Raises:
        OneScaleError: paper scale of an experiment that has reduced scale alone.
    """
    bundle = experiment_bundle(root, paper, experiment, scale)
    return _size_of(tuple(bundle.files("training")))


@cache
def _size_of(configs: tuple[Path, ...]) -> Size:
    parser = ConfigParser(ConfigFiles.load_config_files([str(path) for path in configs]))
    knobs = ("max_epochs", "steps_per_epoch", "batch_size")
    epochs, steps, batch_size = map(parser.get_parsed_content, knobs)
    return Size(network_numbers(configs), epochs * steps, batch_size)
