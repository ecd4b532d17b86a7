"""How far an image, or a cohort, lies from those that a model was trained on.

What is told of a cohort here holds no image and no patient: counts, and percentiles over images.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pipeline.data.facts import ImageFacts
from pipeline.data.fingerprint import CaseFacts

FEWEST = 10
"""Images of a group below which it is not told apart: few patients are known by their group."""
PERCENTILES = (5, 50, 95)
FEATURES = ("darkest", "median", "brightest", "mean", "deviation")
"""What is compared of an image's intensities: 0.5 %, 50 % and 99.5 %, mean, standard deviation."""
Told = Mapping[str, Any]
"""A cohort as :func:`told_cohort` tells it."""


def told_cohort(facts: Sequence[CaseFacts], columns: Sequence[str] = ()) -> dict[str, Any]:
    """Tell what a cohort's images are like.

    Args:
        facts: of its cases.
        columns: of groups, whose mix is told; groups of fewer than :data:`FEWEST` images together.

    Returns:
        ``images``, ``sizes``, ``channels``, ``dtypes``: counts. ``intensities``: of each of
        :data:`FEATURES` the 5th, 50th and 95th percentile over images; ``foreground`` likewise.
        ``groups``: images of each value of each column.
    """
    images = [case.image for case in facts if case.image]
    values = np.array([_features(image) for image in images]).reshape(-1, len(FEATURES))
    return {
        "images": len(images),
        "sizes": _counts(" x ".join(map(str, image.size)) for image in images),
        "channels": dict(Counter(str(image.channels) for image in images)),
        "dtypes": dict(Counter(image.dtype for image in images)),
        "intensities": {name: _spread(values[:, i]) for i, name in enumerate(FEATURES)},
        "foreground": _spread([case.mask.foreground for case in facts if case.mask]),
        "groups": {
            name: _counts(str(case.columns[name]) for case in facts if name in case.columns)
            for name in columns
        },
    }


def strange(image: ImageFacts, told: Told) -> list[str]:
    """Say in what an image differs from those of a cohort.

    An intensity is strange when it lies further outside the middle 90 % of the cohort's images than
    these are wide; so is a number of channels or a number format that no image of the cohort has.

    Args:
        image: looked at.
        told: the cohort, by :func:`told_cohort`.

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
    for name, value in zip(FEATURES, _features(image), strict=True):
        low, _, high = told["intensities"][name]
        room = max(high - low, 1e-6)
        if not low - room <= value <= high + room:
            lines.append(f"{name} {value:.4g}, where 90 % of them have {low:.4g} to {high:.4g}")
    return lines


def shift(own: Sequence[CaseFacts], told: Told) -> dict[str, Any]:
    """Compare own cases with a cohort that was told.

    Returns:
        ``sizes``, ``intensities``, ``foreground``, each a pair of what is told of the cohort and of
        ours. ``groups``: of each column that both have the share of each value, and ``moved``, half
        the sum of the differences: the part of the images that would have to change their group.
        ``strange``: how many of our images differ by :func:`strange`.
    """
    ours = told_cohort(own, list(told["groups"]))
    mixes = {
        name: _mix(there, ours["groups"][name])
        for name, there in told["groups"].items()
        if ours["groups"][name]
    }
    images = [case.image for case in own if case.image]
    return {
        "images": [told["images"], ours["images"]],
        "sizes": [told["sizes"], ours["sizes"]],
        "intensities": {
            name: [told["intensities"][name], ours["intensities"][name]] for name in FEATURES
        },
        "foreground": [told["foreground"], ours["foreground"]],
        "groups": mixes,
        "strange": sum(bool(strange(image, told)) for image in images),
    }


def _features(image: ImageFacts) -> tuple[float, ...]:
    return (*image.percentiles, image.mean, image.deviation)


def _spread(values: Any) -> list[float]:
    if not len(values):
        return []
    return [float(f"{value:.4g}") for value in np.percentile(values, PERCENTILES)]


def _counts(values: Any) -> dict[str, int]:
    """Count values, the most common first; those of few images are counted as ``others``."""
    counts = Counter(values)
    shown = {value: n for value, n in counts.most_common() if n >= FEWEST}
    others = counts.total() - sum(shown.values())
    return {**shown, **({"others": others} if others else {})}


def _mix(there: Mapping[str, int], ours: Mapping[str, int]) -> dict[str, Any]:
    names = list(dict.fromkeys((*there, *ours)))
    shares = {
        name: [round(counts.get(name, 0) / sum(counts.values()), 4) for counts in (there, ours)]
        for name in names
    }
    moved = sum(abs(one - other) for one, other in shares.values()) / 2
    return {"shares": shares, "moved": round(moved, 4)}
