"""The page's first table: each paper's best number, ours, and that of the bundle's default."""

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from pipeline.papers.configs import REDUCED
from pipeline.papers.paper import Result, read_paper
from pipeline.papers.recorded import Record, Recorded, read_recorded
from pipeline.papers.results_table import number_cell, row


class Best(NamedTuple):
    """A paper's best number with ours.

    Attributes:
        result: the paper's number.
        own: our value of it in the same experiment, as text.
        default: the same measure of the bundle's default, as text.
        place: link to the section of the bundle's default.
    """

    result: Result
    own: str
    default: str
    place: str


def best_number(recorded: Recorded) -> Best | None:
    """Return a paper's best number with ours; None: it is a bundle of ours."""
    paper = recorded.paper
    headline = paper.headline
    if headline is None:
        return None
    bundle = read_paper(paper.bundle)
    default = read_recorded(bundle, recorded.results).records["default", REDUCED]
    results = paper.experiment(headline.experiment).results
    result = next(result for result in results if result.metric == headline.metric)
    own = recorded.records[headline.experiment, REDUCED]
    return Best(
        result,
        _cell(own, headline.metric, result),
        _cell(default, headline.default_metric, result),
        f"[{bundle.name}](#{slug(bundle.title)})",
    )


def summary(papers: Mapping[str, Recorded]) -> Iterator[str]:
    """Yield the lines of the table, one row a paper."""
    yield row(["paper", "measure", "its best number", "ours", "the bundle's default"])
    yield f"|{'---|' * 5}"
    for recorded in papers.values():
        if best := best_number(recorded):
            paper = recorded.paper
            title = paper.title.partition(":")[0]
            yield row(
                [
                    f"[{title}](#{slug(paper.title)}), {paper.authors}",
                    best.result.name + (", lower is better" if _is_error(best.result) else ""),
                    f"{best.result.paper:g}",
                    best.own,
                    f"{best.default}, {best.place}",
                ]
            )
    yield ""


def best_line(recorded: Recorded) -> Iterator[str]:
    """Yield the sentence on a paper's best number."""
    if best := best_number(recorded):
        yield (
            f"The paper's best number: {best.result.name} {best.result.paper:g}. Ours in the same "
            f"experiment: {best.own}. The default of {best.place}: {best.default}."
        )
        yield ""


def slug(title: str) -> str:
    """Return the anchor of a heading.

    Example:
        >>> slug("U-Net: Convolutional Networks")
        'u-net-convolutional-networks'
    """
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def _cell(record: Record | None, metric: str, result: Result) -> str:
    """Return the mean alone, bold where it is at least as good as the paper's."""
    text = number_cell(record, metric).partition(" (")[0].partition(" ±")[0]
    if record is None or metric not in record["metrics"] or result.paper is None:
        return text
    gain = record["metrics"][metric]["mean"] - result.paper
    is_better = gain <= 0 if _is_error(result) else gain >= 0
    return f"**{text}**" if is_better else text


def _is_error(result: Result) -> bool:
    return "error" in result.name or "loss" in result.name
