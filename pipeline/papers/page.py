"""The page of results: every paper's numbers next to ours, generated from the records alone."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.files import atomic
from pipeline.metrics.statistics import bootstrap_interval
from pipeline.papers.configs import REDUCED, OneScaleError, config_hashes, network_numbers
from pipeline.papers.paper import SCALES, Experiment, Paper, Result, paper_names, read_paper
from pipeline.papers.records import read_result, record_path

HEADING = """# Results

The papers' numbers next to ours. `unet-school reproduce` generates this page from the records in
`docs/results`; no number is typed by hand. Ours are means over images and seeds. Parentheses hold
the 95 % interval over images (with five slices it holds about 80 %); `±` is half the range between
seeds. Paper scale has the paper's own network width, image size and length of training. At reduced
scale networks have fewer channels and trainings are shorter; each experiment lists these changes,
and those that a short training needs, such as a larger learning rate that falls, or batch norm.
"""
NOT_RUN, NO_VALUE = "not run", "–"
METRIC_TITLES = {"accuracy": "Accuracy", "iou": "IoU", "dice": "Dice"}
Records = Mapping[tuple[str, str], Mapping[str, Any] | None]
"""The record of an experiment and a scale; None: it was not run."""
TABLE_EPOCHS = (1, 2, 3, 5, 7, 10, 15, 20, 30, 40, 60, 100)
"""Epochs in the table of a metric against the epoch; the last epoch is added."""


def write_page(results: Path) -> Path:
    """Write ``results.md`` next to the folder of the records, and return its path."""
    path = results.parent / "results.md"
    with atomic(path) as temporary:
        temporary.write_text(page(results), "utf-8")
    return path


def page(results: Path) -> str:
    """Return the whole page, with a section for each paper."""
    return "\n".join([HEADING, *(section(read_paper(name), results) for name in paper_names())])


def section(paper: Paper, results: Path) -> str:
    """Return a paper's section: its table, the differences, and the settings of each experiment."""
    records: Records = {
        (experiment.name, scale): read_result(
            record_path(results, paper.name, experiment.name, scale)
        )
        for experiment in paper.experiments
        for scale in SCALES
    }
    root = results.parents[1]
    lines = [f"## {paper.title}", ""]
    lines += [f"{paper.authors}; `unet-school reproduce {paper.name}`", ""]
    columns = ["experiment", "measure", "paper"]
    columns += ["printed by the authors' code"] if paper.code else []
    columns += ["ours, reduced scale", "ours, paper scale"]
    lines += [_row(columns), f"|{'---|' * len(columns)}"]
    for experiment in paper.experiments:
        lines += _rows(root, paper, experiment, records)
    lines += ["", *_ranking(paper, records)]
    lines += [*_curves(paper, records)]
    lines += ["**Differences**", "", *(f"- {_sentence(note)}" for note in paper.notes), ""]
    lines += _authors_code(paper)
    lines += ["**Experiments**", ""]
    for experiment in paper.experiments:
        lines.append(_description(root, paper, experiment, records))
    return "\n".join(lines) + "\n"


def _authors_code(paper: Paper) -> Iterator[str]:
    """List what the authors' public code settles, and what it contradicts."""
    if not paper.code:
        return
    yield "**The authors' code**"
    yield ""
    for version in paper.code:
        line = f"- {version.repository}. It says: {_sentence(version.settles)}"
        if version.contradicts:
            line += f" Otherwise than the paper: {_sentence(version.contradicts)}"
        yield line
    yield ""


def _description(root: Path, paper: Paper, experiment: Experiment, records: Records) -> str:
    """Return the line of an experiment: its settings, and the origin of its records."""
    line = f"- {experiment.title}: {_sentence(experiment.settings)}"
    line += f" Reduced: {_sentence(experiment.reduced)}"
    for scale in SCALES:
        if record := records[experiment.name, scale]:
            line += f" {_origin(scale, record)}{_stale(root, paper, experiment, record)}"
    return line


def _ranking(paper: Paper, records: Records) -> Iterator[str]:
    """Compare our ranking with the paper's: each experiment against the paper's best."""
    if paper.ranking is None:
        return
    metric, names, printed = paper.ranking
    recorded = {name: record for name in names if (record := records[name, REDUCED])}
    if len(recorded) < len(names) or len({r["datalist_sha256"] for r in recorded.values()}) > 1:
        return
    scores = {name: record["metrics"][metric] for name, record in recorded.items()}
    title = {name: paper.experiment(name).title for name in names}
    ranked = sorted(names, key=lambda name: -scores[name]["mean"])
    order = ", ".join(f"{title[name]} {scores[name]['mean']:.4f}" for name in ranked)
    of_paper = f"; the paper's is {', '.join(title[n] for n in names)}" if printed else ""
    yield f"Ranking at reduced scale: {order}{of_paper}."
    minutes = {name: np.mean(recorded[name]["training_seconds"]) / 60 for name in ranked}
    times = ", ".join(f"{title[name]} {minutes[name]:.1f}" for name in ranked)
    yield f"Minutes of training each: {times}."
    best = names[0]
    for name in names[1:]:
        first, second = scores[best]["by_image"], scores[name]["by_image"]
        interval = bootstrap_interval([first[image] - second[image] for image in first])
        pairs = list(product(scores[best]["by_seed"], scores[name]["by_seed"]))
        higher = sum(one > other for one, other in pairs)
        yield (
            f"{title[best]} less {title[name]}: {interval.mean:+.4f} ({interval.low:+.4f} to "
            f"{interval.high:+.4f} over images), higher in {higher} of {len(pairs)} pairs of "
            "trainings."
        )
    yield ""


