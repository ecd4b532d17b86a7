"""How far an image, or a cohort, lies from those that a model was trained on.

What is told of a cohort here holds no image and no patient: counts, and percentiles over images.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from pipeline.data.fingerprint import CaseStatistics
from pipeline.data.image_statistics import ImageStatistics

FEWEST = 10
"""Patients of a group below which it is not told apart: few are known by their group."""
PERCENTILES = (5, 50, 95)
FEATURES = ("darkest", "median", "brightest", "mean", "deviation")
"""What is compared of an image's intensities: 0.5 %, 50 % and 99.5 %, mean, standard deviation."""
EXTENTS = ("shortest side", "longest side", "finest spacing", "coarsest spacing")
"""What is compared of an image's size: pixels, and millimetres where the file tells them."""
FOLD = 1.5
"""How many times the training images' sides or pixels an image's may be."""
OTHERS = "others"
Told = Mapping[str, Any]
"""A cohort as :func:`describe_cohort` tells it."""


def describe_cohort(
    facts: Sequence[CaseStatistics], columns: Sequence[str] = (), fewest: int = FEWEST
) -> dict[str, Any]:
    """Tell what a cohort's images are like.

    Args:
        facts: of its cases.
        columns: of groups, whose mix is told; those of fewer than ``fewest`` patients together.
        fewest: patients of whom something is told; 1 where it stays in the house.

    Returns:
        ``images``, ``patients``, ``sizes``, ``channels``, ``dtypes``: counts of images.
        ``intensities``: of each of :data:`FEATURES` the 5th, 50th and 95th percentile over images;
        ``extents`` (sides in pixels, spacing in mm where the files tell it) and ``foreground``
        likewise; none of them of fewer than ``fewest`` patients. ``groups``: images of each
        value of each column.
    """
    images = [case.image for case in facts if case.image]
    extents = [_extents(image) for image in images]
    of_all = [name for name in EXTENTS if all(name in each for each in extents)]
    patients = len({_patient(i, case) for i, case in enumerate(facts)})
    values = np.array([_features(image) for image in images]).reshape(-1, len(FEATURES))
    enough = patients >= fewest
    return {
        "images": len(images),
        "patients": patients,
        "sizes": _told_counts(facts, _size, fewest),
        "channels": sorted({str(image.channels) for image in images}),
        "dtypes": sorted({image.dtype for image in images}),
        "intensities": {name: _spread(values[:, i]) for i, name in enumerate(FEATURES) if enough},
        "extents": {name: _spread([each[name] for each in extents]) for name in of_all if enough},
        "foreground": _spread([case.mask.foreground for case in facts if case.mask and enough]),
        "groups": {name: _told_counts(facts, partial(_value, name), fewest) for name in columns},
    }


def differences(image: ImageStatistics, told: Told) -> list[str]:
    """Say in what an image differs from those of a cohort.

    An intensity is strange when it lies further outside the middle 90 % of the cohort's images than
    these are wide, or than a hundredth of the range from their darkest to their brightest pixels if
    that is more; a side or a spacing when it is :data:`FOLD` times theirs; so is a number of
    channels or a number format that no image of the cohort has.

    Args:
        image: looked at.
        told: the cohort, by :func:`describe_cohort`.

    Returns:
        A line for each difference; none: the image is like those of the cohort.
    """
    lines = [
        f"{what} {value}, where the training images have {', '.join(told[key])}"
        for what, key, value in (
            ("channels", "channels", str(image.channels)),
            ("number format", "dtypes", image.dtype),
        )
        if value not in told[key]
    ]
    spreads = told["intensities"]
    least = (spreads["brightest"][2] - spreads["darkest"][0]) / 100 if spreads else 0.0
    for name, value in zip(FEATURES, _features(image), strict=True):
        if name not in spreads:
            continue
        low, _, high = spreads[name]
        room = max(high - low, least)
        if not low - room <= value <= high + room:
            lines.append(_outside(name, value, low, high))
    for name, value in _extents(image).items():
        low, _, high = told["extents"].get(name, (value,) * 3)
        if not low / FOLD < value < high * FOLD:
            lines.append(_outside(name, value, low, high))
    return lines


