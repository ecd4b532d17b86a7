"""The observations of "A look into U-Net" on its feature maps (Figure 6), each with a number."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from matplotlib.figure import Figure

from pipeline.explanation.case_explanation import ExplanationPart
from pipeline.explanation.group_profiles import FEWEST, Difference, largest_difference
from pipeline.explanation.images import Images, evenly
from pipeline.explanation.step_maps import IMAGE, LOGITS, StepMeter, steps_of
from pipeline.metrics.statistics import bootstrap_interval, holm, patients_of
from pipeline.networks import bottleneck_of
from pipeline.progress import track

NUMBERS = (
    "boundary_auc", "region_auc", "region_dice",
    "probe_boundary_auc", "probe_region_auc", "probe_region_dice",
)  # fmt: skip
"""Numbers of a step, in each image; those of the probes need images of the training split."""
DIFFERENCES = {"boundary_minus_region": "", "probe_boundary_minus_region": "probe_"}
"""Difference of the AUC for the boundary and that for the region, by the prefix of both."""
REGION_LEVEL = 0.9
"""Mean AUC from which on a step's map counts as showing the region."""
EXTREME_SHARE = 0.25
"""Share of the patients that are the best, and that are the worst."""


class StepLimits(NamedTuple):
    """How many images are measured.

    Attributes:
        measured: images of the evaluation, evenly over their names.
        learnt: images of the training split from which the probes learn.
        shuffles: shuffles of a test.
    """

    measured: int = 128
    learnt: int = 24
    shuffles: int = 1000


def explain_steps(
    network: torch.nn.Module,
    layers: Sequence[str],
    images: Images,
    rows: Sequence[Mapping[str, Any]],
    columns: Sequence[str],
    metric: str,
    limits: StepLimits,
    seed: int = 0,
) -> ExplanationPart:
    """Measure on many images what each step's map shows, and test the paper's three observations.

    Args:
        network: network in evaluation mode.
        layers: names of its steps.
        images: images of the cohort.
        rows: per-image table of the evaluation; each image in the cohort.
        columns: group columns.
        metric: score that says which patients are the best and the worst.
        limits: numbers of images.
        seed: seed of the shuffles.
    """
    try:
        steps = steps_of(network, layers)
    except ValueError as error:
        return ExplanationPart({"steps": {"without": f"not measured: {error}"}}, {}, {})
    meter = StepMeter(network, steps)
    chosen = evenly([str(row["image"]) for row in rows], limits.measured)
    _learn(meter, images, set(chosen), limits.learnt)
    table = []
    for name in track(chosen, "feature maps", len(chosen), "image"):
        table += [{"image": name, **row} for row in meter.measure(images[name])]
    if not table:
        without = "not measured: no label of these images has a boundary"
        return ExplanationPart({"steps": {"without": without}}, {}, {})
    scores = {str(row["image"]): float(row[metric]) for row in rows}
    of_image = {str(row["image"]): row for row in images.columns()}
    means = step_means(table, of_image)
    tests = _group_tests(table, of_image, scores, columns, limits.shuffles, seed)
    summary: dict[str, Any] = {
        "images": len({row["image"] for row in table}),
        "level": REGION_LEVEL,
        "means": means,
        "tests": tests,
        "observations": [
            boundary_observation(means),
            region_observation(means, bottleneck_of(network)),
            group_observation(tests),
        ],
    }
    tables = {"step_images": table, "steps": means, "step_groups": tests}
    pictures = {"steps": _curves(means)}
    return ExplanationPart({"steps": summary}, {k: v for k, v in tables.items() if v}, pictures)


