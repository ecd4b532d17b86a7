"""Differences of an image, or of a cohort, from the images that a model was trained on.

A description of a cohort holds no image and no patient: only counts, and percentiles over images.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from pipeline.data.fingerprint import CaseStatistics
from pipeline.data.image_statistics import ImageStatistics

MIN_PATIENTS = 10
"""Smallest number of patients that a described group has: fewer could be recognised by it."""
PERCENTILES = (5, 50, 95)
FEATURES = ("darkest", "median", "brightest", "mean", "deviation")
"""Compared values of an image's intensities: 0.5, 50 and 99.5 %, mean, standard deviation."""
EXTENTS = ("shortest side", "longest side", "finest spacing", "coarsest spacing")
"""Compared values of an image's size: pixels, and millimetres where the file has a spacing."""
MAX_SIZE_RATIO = 1.5
"""Largest ratio between a side, or a spacing, of an image and those of the training images."""
OTHERS = "others"
CohortDescription = Mapping[str, Any]
"""Description of a cohort by :func:`describe_cohort`."""


def describe_cohort(
    cases: Sequence[CaseStatistics],
    columns: Sequence[str] = (),
    min_patients: int = MIN_PATIENTS,
    modality: str = "",
) -> dict[str, Any]:
    """Describe the images of a cohort.

    Args:
        cases: statistics of its cases.
        columns: columns of groups, whose mix is described; groups of fewer than ``min_patients``
            patients are counted together.
        min_patients: smallest number of patients to describe; 1 if the description stays with you.
        modality: of the images, where it is known.

    Returns:
        ``images``, ``patients``: their numbers, where an image of an unknown patient counts as one;
        equal numbers say nothing of patients. ``modality``: as given. ``sizes``: images of each
        size. ``channels``, ``dtypes``: values that occur. ``maximum``: largest value of their one
        number format; None: they have several, or values with a unit. ``intensities``: for each of
        :data:`FEATURES` the 5th, 50th and 95th percentile over images; ``extents`` (sides in
        pixels, spacing in mm where the files have one) and ``foreground``: the same percentiles.
        ``intensities``, ``extents`` and ``foreground`` are empty for fewer than ``min_patients``
        patients. ``groups``: number of images of each value of each column.
    """
    images = [case.image for case in cases if case.image]
    extents = [extents_of(image) for image in images]
    shared = [name for name in EXTENTS if all(name in extent for extent in extents)]
    patients = len({_patient(i, case) for i, case in enumerate(cases)})
    values = np.array([list(intensities_of(image).values()) for image in images]).reshape(
        -1, len(FEATURES)
    )
    enough = patients >= min_patients
    return {
        "images": len(images),
        "modality": modality,
        "patients": patients,
        "sizes": _count_groups(cases, _format_size, min_patients),
        "channels": sorted({str(image.channels) for image in images}),
        "dtypes": sorted({image.dtype for image in images}),
        "maximum": _common_maximum(images),
        "intensities": {
            name: _percentiles(values[:, i]) for i, name in enumerate(FEATURES) if enough
        },
        "extents": {
            name: _percentiles([extent[name] for extent in extents]) for name in shared if enough
        },
        "foreground": _percentiles(
            [case.mask.foreground for case in cases if case.mask and enough]
        ),
        "groups": {
            name: _count_groups(cases, partial(_group, name), min_patients) for name in columns
        },
    }


def differences(image: ImageStatistics, cohort: CohortDescription) -> list[str]:
    """Compare an image with those of a cohort.

    An intensity is out of distribution if its distance from the middle 90 % of the cohort's images
    is larger than the width of these 90 %, or than a hundredth of the range from their darkest to
    their brightest pixels if that is more. A side or a spacing is out of distribution if it is
    :data:`MAX_SIZE_RATIO` times as large or as small as theirs. A number of channels or a number
    format is out of distribution if no image of the cohort has it. Brightness in another number
    format, 8 bits for 16, is compared as a share of the format's largest value, as the network
    reads it.

    Args:
        image: statistics of the image.
        cohort: description of the cohort, by :func:`describe_cohort`.

    Returns:
        One line for each difference; an empty list if the image is like those of the cohort.
    """
    scale = _scale(image, cohort)
    occurring = [("channels", "channels", str(image.channels))]
    if scale == 1:
        occurring.append(("number format", "dtypes", image.dtype))
    lines = [
        f"{what} {value}, where the training images have {', '.join(cohort[key])}"
        for what, key, value in occurring
        if value not in cohort[key]
    ]
    spreads = cohort["intensities"]
    min_margin = (spreads["brightest"][2] - spreads["darkest"][0]) / 100 if spreads else 0.0
    for name, unscaled in intensities_of(image).items():
        if name not in spreads:
            continue
        value = scale * unscaled
        low, _, high = spreads[name]
        margin = max(high - low, min_margin)
        if not low - margin <= value <= high + margin:
            lines.append(_format_difference(name, value, low, high))
    for name, value in extents_of(image).items():
        low, _, high = cohort["extents"].get(name, (value,) * 3)
        if not low / MAX_SIZE_RATIO < value < high * MAX_SIZE_RATIO:
            lines.append(_format_difference(name, value, low, high))
    return lines


