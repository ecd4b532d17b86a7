"""A paper with all that is recorded of it, from which its section of the page is made."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.papers.configs import OneScaleError, Size, experiment_size
from pipeline.papers.paper import SCALES, Experiment, Paper
from pipeline.papers.paper_scale import StepCosts, read_step_costs
from pipeline.papers.records import read_result, record_path

NOT_RUN, NO_VALUE = "not run", "–"
Record = Mapping[str, Any]


class Recorded(NamedTuple):
    """A paper with its records.

    Attributes:
        paper: the paper.
        results: folder of the records.
        records: record of each experiment and scale; None: it was not run.
        sizes: size of each experiment and scale; None: the experiment lacks the scale.
        step_costs: what a step costs at paper scale, by ``PAPER/EXPERIMENT``.
    """

    paper: Paper
    results: Path
    records: Mapping[tuple[str, str], Record | None]
    sizes: Mapping[tuple[str, str], Size | None]
    step_costs: Mapping[str, StepCosts]

    @property
    def root(self) -> Path:
        """Folder that holds ``bundles`` and ``docs``."""
        return self.results.parents[1]

    @property
    def scales(self) -> list[str]:
        """Scales that any experiment has."""
        return [
            scale
            for scale in SCALES
            if any(self.sizes[experiment.name, scale] for experiment in self.paper.experiments)
        ]


def read_recorded(paper: Paper, results: Path) -> Recorded:
    """Read all records of a paper.

    Raises:
        FileNotFoundError: a bundle or an overlay is missing.
        ValueError: a record that is not readable.
    """
    pairs = [(experiment, scale) for experiment in paper.experiments for scale in SCALES]
    paths = {
        (experiment.name, scale): record_path(results, paper.name, experiment.name, scale)
        for experiment, scale in pairs
    }
    return Recorded(
        paper,
        results,
        {key: read_result(path) for key, path in paths.items()},
        {(each.name, scale): _size(results, paper, each, scale) for each, scale in pairs},
        read_step_costs(results),
    )


def _size(results: Path, paper: Paper, experiment: Experiment, scale: str) -> Size | None:
    try:
        return experiment_size(results.parents[1], paper, experiment, scale)
    except OneScaleError:
        return None


def sentence(text: str) -> str:
    """Return a text of YAML as one line with a full stop."""
    text = " ".join(text.split())
    return text if text.endswith(".") else f"{text}."
