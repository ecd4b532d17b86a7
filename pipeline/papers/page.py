"""The page of results: every paper's numbers beside ours, generated from the records alone."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.files import atomic
from pipeline.metrics.statistics import bootstrap_interval
from pipeline.papers.configs import OneScaleError, config_hashes, network_numbers
from pipeline.papers.paper import SCALES, Experiment, Paper, Result, paper_names, read_paper
from pipeline.papers.records import read_result, record_path

HEADING = """# Results

The papers' numbers beside ours. This page is generated from the records in `docs/results` by
`unet-school reproduce`; no number is typed by hand. Ours are means over images and seeds; in
parentheses stands the 95 % interval over images (of five slices it holds about 80 % in truth), and
after `±` half the range between seeds. `paper` scale is the paper's own width, size and length. At
`reduced` scale networks are narrower and trainings shorter, and what that takes (a larger rate that
falls, batch norm) is told with each experiment.
"""
NOT_RUN, NO_SUCH = "not run", "–"
NAMES = {"accuracy": "Accuracy", "iou": "IoU", "dice": "Dice"}
Records = Mapping[tuple[str, str], Mapping[str, Any] | None]
"""By experiment and scale."""
SHOWN = (1, 2, 3, 5, 7, 10, 15, 20, 30, 40, 60, 100)
"""Epochs in the table of accuracy against epoch."""


def write_page(results: Path) -> Path:
    """Write ``results.md`` beside the folder of the records, and return where it is."""
    path = results.parent / "results.md"
    with atomic(path) as temporary:
        temporary.write_text(page(results), "utf-8")
    return path


def page(results: Path) -> str:
    """The whole page: a section for each paper."""
    return "\n".join([HEADING, *(section(read_paper(name), results) for name in paper_names())])


def section(paper: Paper, results: Path) -> str:
    """A paper's section: its table, what each experiment was, and what is different."""
    records: Records = {
        (each.name, scale): read_result(record_path(results, paper.name, each.name, scale))
        for each in paper.experiments
        for scale in SCALES
    }
    root = results.parents[1]
    lines = [f"## {paper.title}", ""]
    lines += [f"{paper.authors}; `unet-school reproduce {paper.name}`", ""]
    lines += ["| experiment | measure | paper | ours, reduced | ours, paper scale |"]
    lines += ["|---|---|---|---|---|"]
    for each in paper.experiments:
        lines += _rows(root, paper, each, records)
    lines += ["", *_ranking(paper, records)]
    lines += [*_curves(paper, records)]
    lines += ["**What is different**", "", *(f"- {_sentence(note)}" for note in paper.notes), ""]
    lines += ["**The experiments**", ""]
    for each in paper.experiments:
        lines.append(f"- {each.title}: {_sentence(each.settings)} Reduced: {_sentence(each.reduced)}")
        for scale in SCALES:
            if record := records[each.name, scale]:
                lines[-1] += f" {_made(scale, record)}{_stale(root, paper, each, record)}"
    return "\n".join(lines) + "\n"


def _ranking(paper: Paper, records: Records) -> Iterator[str]:
    """Whether the paper's ranking holds: each experiment against the paper's best."""
    if paper.ranking is None:
        return
    by, of = paper.ranking
    known = {name: records[name, "reduced"] for name in of}
    recorded = {name: record for name, record in known.items() if record}
    if len(recorded) < len(of) or len({r["datalist_sha256"] for r in recorded.values()}) > 1:
        return
    found = {name: record["metrics"][by] for name, record in recorded.items()}
    title = {name: paper.experiment(name).title for name in of}
    ranked = sorted(of, key=lambda name: -found[name]["mean"])
    order = ", ".join(f"{title[name]} {found[name]['mean']:.4f}" for name in ranked)
    yield f"Ranking at reduced scale: {order}; the paper's is {', '.join(title[n] for n in of)}."
    spent = {name: np.mean(recorded[name]["training_seconds"]) / 60 for name in ranked}
    minutes = ", ".join(f"{title[name]} {spent[name]:.1f}" for name in ranked)
    yield f"Minutes of training each: {minutes}."
    for name in of[1:]:
        pairs = [found[each]["by_image"] for each in (of[0], name)]
        interval = bootstrap_interval([pairs[0][image] - pairs[1][image] for image in pairs[0]])
        seeds = [found[each]["by_seed"] for each in (of[0], name)]
        higher = sum(first > second for first in seeds[0] for second in seeds[1])
        yield (
            f"{title[of[0]]} less {title[name]}: {interval.mean:+.4f} ({interval.low:+.4f} to "
            f"{interval.high:+.4f} over images), higher in {higher} of "
            f"{len(seeds[0]) * len(seeds[1])} pairs of trainings."
        )
    yield ""


