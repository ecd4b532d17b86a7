"""A paper as data: its experiments, and the numbers that it prints for each."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

PAPERS = Path(__file__).parent / "tables"
SCALES = ("reduced", "paper")
ORDER = (
    "a_look_into_unet_chest_xray",
    "unet_school_isbi",
    "ten_experiments_isbi",
    "ten_experiments_lungs",
    "unet_isbi_mane_mittal",
    "magicians_corner_pancreas_ct",
    "membranes",
    "lungs_xray",
    "lungs_ct",
    "pancreas_ct",
)
"""Order of the page: the papers, then the bundles' own defaults."""


class Result(NamedTuple):
    """A number that a paper prints, and our metric for it.

    Attributes:
        name: name of the quantity on the page.
        metric: name of our metric for it; ``network_numbers`` needs no run.
        paper: the paper's number; None: the paper prints none.
        code: number that the authors' public code prints; None: it prints none.
        where: where the paper prints it, and its meaning where that is not plain.
        each_image: whether our number of each test image stands beside the mean.
    """

    name: str
    metric: str
    paper: float | None = None
    code: float | None = None
    where: str = ""
    each_image: bool = False


class Experiment(NamedTuple):
    """One experiment of a paper.

    Attributes:
        name: name of its overlay, ``experiments/PAPER/NAME.yaml`` of the bundle.
        title: title on the page.
        settings: the paper's settings, and those that it leaves open.
        reduced: changes at reduced scale.
        results: numbers of the paper with our metrics.
        base: name of the experiment whose overlay stands before its own; None: no base.
        scales: scales that it has; those of ours beside the paper have reduced scale alone.
    """

    name: str
    title: str
    settings: str
    reduced: str
    results: Sequence[Result]
    base: str | None = None
    scales: Sequence[str] = SCALES


class AuthorsCode(NamedTuple):
    """What the authors' public code says of the paper.

    Attributes:
        repository: address, and the file.
        settles: what the paper leaves open and the code says.
        contradicts: what the code does otherwise than the paper says; empty: nothing.
    """

    repository: str
    settles: str
    contradicts: str = ""


class Ranking(NamedTuple):
    """A ranking of experiments: each is compared with the first, in pairs of images.

    Attributes:
        metric: name of our metric that ranks them.
        experiments: names of the experiments, the paper's best first.
        printed: whether the paper compares them itself; otherwise it only proposes to.
    """

    metric: str
    experiments: Sequence[str]
    printed: bool = True


class Headline(NamedTuple):
    """A paper's best number, for the summary of the page.

    Attributes:
        experiment: name of its experiment.
        metric: name of our metric for it; its result has the paper's number.
        default_metric: name of the same metric in the record of the bundle's default.
    """

    experiment: str
    metric: str
    default_metric: str


class Paper(NamedTuple):
    """A paper, its experiments and its numbers.

    Attributes:
        name: stem of its file.
        title: title of the paper.
        authors: last names of its authors.
        bundle: name of the bundle whose overlays its experiments are.
        cohort: name of its adapter in ``unet-school data prepare``.
        prepare: further arguments of that command, for the cohort of the records.
        notes: differences between the paper and all of our experiments, and its misprints.
        experiments: experiments in the order of the page.
        code: versions of the authors' public code.
        ranking: ranking of some experiments; None: the paper ranks none.
        headline: its best number; None: it is no paper, but a bundle of ours.
        curve_metric: metric that is tabulated against the epoch.
    """

    name: str
    title: str
    authors: str
    bundle: str
    cohort: str
    notes: Sequence[str]
    experiments: Sequence[Experiment]
    code: Sequence[AuthorsCode] = ()
    ranking: Ranking | None = None
    curve_metric: str = "accuracy"
    prepare: str = ""
    headline: Headline | None = None

    def experiment(self, name: str) -> Experiment:
        """Return an experiment by name.

        Raises:
            ValueError: no such experiment; the message lists the existing ones.
        """
        for experiment in self.experiments:
            if experiment.name == name:
                return experiment
        names = ", ".join(experiment.name for experiment in self.experiments)
        raise ValueError(f"{name}: {self.name} has no such experiment; it has {names}")

    def with_bases(self, experiment: Experiment) -> list[Experiment]:
        """Return an experiment after its base, the base of that before both, and so on.

        Example:
            >>> paper = read_paper("unet_school_isbi")
            >>> bases = paper.with_bases(paper.experiment("unetpp_deep_supervision"))
            >>> [one.name for one in bases]
            ['unetpp', 'unetpp_deep_supervision']
        """
        before = self.with_bases(self.experiment(experiment.base)) if experiment.base else []
        return [*before, experiment]


def paper_names() -> list[str]:
    """Return the names of all papers, in the order of the page.

    Example:
        >>> "unet_school_isbi" in paper_names()
        True
    """
    return list(ORDER)


def read_paper(name: str) -> Paper:
    """Read a paper's experiments and numbers.

    Raises:
        ValueError: no such paper; the message lists the existing ones.

    Example:
        >>> read_paper("unet_isbi_mane_mittal").experiments[0].results[0].paper
        0.0828
    """
    if name not in paper_names():
        raise ValueError(f"{name}: no such paper; known are {', '.join(paper_names())}")
    content: dict[str, Any] = yaml.safe_load((PAPERS / f"{name}.yaml").read_text("utf-8"))
    experiments = [
        Experiment(key, **{**value, "results": [Result(**row) for row in value["results"]]})
        for key, value in content.pop("experiments").items()
    ]
    ranking = Ranking(**content.pop("ranking")) if "ranking" in content else None
    headline = Headline(**content.pop("headline")) if "headline" in content else None
    code = [AuthorsCode(**version) for version in content.pop("code", ())]
    return Paper(
        name, **content, experiments=experiments, ranking=ranking, code=code, headline=headline
    )
