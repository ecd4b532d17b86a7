"""Quality control of a cohort: each issue names the file, the value and the remedy."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from pipeline.data.fingerprint import CaseStatistics
from pipeline.data.image_statistics import MAX_MASK_VALUES
from transforms.places import MAX_FINE_OFFSET, MAX_NEAR_OFFSET

ERROR, WARNING = "error", "warning"

MIN_DUPLICATE_CORRELATION = 0.995
"""Correlation of two small pictures above which they count as near-duplicates."""


class Issue(NamedTuple):
    """One issue of quality control.

    Attributes:
        level: ``error`` if training on it would fail or mislead; ``warning`` if you should check.
        file: the file that has the issue.
        observed: the value in this file.
        remedy: a way to mend it.
        kind: kind of issue, one word; ``smeared`` and ``colour`` can be mended on request.
    """

    level: str
    file: str
    observed: str
    remedy: str
    kind: str

    def line(self) -> str:
        """Return the issue as one line."""
        return f"{self.level}: {self.file}: {self.observed}; {self.remedy}"


Check = Callable[[CaseStatistics], Iterator[Issue]]


def find_issues(cases: Sequence[CaseStatistics], classes: Sequence[int] = ()) -> list[Issue]:
    """Find every issue of a cohort, errors first, in the order of the checks.

    Args:
        cases: statistics of each case.
        classes: numbers that a mask may have besides 0, whatever they are.
    """
    issues = [issue for check in CASE_CHECKS for case in cases for issue in check(case)]
    of_classes = {
        str(case.label_path)
        for case in cases
        if case.mask and set(case.mask.values) <= {0, *classes}
    }
    issues = [issue for issue in issues if issue.kind != "values" or issue.file not in of_classes]
    issues += [*leaking_patients(cases), *duplicates(cases), *near_duplicates(cases)]
    issues += missing(cases)
    return sorted(issues, key=lambda issue: issue.level != ERROR)


def unreadable(case: CaseStatistics) -> Iterator[Issue]:
    """Yield an error for a file that cannot be read."""
    if case.unreadable:
        file, _, reason = case.unreadable.partition(": ")
        reason, _, remedy = reason.partition("; ")
        yield Issue(ERROR, file, reason, remedy or "restore or remove it", "unreadable")


def swapped(case: CaseStatistics) -> Iterator[Issue]:
    """Yield an error for an image of two values whose mask has many."""
    if (
        case.image
        and case.mask
        and case.image.values <= 2 < MAX_MASK_VALUES < len(case.mask.values)
    ):
        yield Issue(
            ERROR, str(case.image_path), "has two values, and its mask more than "
            f"{MAX_MASK_VALUES}", "image and mask are swapped; exchange them", "swapped",
        )  # fmt: skip


def changed(case: CaseStatistics) -> Iterator[Issue]:
    """Yield an error for each file whose hash differs from the datalist's."""
    for file in case.changed:
        yield Issue(
            ERROR, str(file), "changed since it was hashed in datalist.json",
            "restore it, or prepare the cohort again", "changed",
        )  # fmt: skip


def sizes(case: CaseStatistics) -> Iterator[Issue]:
    """Yield an error for a mask that differs from its image in size or in position."""
    if not case.image or not case.mask:
        return
    if case.image.size != case.mask.size:
        yield Issue(
            ERROR, str(case.label_path), f"size {_format_size(case.mask.size)}, its image "
            f"{_format_size(case.image.size)}", "export the mask of this very image"
            + (", or let --mend resample it" if len(case.image.size) == 3 else ""), "size",
        )  # fmt: skip
    elif case.offset > MAX_FINE_OFFSET:
        near = case.offset <= MAX_NEAR_OFFSET
        yield Issue(
            WARNING if near else ERROR, str(case.label_path), f"lies {case.offset:.2f} voxels away "
            "from its image at the furthest corner (spacing, orientation or origin)",
            "correct its header, or let --mend resample it to the image", "place",
        )  # fmt: skip


def values(case: CaseStatistics) -> Iterator[Issue]:
    """Yield errors for intensities that carry no information: NaN, or one value."""
    if not case.image:
        return
    file = str(case.image_path)
    if case.image.not_finite:
        observed = f"{case.image.not_finite} values that are NaN or infinite"
        yield Issue(ERROR, file, observed, "export it again, or remove it", "nan")
    if case.image.values == 1:
        observed = f"all pixels are {case.image.mean:g}"
        yield Issue(ERROR, file, observed, "restore or remove it", "constant")