def _curves(paper: Paper, records: Records) -> Iterator[str]:
    """A metric against epoch where it is recorded, the mean over seeds."""
    kept = {
        each.title: record["curves"]
        for each in paper.experiments
        if (record := records[each.name, "reduced"]) and record["curves"]
    }
    if not kept:
        return
    last = max(curves[0]["epoch"][-1] for curves in kept.values())
    shown = sorted({*(epoch for epoch in SHOWN if epoch < last), last})
    title = NAMES[paper.followed]
    yield f"{title} at 1/2 against epoch, at reduced scale (train: of the augmented batches):"
    yield ""
    yield f"| | split | {' | '.join(map(str, shown))} |"
    yield f"|---|---|{'---|' * len(shown)}"
    for title, curves in kept.items():
        for split in ("train", "validation", "test"):
            name = f"{split}_{paper.followed}"
            if not any(name in each for each in curves):
                continue
            cells = (_at_epoch(curves, name, epoch) for epoch in shown)
            yield f"| {title if split == 'train' else ''} | {split} | {' | '.join(cells)} |"
    yield ""


def _at_epoch(curves: Sequence[Mapping[str, Any]], name: str, epoch: int) -> str:
    found = [dict(zip(c["epoch"], c.get(name, ()), strict=False)).get(epoch) for c in curves]
    values = [value for value in found if value is not None]
    return f"{sum(values) / len(values):.4f}" if values else "–"


def _rows(root: Path, paper: Paper, experiment: Experiment, records: Records) -> Iterator[str]:
    counts = [_numbers(root, paper, experiment, scale) for scale in SCALES]
    for number, result in enumerate(experiment.results):
        title = "" if number else experiment.title
        where = f" ({result.where})" if result.where else ""
        theirs = "–" if result.paper is None else f"{result.paper:g}"
        cells = [
            _cell(records[experiment.name, scale], result) if count else NO_SUCH
            for scale, count in zip(SCALES, counts, strict=True)
        ]
        if result.ours == "network_numbers":
            theirs = "–" if result.paper is None else f"{result.paper:,.0f}"
            cells = [f"{count:,}" if count else NO_SUCH for count in counts]
        yield f"| {title} | {result.what}{where} | {theirs} | {' | '.join(cells)} |"


def _numbers(root: Path, paper: Paper, experiment: Experiment, scale: str) -> int | None:
    """Count those in the network; None: the experiment has not this scale."""
    try:
        return network_numbers(root, paper, experiment, scale)
    except OneScaleError:
        return None


def _cell(record: Mapping[str, Any] | None, result: Result) -> str:
    if record is None:
        return NOT_RUN
    found = record["metrics"].get(result.ours)
    if found is None:
        return NO_SUCH
    spread = max(found["by_seed"]) - min(found["by_seed"])
    digits = ".4f" if abs(found["mean"]) <= 1 else ".3g"
    text = f"{found['mean']:{digits}}"
    if found.get("low") is not None:
        text += f" ({found['low']:{digits}} to {found['high']:{digits}})"
    return text + (f" ± {spread / 2:{digits}}" if len(found["by_seed"]) > 1 else "")


def _made(scale: str, record: Mapping[str, Any]) -> str:
    """By what a record was made."""
    n = max(found.get("n", 0) for found in record["metrics"].values())
    minutes = ", ".join(f"{each / 60:.1f}" for each in record["training_seconds"])
    by_hand = f", with {' '.join(record['settings'])}" if record["settings"] else ""
    seeds = ", ".join(map(str, record["seeds"]))
    commits = ", ".join(each[:8] + "-dirty" * each.endswith("-dirty") for each in record["commits"])
    return (
        f"*At {scale} scale: {n} images, seeds {seeds}, {minutes} min of training on "
        f"{' and '.join(record['hardware'])}{by_hand}, commit {commits}.*"
    )


def _stale(root: Path, paper: Paper, experiment: Experiment, record: Mapping[str, Any]) -> str:
    """A word on a record whose config has changed since."""
    now = config_hashes(root, paper, experiment, record["scale"], record["settings"])
    same = all(record[key] == value for key, value in now.items())
    return "" if same else " **Its config has changed since.**"


def _sentence(text: str) -> str:
    text = " ".join(text.split())
    return text if text.endswith(".") else f"{text}."
