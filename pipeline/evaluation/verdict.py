"""What a reader of an evaluation should do, by rules that its numbers decide."""

from collections.abc import Iterator
from typing import Literal, NamedTuple

from pipeline.evaluation.cases import ScoreSummary
from pipeline.evaluation.summary import CrossvalSummary, EvaluationSummary
from pipeline.metrics.statistics import independent_unit
from pipeline.pages import plain_number
from pipeline.progress import count

FEW_CASES = 10
"""Below which an interval over patients is wide, and too narrow for what it says."""
ENDS_OF_SCALE = (0.05, 0.95)
"""Thresholds at and beyond which probabilities say little; the first and the last of instances."""
FAR_FROM_TRUTH = 1 / 3
"""Part of the way from the best simple answer to the truth that a useful model has gone."""
OVERLAPS = ("iou", "dice")
"""Metrics of a verdict; accuracy flatters whoever leaves a small structure out."""


Summary = EvaluationSummary | CrossvalSummary


class Remark(NamedTuple):
    """One sentence of a verdict.

    Attributes:
        kind: how it is shown.
        text: the sentence, without a full stop.
        command: that mends it, where there is one.
    """

    kind: Literal["good", "caution", "bad"]
    text: str
    command: str = ""

    def line(self) -> str:
        """Return the sentence as a command prints it."""
        return f"{self.text}: {self.command}" if self.command else self.text


def verdict(summary: Summary, crossval: str = "") -> list[Remark]:
    """Return what is to be said of an evaluation, the gravest first; at least one remark.

    Args:
        summary: of the evaluation, or of a cross-validation.
        crossval: the command that cross-validates the bundle.
    """
    metric = summary.threshold_metric if summary.threshold_metric in OVERLAPS else OVERLAPS[0]
    score = summary.test[metric]
    remarks = [
        *_beside_simple_answers(summary, metric, score),
        *_missed(summary),
        *_threshold(summary),
        *_few_cases(metric, score, crossval),
    ]
    return sorted(remarks, key=lambda remark: remark.kind != "bad") or [_good(summary, metric)]


def _beside_simple_answers(summary: Summary, metric: str, score: ScoreSummary) -> Iterator[Remark]:
    name, value = _best_simple(summary, metric)
    label, own, other = _label(metric), plain_number(score.mean), plain_number(value)
    if score.mean <= value:
        yield Remark("bad", f"No better than {name} ({label} {own} against {other}): train longer")
    elif score.mean - value < FAR_FROM_TRUTH * (1 - value):
        yield Remark(
            "caution",
            f"{label} {own} is less than a third of the way from {name} ({other}) to the truth: "
            "train longer, or on more images",
        )
    elif score.low is not None and score.low <= value:
        yield Remark(
            "caution",
            f"Not surely better than {name}: {label} {own}, {_interval(score)}, against {other}",
        )


def _missed(summary: Summary) -> Iterator[Remark]:
    hits, missed = (summary.outcomes.get(name, 0) for name in ("found", "missed"))
    if missed > hits:
        of_all = f"{missed} of {count(hits + missed, 'structure')}"
        yield Remark("bad", f"Nothing is predicted for {of_all}: train longer")


def _threshold(summary: Summary) -> Iterator[Remark]:
    low, high = ENDS_OF_SCALE
    chosen = summary.chosen_thresholds
    at_ends = [threshold for threshold in chosen if not low < threshold < high]
    if at_ends:
        which = f"The threshold {plain_number(at_ends[0])} is"
        if len(chosen) > 1:
            which = f"{len(at_ends)} of {len(chosen)} thresholds are"
        yield Remark(
            "caution",
            f"{which} at the end of the scale: the probabilities say little yet; train longer, "
            "and look whether the masks are right",
        )


def _few_cases(metric: str, score: ScoreSummary, crossval: str) -> Iterator[Remark]:
    if score.patients >= FEW_CASES:
        return
    unit = independent_unit(score.n, score.patients)
    cases = count(score.n, "test case")
    tested = cases if unit == "images" else f"{cases} of {count(score.patients, 'patient')}"
    how = f"{_label(metric)} {plain_number(score.mean)}, {_interval(score)}"
    advice = "cross-validate" if crossval else "test on more"
    yield Remark("caution", f"{tested}: too few to rely on ({how}); {advice}", crossval)


def _good(summary: Summary, metric: str) -> Remark:
    score = summary.test[metric]
    name, value = _best_simple(summary, metric)
    return Remark(
        "good",
        f"{_label(metric)} {plain_number(score.mean)} ({_interval(score)}) over "
        f"{count(score.n, 'test image')}; {name} has {plain_number(value)}",
    )


def _best_simple(summary: Summary, metric: str) -> tuple[str, float]:
    answers = {name: v[metric] for name, v in summary.baselines.items() if metric in v}
    name = max(answers, key=lambda key: answers[key])
    return f"answering {name}" if name.startswith("all ") else f"the {name}", answers[name]


def _label(metric: str) -> str:
    return "IoU" if metric == "iou" else metric.capitalize()


def _interval(score: ScoreSummary) -> str:
    if score.low is None:
        return "no interval"
    return f"95 % interval {plain_number(score.low)} to {plain_number(score.high)}"