def shift(cases: Sequence[CaseStatistics], reference: CohortDescription) -> dict[str, Any]:
    """Compare your cases with the description of another cohort, the reference.

    Args:
        cases: statistics of your cases.
        reference: description of the other cohort, by :func:`describe_cohort`.

    Returns:
        ``images``, ``sizes``, ``intensities``, ``extents``, ``foreground``: pairs of the
        reference's value and yours, however few your patients are. ``groups``: for each column that
        both have, the share of each value, and ``moved``, half the sum of the absolute differences:
        the part of the images that would have to change their group. ``out_of_distribution``: the
        number of your images that :func:`differences` finds to differ from the reference.
    """
    own = describe_cohort(cases, min_patients=1)
    counts = {name: _count(cases, partial(_group, name)) for name in reference["groups"]}
    mixes = {
        name: _compare_groups(reference_counts, counts[name])
        for name, reference_counts in reference["groups"].items()
        if reference_counts and counts[name]
    }
    images = [case.image for case in cases if case.image]
    return {
        "images": [reference["images"], own["images"]],
        "sizes": [reference["sizes"], own["sizes"]],
        **{
            key: {name: [reference[key].get(name, []), own[key].get(name, [])] for name in names}
            for key, names in (("intensities", FEATURES), ("extents", EXTENTS))
        },
        "foreground": [reference["foreground"], own["foreground"]],
        "groups": mixes,
        "out_of_distribution": sum(bool(differences(image, reference)) for image in images),
    }


def intensities_of(image: ImageStatistics) -> dict[str, float]:
    """Return the values of :data:`FEATURES` of an image."""
    return dict(zip(FEATURES, (*image.percentiles, image.mean, image.deviation), strict=True))


def extents_of(image: ImageStatistics) -> dict[str, float]:
    """Return the values of :data:`EXTENTS` of an image; without spacings where it has none."""
    lengths = (image.size, image.spacing) if image.spacing else (image.size,)
    ends = [end(values) for values in lengths for end in (min, max)]
    return dict(zip(EXTENTS, ends, strict=False))


def _common_maximum(images: Sequence[ImageStatistics]) -> float | None:
    maxima = {image.maximum for image in images}
    return maxima.pop() if len(maxima) == 1 else None


def _scale(image: ImageStatistics, cohort: CohortDescription) -> float:
    """Return by what brightness is multiplied to be that of the cohort's number format."""
    maximum = cohort.get("maximum")
    return maximum / image.maximum if maximum and image.maximum else 1.0


def _format_difference(name: str, value: float, low: float, high: float) -> str:
    return f"{name} {value:.4g}, where 90 % of them have {low:.4g} to {high:.4g}"


def _percentiles(values: Any) -> list[float]:
    if not len(values):
        return []
    return [float(f"{value:.6g}") for value in np.percentile(values, PERCENTILES)]


def _patient(index: int, case: CaseStatistics) -> str:
    """Return the patient of a case; a case without one is a patient of its own."""
    return str(case.columns.get("patient", f"case {index}"))


def _format_size(case: CaseStatistics) -> str | None:
    return " x ".join(map(str, case.image.size)) if case.image else None


def _group(column: str, case: CaseStatistics) -> str | None:
    value = case.columns.get(column)
    return None if value is None else str(value)


def _count(
    cases: Sequence[CaseStatistics], group_of: Callable[[CaseStatistics], str | None]
) -> dict[str, int]:
    counts = Counter(group for group in map(group_of, cases) if group is not None)
    return dict(counts.most_common())


def _count_groups(
    cases: Sequence[CaseStatistics],
    group_of: Callable[[CaseStatistics], str | None],
    min_patients: int,
) -> dict[str, int]:
    """Count images by group; groups of fewer than ``min_patients`` patients become ``others``."""
    patients: dict[str | None, set[str]] = {}
    for i, case in enumerate(cases):
        patients.setdefault(group_of(case), set()).add(_patient(i, case))
    counts = _count(cases, group_of)
    listed = {group: n for group, n in counts.items() if len(patients[group]) >= min_patients}
    others = sum(counts.values()) - sum(listed.values())
    return {**listed, **({OTHERS: others} if others else {})}


def _compare_groups(reference: Mapping[str, int], own: Mapping[str, int]) -> dict[str, Any]:
    """Compare the shares of the groups; own groups that the reference lacks become ``others``."""
    merged = Counter(dict.fromkeys(reference, 0))
    for name, n in own.items():
        merged[name if name in reference else OTHERS] += n
    pairs = {name: (reference.get(name, 0), merged[name]) for name in merged}
    totals = sum(reference.values()), sum(own.values())
    shares = {
        name: [round(n / total, 4) for n, total in zip(pair, totals, strict=True)]
        for name, pair in pairs.items()
    }
    moved = sum(abs(first - second) for first, second in shares.values()) / 2
    return {"shares": shares, "moved": round(moved, 4)}
