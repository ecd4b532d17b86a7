"""A paper's table: each number that it prints next to ours."""

from collections.abc import Iterator, Sequence

from pipeline.papers.configs import REDUCED
from pipeline.papers.paper import Experiment, Result
from pipeline.papers.paper_scale import cpu_hours, gpu_hours, hours_text
from pipeline.papers.recorded import NO_VALUE, NOT_RUN, Record, Recorded

MAX_PLACE_CHARACTERS = 40
"""Longest remark on where a number stands that fits a cell; longer ones stand below the table."""
SIZE_TITLE = "network's numbers; steps x batch; minutes"


def results_table(recorded: Recorded) -> Iterator[str]:
    """Yield the lines of the table, and of the remarks below it.

    A column that no experiment fills is left out.
    """
    remarks: list[str] = []
    columns = ["experiment", "measure", *_references(recorded), *_scale_titles(recorded)]
    yield row(columns)
    yield f"|{'---|' * len(columns)}"
    for experiment in recorded.paper.experiments:
        yield from _rows(recorded, experiment, remarks)
    yield ""
    for number, remark in enumerate(remarks, start=1):
        yield f"- ({number}) {remark}"
    if remarks:
        yield ""


def row(cells: Sequence[str]) -> str:
    """Return a row of a table.

    Example:
        >>> row(["a", "b"])
        '| a | b |'
    """
    return f"| {' | '.join(cells)} |"


def number_cell(record: Record | None, metric: str) -> str:
    """Return a metric of a record: mean, interval over images, half the range between seeds."""
    if record is None:
        return NOT_RUN
    score = record["metrics"].get(metric)
    if score is None:
        return NO_VALUE
    spread = max(score["by_seed"]) - min(score["by_seed"])
    digits = ".4f" if abs(score["mean"]) <= 1 else ".3g"
    text = f"{score['mean']:{digits}}"
    if score.get("low") is not None:
        text += f" ({score['low']:{digits}} to {score['high']:{digits}})"
    return text + (f" ± {spread / 2:{digits}}" if len(score["by_seed"]) > 1 else "")


def _references(recorded: Recorded) -> dict[str, str]:
    """Return the columns of printed numbers, and the field of a result that each shows."""
    experiments = recorded.paper.experiments
    results = [result for experiment in experiments for result in experiment.results]
    columns = {"paper": "paper", "printed by the authors' code": "code"}
    return {
        title: field
        for title, field in columns.items()
        if any(getattr(result, field) is not None for result in results)
    }


def _scale_titles(recorded: Recorded) -> list[str]:
    if recorded.scales == [REDUCED]:
        return ["ours"]
    return [f"ours, {scale} scale" for scale in recorded.scales]


def _rows(recorded: Recorded, experiment: Experiment, remarks: list[str]) -> Iterator[str]:
    for number, result in enumerate(experiment.results):
        cells = [
            _scale_cell(recorded, experiment, scale, result, is_first=number == 0)
            for scale in recorded.scales
        ]
        digits = ",.0f" if result.metric == "network_numbers" else "g"
        printed = [getattr(result, field) for field in _references(recorded).values()]
        texts = [NO_VALUE if value is None else f"{value:{digits}}" for value in printed]
        title = "" if number else f"**{experiment.title}**"
        yield row([title, result.name + _place(result, remarks), *texts, *cells])
    sizes = [_size_cell(recorded, experiment, scale) for scale in recorded.scales]
    yield row(["", SIZE_TITLE, *(NO_VALUE for _ in _references(recorded)), *sizes])


def _place(result: Result, remarks: list[str]) -> str:
    """Return where a number stands, or the number of a remark that says so."""
    if len(result.where) > MAX_PLACE_CHARACTERS:
        if result.where not in remarks:
            remarks.append(result.where)
        return f" ({remarks.index(result.where) + 1})"
    return f" ({result.where})" if result.where else ""


def _scale_cell(
    recorded: Recorded, experiment: Experiment, scale: str, result: Result, is_first: bool
) -> str:
    size = recorded.sizes[experiment.name, scale]
    if size is None:
        return NO_VALUE
    if result.metric == "network_numbers":
        return f"{size.numbers:,}"
    record = recorded.records[experiment.name, scale]
    if record is None and scale != REDUCED and is_first:
        about = estimate(recorded, experiment)
        return f"{NOT_RUN}: about {about}" if about else NOT_RUN
    return number_cell(record, result.metric) + (_images(record, result) if record else "")


def _images(record: Record, result: Result) -> str:
    """Return the number of each image, the lowest first, where the table asks for it."""
    images = record["metrics"].get(result.metric, {}).get("by_image")
    if not result.each_image or not images:
        return ""
    values = sorted(images.values())
    return f"; each image {', '.join(f'{value:.3f}' for value in values)}"


def estimate(recorded: Recorded, experiment: Experiment) -> str:
    """Return how long a training of paper scale takes; empty: not known."""
    costs, name = recorded.step_costs, f"{recorded.paper.name}/{experiment.name}"
    estimates = {"a CPU thread": cpu_hours(costs, name), "a GPU": gpu_hours(costs, name)}
    return " or ".join(
        f"{hours_text(hours)} of {on}" for on, hours in estimates.items() if hours is not None
    )


def _size_cell(recorded: Recorded, experiment: Experiment, scale: str) -> str:
    size = recorded.sizes[experiment.name, scale]
    if size is None:
        return NO_VALUE
    text = f"{size.numbers:,}; {size.steps:,} x {size.batch_size}"
    if record := recorded.records[experiment.name, scale]:
        text += f"; {', '.join(f'{seconds / 60:.1f}' for seconds in record['training_seconds'])}"
    return text