def _curves(paper: Paper, records: Records) -> Iterator[str]:
    """Tabulate a metric against the epoch where it is recorded, as mean over the seeds."""
    recorded = {
        experiment.title: record["curves"]
        for experiment in paper.experiments
        if (record := records[experiment.name, REDUCED]) and record["curves"]
    }
    if not recorded:
        return
    last = max(curves[0]["epoch"][-1] for curves in recorded.values())
    epochs = sorted({*(epoch for epoch in TABLE_EPOCHS if epoch < last), last})
    metric = METRIC_TITLES[paper.curve_metric]
    yield f"{metric} at 1/2 against epoch, at reduced scale (train: of the augmented batches):"
    yield ""
    yield f"| | split | {' | '.join(map(str, epochs))} |"
    yield f"|---|---|{'---|' * len(epochs)}"
    for title, curves in recorded.items():
        for split in ("train", "validation", "test"):
            name = f"{split}_{paper.curve_metric}"
            if not any(name in of_seed for of_seed in curves):
                continue
            cells = (_at_epoch(curves, name, epoch) for epoch in epochs)
            yield f"| {title if split == 'train' else ''} | {split} | {' | '.join(cells)} |"
    yield ""


def _at_epoch(curves: Sequence[Mapping[str, Any]], name: str, epoch: int) -> str:
    of_seeds = [dict(zip(c["epoch"], c.get(name, ()), strict=False)).get(epoch) for c in curves]
    values = [value for value in of_seeds if value is not None]
    return f"{sum(values) / len(values):.4f}" if values else NO_VALUE


def _rows(root: Path, paper: Paper, experiment: Experiment, records: Records) -> Iterator[str]:
    counts = [_network_numbers(root, paper, experiment, scale) for scale in SCALES]
    for number, result in enumerate(experiment.results):
        title = "" if number else experiment.title
        where = f" ({result.where})" if result.where else ""
        cells = [
            _cell(records[experiment.name, scale], result) if count else NO_VALUE
            for scale, count in zip(SCALES, counts, strict=True)
        ]
        digits = "g"
        if result.metric == "network_numbers":
            digits = ",.0f"
            cells = [f"{count:,}" if count else NO_VALUE for count in counts]
        references = [result.paper, result.code] if paper.code else [result.paper]
        printed = [NO_VALUE if value is None else f"{value:{digits}}" for value in references]
        yield _row([title, f"{result.name}{where}", *printed, *cells])


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _network_numbers(root: Path, paper: Paper, experiment: Experiment, scale: str) -> int | None:
    """Count the numbers in the network; None: the experiment does not have this scale."""
    try:
        return network_numbers(root, paper, experiment, scale)
    except OneScaleError:
        return None


def _cell(record: Mapping[str, Any] | None, result: Result) -> str:
    if record is None:
        return NOT_RUN
    score = record["metrics"].get(result.metric)
    if score is None:
        return NO_VALUE
    spread = max(score["by_seed"]) - min(score["by_seed"])
    digits = ".4f" if abs(score["mean"]) <= 1 else ".3g"
    text = f"{score['mean']:{digits}}"
    if score.get("low") is not None:
        text += f" ({score['low']:{digits}} to {score['high']:{digits}})"
    return text + (f" ± {spread / 2:{digits}}" if len(score["by_seed"]) > 1 else "")


def _origin(scale: str, record: Mapping[str, Any]) -> str:
    """Return what a record was made with: images, seeds, time, hardware, settings, commits."""
    n = max(score.get("n", 0) for score in record["metrics"].values())
    minutes = ", ".join(f"{seconds / 60:.1f}" for seconds in record["training_seconds"])
    settings = f", with {' '.join(record['settings'])}" if record["settings"] else ""
    seeds = ", ".join(map(str, record["seeds"]))
    commits = ", ".join(
        commit[:8] + "-dirty" * commit.endswith("-dirty") for commit in record["commits"]
    )
    return (
        f"*At {scale} scale: {n} images, seeds {seeds}, {minutes} min of training on "
        f"{' and '.join(record['hardware'])}{settings}, commit {commits}.*"
    )


def _stale(root: Path, paper: Paper, experiment: Experiment, record: Mapping[str, Any]) -> str:
    """Return a remark if the config of a record has changed since."""
    now = config_hashes(root, paper, experiment, record["scale"], record["settings"])
    same = all(record[key] == value for key, value in now.items())
    return "" if same else " **Its config has changed since.**"


def _sentence(text: str) -> str:
    text = " ".join(text.split())
    return text if text.endswith(".") else f"{text}."