def masks(case: CaseStatistics) -> Iterator[Issue]:
    """Yield issues of masks: values that are no class, several channels, empty, or full."""
    if not case.mask or (case.image and case.image.values <= 2 and len(case.mask.values) > 2):
        return
    file, numbers = str(case.label_path), [f"{value:g}" for value in case.mask.values[:6]]
    listed = ", ".join(numbers) + (", …" if len(case.mask.values) > 6 else "")
    if case.mask.channels > 1 and not case.mask.all_equal_channels:
        yield Issue(
            ERROR, file, f"a mask of {case.mask.channels} channels",
            "write one number for each class into one channel", "coloured",
        )  # fmt: skip
    elif case.mask.smeared:
        yield Issue(
            ERROR, file, f"the values {listed} of a mask smeared by JPEG",
            "export it as PNG, or let --mend threshold it at the middle", "smeared",
        )  # fmt: skip
    elif case.mask.channels > 1:
        yield Issue(
            ERROR, file, f"a mask in {case.mask.channels} equal channels",
            "convert it to one channel, or let --mend do it", "colour",
        )  # fmt: skip
    elif not _are_classes(case.mask.values):
        yield Issue(
            ERROR, file, f"the values {listed}", "expected 0 and 1, 0 and 255, or 0, 1, 2, … for "
            "classes; is this a mask, or are these instances?", "values",
        )  # fmt: skip
    elif case.mask.foreground == 0:
        yield Issue(WARNING, file, "an empty mask", "keep it if nothing is there", "empty")
    elif case.mask.foreground == 1:
        yield Issue(WARNING, file, "a mask without background", "is it inverted?", "full")


def colours(case: CaseStatistics) -> Iterator[Issue]:
    """Yield a warning for a grey image that is stored with several channels."""
    several = case.image is not None and case.image.channels in (2, 4)
    if case.image and several and case.image.all_equal_channels and "uint" in case.image.dtype:
        yield Issue(
            WARNING, str(case.image_path), f"a grey image in {case.image.channels} channels",
            "convert it to one channel, or let --mend do it", "colour",
        )  # fmt: skip


def leaking_patients(cases: Sequence[CaseStatistics]) -> Iterator[Issue]:
    """Yield an error for each patient in two splits."""
    by_patient: dict[object, list[CaseStatistics]] = defaultdict(list)
    for case in cases:
        if case.columns.get("patient") is not None:
            by_patient[case.columns["patient"]].append(case)
    for first, *others in by_patient.values():
        for other in others:
            if other.split != first.split:
                yield Issue(
                    ERROR, str(other.image_path), f"in {other.split}, and "
                    f"{first.image_path.name} of the same patient in {first.split}",
                    "split by patient: unet-school data split", "leak",
                )  # fmt: skip
                break


def duplicates(cases: Sequence[CaseStatistics]) -> Iterator[Issue]:
    """Yield an issue for each image whose pixels equal those of an earlier one."""
    seen: dict[str, CaseStatistics] = {}
    for case in cases:
        if not case.image or case.image.values == 1:
            continue
        first = seen.setdefault(case.image.content, case)
        if first is case:
            continue
        leak = first.split != case.split
        yield Issue(
            ERROR if leak else WARNING, str(case.image_path), "the same pixels as "
            f"{first.image_path.name}" + (f" of {first.split}" if leak else ""),
            "remove one of them", "duplicate",
        )  # fmt: skip


def near_duplicates(cases: Sequence[CaseStatistics]) -> Iterator[Issue]:
    """Yield a warning for each image that looks almost like one of another split."""
    readable = [case for case in cases if case.picture is not None and case.image]
    if not readable:
        return
    pictures = np.stack([case.picture for case in readable if case.picture is not None])
    for i, case in enumerate(readable):
        correlations = pictures[:i] @ pictures[i]
        for j in np.flatnonzero(correlations > MIN_DUPLICATE_CORRELATION):
            other = readable[j]
            same = case.image and other.image and case.image.content == other.image.content
            if other.split != case.split and not same:
                yield Issue(
                    WARNING, str(case.image_path), f"in {case.split}, looks almost like "
                    f"{other.image_path.name} of {other.split} (correlation {correlations[j]:.3f})",
                    "are they one patient, or one image twice?", "alike",
                )  # fmt: skip
                break


def missing(cases: Sequence[CaseStatistics]) -> Iterator[Issue]:
    """Yield a warning for each column that some cases lack."""
    for name in sorted({name for case in cases for name in case.columns}):
        lacking = [case for case in cases if case.columns.get(name) is None]
        if lacking:
            yield Issue(
                WARNING, str(lacking[0].image_path), f"no {name}"
                + (f", as {len(lacking) - 1} more" if len(lacking) > 1 else ""),
                "fill it in, or leave the column out of groups", "missing",
            )  # fmt: skip


CASE_CHECKS: tuple[Check, ...] = (unreadable, changed, swapped, sizes, values, masks, colours)


def _are_classes(numbers: Sequence[float]) -> bool:
    """Return whether the values are 0 and 255, or whole numbers that can be classes."""
    return set(numbers) <= {0, 255} or (
        len(numbers) <= MAX_MASK_VALUES
        and all(value >= 0 and value % 1 == 0 for value in numbers)
        and max(numbers) <= MAX_MASK_VALUES
    )


def _format_size(size: tuple[int, ...]) -> str:
    return " x ".join(map(str, size))
