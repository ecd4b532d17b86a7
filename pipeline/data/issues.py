"""What is wrong with a cohort, worst first: each finding names file, value and remedy."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from pipeline.data.fingerprint import CaseStatistics
from pipeline.data.image_statistics import MOST_VALUES

ERROR, WARNING = "error", "warning"

SAME_PICTURE = 0.995
"""Correlation of two small pictures from which on they count as near-duplicates."""
APART = 0.01
"""Millimetres by which an image and its mask may lie apart."""


class Issue(NamedTuple):
    """One defect.

    Attributes:
        level: ``error``: training on it would fail or mislead; ``warning``: look at it.
        file: where.
        found: the value.
        remedy: how to mend it.
        kind: of the defect, one word; ``smeared`` and ``colour`` can be mended on request.
    """

    level: str
    file: str
    found: str
    remedy: str
    kind: str

    def line(self) -> str:
        """Return it as one line."""
        return f"{self.level}: {self.file}: {self.found}; {self.remedy}"


Check = Callable[[CaseStatistics], Iterator[Issue]]


def find_issues(facts: Sequence[CaseStatistics], classes: Sequence[int] = ()) -> list[Issue]:
    """Find every defect of a cohort, errors first, in the order of the checks.

    Args:
        facts: of each case.
        classes: numbers that a mask may have beside 0, whatever they are.
    """
    found = [finding for check in EACH for case in facts for finding in check(case)]
    known = {
        str(case.label_path)
        for case in facts
        if case.mask and set(case.mask.values) <= {0, *classes}
    }
    found = [each for each in found if each.kind != "values" or each.file not in known]
    found += [*leaking_patients(facts), *duplicates(facts), *near_duplicates(facts)]
    found += missing(facts)
    return sorted(found, key=lambda finding: finding.level != ERROR)


def unreadable(case: CaseStatistics) -> Iterator[Issue]:
    """A file that cannot be read."""
    if case.unreadable:
        file, _, reason = case.unreadable.partition(": ")
        reason, _, remedy = reason.partition("; ")
        yield Issue(ERROR, file, reason, remedy or "restore or remove it", "unreadable")


def swapped(case: CaseStatistics) -> Iterator[Issue]:
    """An image of two values whose mask has many."""
    if case.image and case.mask and case.image.values <= 2 < MOST_VALUES < len(case.mask.values):
        yield Issue(
            ERROR, str(case.image_path), "has two values, and its mask more than "
            f"{MOST_VALUES}", "image and mask are swapped; exchange them", "swapped",
        )  # fmt: skip


def changed(case: CaseStatistics) -> Iterator[Issue]:
    """Files that are not what the datalist says."""
    for file in case.changed:
        yield Issue(
            ERROR, str(file), "changed since it was hashed in datalist.json",
            "restore it, or prepare the cohort again", "changed",
        )  # fmt: skip


def sizes(case: CaseStatistics) -> Iterator[Issue]:
    """A mask of another size, or elsewhere in space."""
    if not case.image or not case.mask:
        return
    if case.image.size != case.mask.size:
        yield Issue(
            ERROR, str(case.label_path), f"size {_size(case.mask.size)}, its image "
            f"{_size(case.image.size)}", "export the mask of this very image", "size",
        )  # fmt: skip
    elif case.apart > APART:
        yield Issue(
            ERROR, str(case.label_path), f"lies {case.apart:.2f} mm away from its image at the "
            "furthest corner (spacing, orientation or origin)",
            "resample the mask to the image, or correct its header", "place",
        )  # fmt: skip


def values(case: CaseStatistics) -> Iterator[Issue]:
    """Intensities that teach nothing: NaN, or one value."""
    if not case.image:
        return
    file = str(case.image_path)
    if case.image.not_finite:
        found = f"{case.image.not_finite} values that are NaN or infinite"
        yield Issue(ERROR, file, found, "export it again, or remove it", "nan")
    if case.image.values == 1:
        found = f"all pixels are {case.image.mean:g}"
        yield Issue(ERROR, file, found, "restore or remove it", "constant")


def masks(case: CaseStatistics) -> Iterator[Issue]:
    """Masks with values of no class, empty ones, and full ones."""
    if not case.mask or (case.image and case.image.values <= 2 and len(case.mask.values) > 2):
        return
    file, found = str(case.label_path), [f"{value:g}" for value in case.mask.values[:6]]
    told = ", ".join(found) + (", …" if len(case.mask.values) > 6 else "")
    if case.mask.channels > 1 and not case.mask.all_equal_channels:
        yield Issue(
            ERROR, file, f"a mask of {case.mask.channels} channels",
            "write one number for each class into one channel", "coloured",
        )  # fmt: skip
    elif case.mask.smeared:
        yield Issue(
            ERROR, file, f"the values {told} of a mask smeared by JPEG",
            "export it as PNG, or let --mend threshold it at the middle", "smeared",
        )  # fmt: skip
    elif case.mask.channels > 1:
        yield Issue(
            ERROR, file, f"a mask in {case.mask.channels} equal channels",
            "convert it to one channel, or let --mend do it", "colour",
        )  # fmt: skip
    elif not _classes(case.mask.values):
        yield Issue(
            ERROR, file, f"the values {told}", "expected 0 and 1, 0 and 255, or 0, 1, 2, … for "
            "classes; is this a mask, or are these instances?", "values",
        )  # fmt: skip
    elif case.mask.foreground == 0:
        yield Issue(WARNING, file, "an empty mask", "keep it if nothing is there", "empty")
    elif case.mask.foreground == 1:
        yield Issue(WARNING, file, "a mask without background", "is it inverted?", "full")


def colours(case: CaseStatistics) -> Iterator[Issue]:
    """Grey images stored with several channels."""
    several = case.image is not None and case.image.channels in (2, 4)
    if case.image and several and case.image.all_equal_channels and "uint" in case.image.dtype:
        yield Issue(
            WARNING, str(case.image_path), f"a grey image in {case.image.channels} channels",
            "convert it to one channel, or let --mend do it", "colour",
        )  # fmt: skip


def leaking_patients(facts: Sequence[CaseStatistics]) -> Iterator[Issue]:
    """A patient in two splits."""
    by_patient: dict[object, list[CaseStatistics]] = defaultdict(list)
    for case in facts:
        if case.columns.get("patient") is not None:
            by_patient[case.columns["patient"]].append(case)
    for cases in by_patient.values():
        for other in cases[1:]:
            if other.split != cases[0].split:
                yield Issue(
                    ERROR, str(other.image_path), f"in {other.split}, and "
                    f"{cases[0].image_path.name} of the same patient in {cases[0].split}",
                    "split by patient: unet-school data split", "leak",
                )  # fmt: skip
                break


def duplicates(facts: Sequence[CaseStatistics]) -> Iterator[Issue]:
    """Two images of the same pixels."""
    seen: dict[str, CaseStatistics] = {}
    for case in facts:
        if not case.image or case.image.values == 1:
            continue
        first = seen.setdefault(case.image.content, case)
        if first is case:
            continue
        apart = first.split != case.split
        yield Issue(
            ERROR if apart else WARNING, str(case.image_path), "the same pixels as "
            f"{first.image_path.name}" + (f" of {first.split}" if apart else ""),
            "remove one of them", "duplicate",
        )  # fmt: skip


def near_duplicates(facts: Sequence[CaseStatistics]) -> Iterator[Issue]:
    """Two images in different splits that look almost the same."""
    shown = [case for case in facts if case.picture is not None and case.image]
    if not shown:
        return
    pictures = np.stack([case.picture for case in shown if case.picture is not None])
    for i, case in enumerate(shown):
        alike = pictures[:i] @ pictures[i]
        for j in np.flatnonzero(alike > SAME_PICTURE):
            other = shown[j]
            same = case.image and other.image and case.image.content == other.image.content
            if other.split != case.split and not same:
                yield Issue(
                    WARNING, str(case.image_path), f"in {case.split}, looks almost like "
                    f"{other.image_path.name} of {other.split} (correlation {alike[j]:.3f})",
                    "are they one patient, or one image twice?", "alike",
                )  # fmt: skip
                break


def missing(facts: Sequence[CaseStatistics]) -> Iterator[Issue]:
    """Columns that some cases lack."""
    for name in sorted({name for case in facts for name in case.columns}):
        lacking = [case for case in facts if case.columns.get(name) is None]
        if lacking:
            yield Issue(
                WARNING, str(lacking[0].image_path), f"no {name}"
                + (f", as {len(lacking) - 1} more" if len(lacking) > 1 else ""),
                "fill it in, or leave the column out of groups", "missing",
            )  # fmt: skip


EACH: tuple[Check, ...] = (unreadable, changed, swapped, sizes, values, masks, colours)


def _classes(found: Sequence[float]) -> bool:
    """Two values, or as many whole numbers as there can be classes."""
    return set(found) <= {0, 255} or (
        len(found) <= MOST_VALUES
        and all(value >= 0 and value % 1 == 0 for value in found)
        and max(found) <= MOST_VALUES
    )


def _size(size: tuple[int, ...]) -> str:
    return " x ".join(map(str, size))