def shift(own: Sequence[CaseStatistics], told: Told) -> dict[str, Any]:
    """Compare own cases with a cohort that was told.

    Returns:
        ``sizes``, ``intensities``, ``extents``, ``foreground``, each a pair of what is told of the
        cohort and of ours, however few. ``groups``: of each column that both have the share of each
        value, and ``moved``, half the sum of the differences: the part of the images that would
        have to change their group. ``strange``: how many of our images differ by :func:`strange`.
    """
    ours = describe_cohort(own, fewest=1)
    counts = {name: _counts(own, partial(_value, name)) for name in told["groups"]}
    mixes = {
        name: _mix(there, counts[name])
        for name, there in told["groups"].items()
        if there and counts[name]
    }
    images = [case.image for case in own if case.image]
    return {
        "images": [told["images"], ours["images"]],
        "sizes": [told["sizes"], ours["sizes"]],
        **{
            what: {name: [told[what].get(name, []), ours[what].get(name, [])] for name in names}
            for what, names in (("intensities", FEATURES), ("extents", EXTENTS))
        },
        "foreground": [told["foreground"], ours["foreground"]],
        "groups": mixes,
        "out_of_distribution": sum(bool(differences(image, told)) for image in images),
    }


def _features(image: ImageStatistics) -> tuple[float, ...]:
    return (*image.percentiles, image.mean, image.deviation)


def _outside(name: str, value: float, low: float, high: float) -> str:
    return f"{name} {value:.4g}, where 90 % of them have {low:.4g} to {high:.4g}"


def _extents(image: ImageStatistics) -> dict[str, float]:
    told = (image.size, image.spacing) if image.spacing else (image.size,)
    ends = [end(values) for values in told for end in (min, max)]
    return dict(zip(EXTENTS, ends, strict=False))


def _spread(values: Any) -> list[float]:
    if not len(values):
        return []
    return [float(f"{value:.6g}") for value in np.percentile(values, PERCENTILES)]


def _patient(index: int, case: CaseStatistics) -> str:
    """Whose a case is; one that is not told is a patient of its own."""
    return str(case.columns.get("patient", f"case {index}"))


def _size(case: CaseStatistics) -> str | None:
    return " x ".join(map(str, case.image.size)) if case.image else None


def _value(column: str, case: CaseStatistics) -> str | None:
    value = case.columns.get(column)
    return None if value is None else str(value)


def _counts(
    facts: Sequence[CaseStatistics], of: Callable[[CaseStatistics], str | None]
) -> dict[str, int]:
    found = Counter(value for value in map(of, facts) if value is not None)
    return dict(found.most_common())


def _told_counts(
    facts: Sequence[CaseStatistics], of: Callable[[CaseStatistics], str | None], fewest: int
) -> dict[str, int]:
    """Count images by value; those of values that few patients have are counted as ``others``."""
    patients: dict[str | None, set[str]] = {}
    for i, case in enumerate(facts):
        patients.setdefault(of(case), set()).add(_patient(i, case))
    counts = _counts(facts, of)
    shown = {value: n for value, n in counts.items() if len(patients[value]) >= fewest}
    others = sum(counts.values()) - sum(shown.values())
    return {**shown, **({OTHERS: others} if others else {})}


def _mix(there: Mapping[str, int], ours: Mapping[str, int]) -> dict[str, Any]:
    """Shares of both in the groups that were told; what was not is among the others."""
    folded = Counter(dict.fromkeys(there, 0))
    for name, n in ours.items():
        folded[name if name in there else OTHERS] += n
    pairs = {name: (there.get(name, 0), folded[name]) for name in folded}
    totals = sum(there.values()), sum(ours.values())
    shares = {
        name: [round(n / total, 4) for n, total in zip(both, totals, strict=True)]
        for name, both in pairs.items()
    }
    moved = sum(abs(one - other) for one, other in shares.values()) / 2
    return {"shares": shares, "moved": round(moved, 4)}
