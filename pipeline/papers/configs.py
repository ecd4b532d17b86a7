"""The files that an experiment is made of, and what tells them from others."""

import hashlib
import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import torch
from monai.bundle import ConfigParser

from pipeline.papers.paper import Experiment, Paper


class OneScaleError(ValueError):
    """An experiment has no overlay that tells paper scale from laptop scale."""


def training_configs(root: Path, paper: Paper, experiment: Experiment, scale: str) -> list[Path]:
    """Return ``train.yaml`` and the overlays of an experiment at a scale.

    The overlay of its base, if it has one, stands before its own; both have the paper's settings.
    At laptop scale another one narrows them, its own or else its base's.

    Args:
        root: holds ``bundles``.
        paper: whose.
        experiment: which.
        scale: ``laptop`` or ``paper``.

    Raises:
        FileNotFoundError: a file is not there.
        OneScaleError: paper scale of an experiment that has laptop scale alone.
    """
    configs = root / "bundles" / paper.bundle / "configs"
    folder = configs / "experiments" / paper.name
    chain = [experiment.base, experiment.name] if experiment.base else [experiment.name]
    files = [configs / "train.yaml", *(folder / f"{name}.yaml" for name in chain)]
    for path in files:
        if not path.is_file():
            raise FileNotFoundError(
                f"{path}: no such file; give --root the folder that holds bundles and docs"
            )
    narrower = [folder / "laptop" / f"{name}.yaml" for name in reversed(chain)]
    narrower = [path for path in narrower if path.is_file()][:1]
    if scale == "laptop":
        return [*files, *narrower]
    if not narrower:
        raise OneScaleError(f"{paper.name}: {experiment.name} has laptop scale alone")
    return files


def evaluation_configs(root: Path, paper: Paper, experiment: Experiment, scale: str) -> list[Path]:
    """Return the training's files, the evaluation's overlay, and the paper's overlay on that."""
    configs = root / "bundles" / paper.bundle / "configs"
    return [
        *training_configs(root, paper, experiment, scale),
        configs / "evaluate.yaml",
        configs / "experiments" / paper.name / "evaluate.yaml",
    ]


def config_hashes(
    root: Path, paper: Paper, experiment: Experiment, scale: str, overrides: Sequence[str]
) -> dict[str, str]:
    """Hash what decides a training, and what decides its evaluation."""
    files = (root, paper, experiment, scale)
    return {
        "training_sha256": config_sha256(training_configs(*files), overrides),
        "evaluation_sha256": config_sha256(evaluation_configs(*files), overrides),
    }


def network_numbers(root: Path, paper: Paper, experiment: Experiment, scale: str) -> int:
    """Count the numbers in a network: its parameters, and the running statistics of batch norm.

    As Keras counts "total parameters". No number is drawn or stored for it.
    """
    return _numbers_of(tuple(training_configs(root, paper, experiment, scale)))


@cache
def _numbers_of(configs: tuple[Path, ...]) -> int:
    parser = ConfigParser(ConfigParser.load_config_files([str(path) for path in configs]))
    with torch.device("meta"):
        network = parser.get_parsed_content("network_def")
    return sum(each.numel() for each in network.state_dict().values() if each.is_floating_point())


def config_sha256(configs: Sequence[Path], overrides: Sequence[str]) -> str:
    """Hash the merged config, and what was overridden by hand.

    The number of threads is left out: it changes the time, and the last digits of a sum.
    """
    merged = ConfigParser.load_config_files([str(path) for path in configs])
    pairs = sorted(zip(overrides[::2], overrides[1::2], strict=True))
    decides = [pair for pair in pairs if pair[0] != "--threads"]
    text = json.dumps([merged, decides], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()
