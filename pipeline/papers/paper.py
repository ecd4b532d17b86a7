"""A paper as data: its experiments, and the numbers that it prints for each."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

PAPERS = Path(__file__).parent / "tables"
SCALES = ("reduced", "paper")


class Result(NamedTuple):
    """A number that a paper prints.

    Attributes:
        what: it is, in the page's words.
        ours: name of our metric beside it; ``network_numbers`` needs no run.
        paper: their number; None: they print none.
        where: they print it, and what they mean by it where that is not plain.
    """

    what: str
    ours: str
    paper: float | None = None
    where: str = ""


class Experiment(NamedTuple):
    """One experiment of a paper.

    Attributes:
        name: of its overlay, ``experiments/PAPER/NAME.yaml`` of the bundle.
        title: in the page's words.
        settings: what the paper says of it, and what it does not say.
        reduced: what is narrower at reduced scale.
        results: what it is measured by.
        base: name of the experiment whose overlay stands before its own; None: it has none.
    """

    name: str
    title: str
    settings: str
    reduced: str
    results: Sequence[Result]
    base: str | None = None


class Ranking(NamedTuple):
    """Experiments that a paper ranks.

    Attributes:
        by: the metric.
        of: names of experiments, the paper's best first.
    """

    by: str
    of: Sequence[str]


class Paper(NamedTuple):
    """A paper.

    Attributes:
        name: the stem of its file.
        title: its own.
        authors: by last name.
        bundle: that its experiments are overlays of.
        cohort: name of its adapter in ``unet-school data prepare``.
        notes: what is different in all of its experiments, and its misprints.
        experiments: in the page's order.
        ranking: of some of them; None: the paper ranks none.
        followed: the metric that is drawn against the epoch.
    """

    name: str
    title: str
    authors: str
    bundle: str
    cohort: str
    notes: Sequence[str]
    experiments: Sequence[Experiment]
    ranking: Ranking | None = None
    followed: str = "accuracy"

    def experiment(self, name: str) -> Experiment:
        """Return one by name.

        Raises:
            ValueError: there is none; the known ones are listed.
        """
        for each in self.experiments:
            if each.name == name:
                return each
        known = ", ".join(each.name for each in self.experiments)
        raise ValueError(f"{name}: {self.name} has no such experiment; it has {known}")


def paper_names() -> list[str]:
    """Return the names of all papers.

    Example:
        >>> "unet_school_isbi" in paper_names()
        True
    """
    return sorted(path.stem for path in PAPERS.glob("*.yaml"))


def read_paper(name: str) -> Paper:
    """Read a paper's experiments and numbers.

    Raises:
        ValueError: there is no such paper; the known ones are listed.

    Example:
        >>> read_paper("unet_isbi_mane_mittal").experiments[0].results[0].paper
        0.0828
    """
    if name not in paper_names():
        raise ValueError(f"{name}: no such paper; known are {', '.join(paper_names())}")
    content: dict[str, Any] = yaml.safe_load((PAPERS / f"{name}.yaml").read_text("utf-8"))
    experiments = [
        Experiment(key, **{**value, "results": [Result(**each) for each in value["results"]]})
        for key, value in content.pop("experiments").items()
    ]
    ranking = Ranking(**content.pop("ranking")) if "ranking" in content else None
    return Paper(name, **content, experiments=experiments, ranking=ranking)
