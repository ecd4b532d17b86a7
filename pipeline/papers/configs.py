"""The bundle of an experiment, and the hashes of its configs."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import torch
from monai.bundle import ConfigParser

from pipeline.bundle import Bundle
from pipeline.bundle.config_files import ConfigFiles
from pipeline.bundle.overrides import read_settings
from pipeline.papers.paper import Experiment, Paper
from pipeline.planning.wiring import wiring_of

REDUCED = "reduced"


class OneScaleError(ValueError):
    """Paper scale was asked of an experiment that has reduced scale alone."""


def experiment_bundle(
    root: Path, paper: Paper, experiment: Experiment, scale: str, settings: Sequence[str] = ()
) -> Bundle:
    """Return the bundle with the overlays of an experiment at a scale.

    The overlay of its base, if it has one, stands before its own; both have the paper's settings.
    At reduced scale a further overlay reduces them: the experiment's own, or else its base's.

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
    chain = [experiment.base, experiment.name] if experiment.base else [experiment.name]
    overlays = [experiments / f"{name}.yaml" for name in chain]
    reducing = [experiments / REDUCED / f"{name}.yaml" for name in reversed(chain)]
    reducing = [path for path in reducing if path.is_file()][:1]
    if scale == REDUCED:
        overlays += reducing
    elif not reducing:
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
    experiment = _without(config, wiring_of("training") | wiring_of(run))
    text = json.dumps(experiment, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


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


def network_numbers(root: Path, paper: Paper, experiment: Experiment, scale: str) -> int:
    """Count the numbers in a network: its parameters, and the running statistics of batch norm.

    This is Keras's "total parameters". The network is built without memory for its weights.
    """
    bundle = experiment_bundle(root, paper, experiment, scale)
    return numbers_of_network(tuple(bundle.files("training")))


@cache
def numbers_of_network(configs: tuple[Path, ...]) -> int:
    """Count the numbers in the network of a chain of configs, see :func:`network_numbers`."""
    parser = ConfigParser(ConfigFiles.load_config_files([str(path) for path in configs]))
    with torch.device("meta"):
        network = parser.get_parsed_content("network_def")
    state = network.state_dict().values()
    return sum(values.numel() for values in state if values.is_floating_point())