def step_means(
    table: Sequence[Mapping[str, Any]], of_image: Mapping[str, Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Return for each step the mean of each number, with its 95 % interval over patients.

    Args:
        table: row of each image and step.
        of_image: columns of each image.
    """
    means = []
    for step in dict.fromkeys(row["step"] for row in table):
        rows = [row for row in table if row["step"] == step]
        patients = patients_of([of_image[row["image"]] for row in rows])
        values = {name: [row[name] for row in rows] for name in NUMBERS if name in rows[0]}
        for name, prefix in DIFFERENCES.items():
            if f"{prefix}boundary_auc" in values:
                values[name] = [
                    row[f"{prefix}boundary_auc"] - row[f"{prefix}region_auc"] for row in rows
                ]
        mean: dict[str, Any] = {"step": step}
        for name, of_name in values.items():
            interval = bootstrap_interval(of_name, patients)
            mean[name] = round(interval.mean, 4)
            for end in ("low", "high"):
                value = getattr(interval, end)
                mean[f"{name}_{end}"] = None if value is None else round(value, 4)
        means.append(mean)
    return means


def boundary_observation(means: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Judge "up to the last convolution the maps show the boundary".

    It holds at a step where the mean map finds the boundary better than the region: the interval
    of ``boundary_minus_region`` lies above 0.

    Example:
        >>> step = {"step": "decoder1", "boundary_minus_region_low": 0.1}
        >>> boundary_observation([step])["holds"]
        'yes'
    """
    steps = [row for row in means if row["step"] not in (IMAGE, LOGITS)]
    by_map, by_probe = (
        [row["step"] for row in steps if (row.get(f"{name}_low") or -1) > 0] for name in DIFFERENCES
    )
    return {
        "observation": "up to the last convolution the maps show the boundary",
        "holds": _verdict(len(by_map), len(steps)),
        "because": f"the mean map finds the boundary better than the region at "
        f"{_listed(by_map, len(steps))}; the best linear combination of the channels at "
        f"{_listed(by_probe, len(steps))}",
    }


def region_observation(means: Sequence[Mapping[str, Any]], bottleneck: str) -> dict[str, Any]:
    """Judge "no segmentation before the last step of the bottleneck".

    A step shows the region where the mean AUC of the region is :data:`REGION_LEVEL` or more. The
    observation holds where neither the mean map nor the probe does before the bottleneck's last
    step.

    Example:
        >>> means = [{"step": "encoder1", "region_auc": 0.6, "probe_region_auc": 0.95},
        ...     {"step": "bottleneck", "region_auc": 0.97, "probe_region_auc": 0.98}]
        >>> region_observation(means, "bottleneck")["holds"]
        'in part'
    """
    means = [row for row in means if row["step"] != IMAGE]
    steps = [row["step"] for row in means]
    last = max((i for i, step in enumerate(steps) if step.split(".")[0] == bottleneck), default=0)
    firsts = {}
    for name, key in (("mean map", "region_auc"), ("probe", "probe_region_auc")):
        if any(key in row for row in means):
            firsts[name] = next(
                (i for i, row in enumerate(means) if row.get(key, 0) >= REGION_LEVEL), None
            )
    late = [first is None or first >= last for first in firsts.values()]
    found = (
        f"{name}: {'never' if first is None else f'first at {steps[first]}'}"
        for name, first in firsts.items()
    )
    return {
        "observation": "no segmentation before the last step of the bottleneck",
        "holds": _verdict(sum(late), len(late)),
        "because": f"area under the ROC curve of the region of {REGION_LEVEL} or more; "
        + "; ".join(found),
    }


def group_observation(tests: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Judge "no difference between groups, nor between best and worst": p of .05 or less is one.

    Example:
        >>> test = {"groups": "sex", "p": 0.01, "step": "decoder1", "number": "region_auc"}
        >>> group_observation([test])["because"]
        'a difference between groups by sex (region_auc of decoder1, p = 0.01)'
    """
    found = [row for row in tests if row["p"] <= 0.05]
    listed = ", ".join(
        f"{row['groups']} ({row['number']} of {row['step']}, p = {row['p']:.2g})" for row in found
    )
    without = "no difference was found between groups by " + ", ".join(
        row["groups"] for row in tests
    )
    return {
        "observation": "no difference between groups, nor between best and worst",
        "holds": _verdict(len(tests) - len(found), len(tests)),
        "because": f"a difference between groups by {listed}"
        if found
        else (without if tests else "too few patients to test"),
    }


def _verdict(holds: int, of: int) -> str:
    if not of:
        return "not tested"
    return "yes" if holds == of else "in part" if holds else "no"


def _listed(names: Sequence[str], of: int) -> str:
    if not names:
        return "no step"
    return f"all {of} steps" if len(names) == of else ", ".join(names)


def _learn(meter: StepMeter, images: Images, measured: set[str], limit: int) -> None:
    """Let the probes learn from images of the training split that are not measured."""
    training = [name for name, (split, _) in images.entries.items() if split == "training"]
    names = evenly([name for name in training if name not in measured], limit)
    for name in track(names, "probes", len(names), "image"):
        meter.learn(images[name])
    if names:
        meter.finish()


def _group_tests(
    table: Sequence[Mapping[str, Any]],
    of_image: Mapping[str, Mapping[str, Any]],
    scores: Mapping[str, float],
    columns: Sequence[str],
    shuffles: int,
    seed: int,
) -> list[dict[str, Any]]:
    """Test the mean maps before the last convolution between groups; p is corrected (Holm)."""
    names = list(dict.fromkeys(row["image"] for row in table))
    patients = patients_of([of_image[name] for name in names])
    keys = [
        (step, number)
        for step in dict.fromkeys(row["step"] for row in table)
        if step not in (IMAGE, LOGITS)
        for number in ("boundary_auc", "region_auc")
    ]
    cells = {(row["image"], row["step"]): row for row in table}
    values = np.array([[cells[name, step][number] for step, number in keys] for name in names])
    score = np.array([[scores[name]] for name in names])
    of_patient, quality = _by_patient(values, patients), _by_patient(score, patients)[:, 0]
    first = {
        patient: name for name, patient in zip(reversed(names), reversed(patients), strict=True)
    }
    groupings: dict[str, list[Hashable]] = {
        column: [of_image[first[patient]][column] for patient in dict.fromkeys(patients)]
        for column in columns
    }
    groupings["best and worst"] = _extremes(quality)
    tests = []
    for name, groups in groupings.items():
        kept = [i for i, group in enumerate(groups) if group is not None]
        of_kept = [groups[i] for i in kept]
        found = largest_difference(of_patient[kept], of_kept, shuffles, seed) if kept else None
        if found is not None:
            tests.append((name, found))
    corrected = holm([found.p for _, found in tests])
    return [
        _test_row(name, found, p, keys) for (name, found), p in zip(tests, corrected, strict=True)
    ]


def _test_row(
    name: str, found: Difference, p: float, keys: Sequence[tuple[str, str]]
) -> dict[str, Any]:
    step, number = keys[found.number]
    ends = {key: round(getattr(found, key), 4) for key in ("share", "low", "high")}
    return {"groups": name, "step": step, "number": number, **ends, "p": round(p, 4)}


def _by_patient(values: Any, patients: Sequence[Hashable]) -> Any:
    """Return the mean of each patient's rows, in the order of first appearance."""
    return np.array(
        [
            values[[i for i, other in enumerate(patients) if other == patient]].mean(0)
            for patient in dict.fromkeys(patients)
        ]
    )


def _extremes(quality: Any) -> list[Hashable]:
    """Return ``high`` and ``low`` for a share of the patients at each end, None for the others."""
    share = max(FEWEST, round(EXTREME_SHARE * len(quality)))
    order = np.argsort(quality, kind="stable")
    names: list[Hashable] = [None] * len(quality)
    if 2 * share <= len(quality):
        for place, name in ((order[:share], "low"), (order[-share:], "high")):
            for i in place:
                names[i] = name
    return names


def _curves(means: Sequence[Mapping[str, Any]]) -> Figure:
    """Draw the AUC of boundary and region against the step, by mean map and by probe."""
    steps = [row["step"] for row in means]
    figure = Figure((11, 3.6), layout="constrained")
    titles = {"": "mean over the channels", "probe_": "best linear combination of the channels"}
    for axes, (prefix, title) in zip(
        figure.subplots(1, 2, sharey=True), titles.items(), strict=True
    ):
        for number, colour in (("boundary_auc", "#c0392b"), ("region_auc", "#3a6ea5")):
            rows = [(i, row) for i, row in enumerate(means) if f"{prefix}{number}" in row]
            places = [i for i, _ in rows]
            axes.plot(
                places, [row[f"{prefix}{number}"] for _, row in rows],
                marker="o", ms=3, color=colour, label=number.removesuffix("_auc"),
            )  # fmt: skip
            if rows and rows[0][1][f"{prefix}{number}_low"] is not None:
                ends = [
                    [row[f"{prefix}{number}_{end}"] for _, row in rows] for end in ("low", "high")
                ]
                axes.fill_between(places, *ends, color=colour, alpha=0.2, lw=0)
        axes.axhline(REGION_LEVEL, color="0.6", linestyle=":")
        axes.set(title=title, xticks=range(len(steps)), ylim=(0.45, 1.01))
        axes.set_xticklabels(steps, rotation=60, ha="right", fontsize=8)
        axes.grid(alpha=0.25)
    figure.axes[0].set_ylabel("area under the ROC curve")
    figure.axes[0].legend(frameon=False, fontsize=8)
    return figure
