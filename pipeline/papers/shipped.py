"""What is known of the bundles that come with the product: network, size, recorded scores."""

from pathlib import Path
from typing import Any, NamedTuple

from monai.bundle import ConfigParser

from pipeline.bundle import Bundle
from pipeline.bundle.network_numbers import network_numbers
from pipeline.bundle.shipped import shipped_names
from pipeline.papers.configs import REDUCED, is_of_another_config
from pipeline.papers.paper import paper_names, read_paper
from pipeline.papers.records import read_result, record_path

DEFAULT = "default"
"""Name of the experiment that is a bundle's ``train.yaml`` as it is."""
SCORES = {"test_dice": "Dice", "test_iou": "IoU"}


class ShippedBundle(NamedTuple):
    """A bundle that comes with the product.

    Attributes:
        name: name of its folder.
        purpose: what it segments.
        network: class of its network and its features.
        weights: count of the numbers in the network.
        scores: on the test split, by the record of its default; empty: there is no record.
    """

    name: str
    purpose: str
    network: str
    weights: int
    scores: str


def shipped_bundles(root: Path) -> list[ShippedBundle]:
    """Describe the bundles of a folder that has the repository's layout.

    Args:
        root: folder that holds ``bundles`` and ``docs/results``.
    """
    return [_describe(root, name) for name in shipped_names()]


def _describe(root: Path, name: str) -> ShippedBundle:
    bundle = Bundle(root / "bundles" / name)
    metadata = ConfigParser.load_config_file(bundle.configs / "metadata.json")
    network = bundle.config("training")["network_def"]
    features = ", ".join(map(str, network["features"]))
    return ShippedBundle(
        name,
        metadata["description"],
        f"{network['_target_'].rpartition('.')[2]} of {features} features",
        network_numbers(bundle.files("training")),
        _scores(root, name),
    )


def _scores(root: Path, name: str) -> str:
    """Return the scores on record, and what they are of."""
    record = read_result(record_path(root / "docs" / "results", name, DEFAULT, REDUCED))
    if record is None or name not in paper_names():
        return ""
    scores = ", ".join(
        f"{title} {_with_interval(record['metrics'][metric])}" for metric, title in SCORES.items()
    )
    paper = read_paper(name)
    images = record["metrics"][next(iter(SCORES))]["n"]
    changed = is_of_another_config(root, paper, paper.experiment(DEFAULT), record)
    remark = "; its config has changed since" if changed else ""
    notes = "".join(f"; {note.replace('*', '').rstrip('.')}" for note in paper.notes[1:])
    return f"{scores}, {images} test images of {paper.cohort}{remark}{notes}"


def _with_interval(score: dict[str, Any]) -> str:
    return f"{score['mean']:.3f} ({score['low']:.3f} to {score['high']:.3f})"
