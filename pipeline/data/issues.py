"""Quality control of a cohort: each issue names the file, the value and the remedy."""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pipeline.data.fingerprint import CaseStatistics
from pipeline.data.image_statistics import MAX_COLOURS, MAX_MASK_VALUES, MaskStatistics
from pipeline.errors import few
from transforms.places import MAX_FINE_OFFSET, MAX_NEAR_OFFSET

ERROR, WARNING = "error", "warning"

PIXELS = re.compile(r"\d+ pixels?")
"""A number of pixels in what was observed."""
OF_FILE = (
    "size",
    "place",
    "nan",
    "constant",
    "duplicate",
    "alike",
    "leak",
    "unreadable",
    "coloured",
)
"""Kinds of issues whose observation differs from file to file, though the issue is one."""
MIN_DUPLICATE_CORRELATION = 0.995
"""Correlation of two small pictures above which they count as near-duplicates."""
MAX_STRAY_SHARE = 1e-3
"""Share of a mask's labelled pixels up to which a value that no other mask has is a slip."""
MAX_UNNAMED_VALUES = 3
"""Largest number of values without a name that are listed of one mask."""
MIN_INVERTED_EDGE = 0.95
"""Share of the pixels along the border from which a mask may be inverted."""
MIN_INVERTED_SHARE = 0.9
"""Share of such masks from which all may be inverted."""


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


def issue_lines(issues: Sequence[Issue]) -> list[str]:
    """Return the issues as lines; what many files have in common becomes one line.

    The line is that of the first file, with the number of files and the first names. What was
    observed may differ in numbers of pixels, in sizes, which follow the names, and in what is of a
    file alone, as the image that it resembles.

    Example:
        >>> issues = [Issue("error", f"masks/{name}.png", "an empty mask", "draw it", "empty")
        ...           for name in "ab"]
        >>> issue_lines(issues)
        ['error: masks/a.png: an empty mask; draw it (2 files, first a.png, b.png)']
        >>> issues = [Issue("error", f"{n}.png", f"NaN in {n} pixels", "correct it", "values")
        ...           for n in (1, 2)]
        >>> issue_lines(issues)
        ['error: 1.png: NaN in 1 pixels; correct it (2 files, first 1.png, 2.png)']
    """
    alike: dict[tuple[str, str, str, str], list[Issue]] = defaultdict(list)
    for issue in issues:
        observed = "" if issue.kind in OF_FILE else PIXELS.sub("pixels", issue.observed)
        alike[issue.level, issue.kind, observed, issue.remedy].append(issue)
    return [_common_line(group) for group in alike.values()]


def _common_line(issues: Sequence[Issue]) -> str:
    first, *others = issues
    if not others:
        return first.line()
    differ = first.kind == "size" and len({issue.observed for issue in issues}) > 1
    names = [Path(issue.file).name + (f" ({issue.observed})" if differ else "") for issue in issues]
    return f"{first.line()} ({len(issues)} files, first {few(names)})"


Check = Callable[[CaseStatistics], Iterator[Issue]]


def find_issues(cases: Sequence[CaseStatistics], classes: Sequence[int] = ()) -> list[Issue]:
    """Find every issue of a cohort, errors first, in the order of the checks.

    Args:
        cases: statistics of each case.
        classes: numbers that a mask may have besides 0, whatever they are, and no other; empty:
            not known.
    """
    issues = [issue for check in CASE_CHECKS for case in cases for issue in check(case)]
    if classes:
        issues = [issue for issue in issues if issue.kind != "values"]
    issues += unnamed(cases, classes) if classes else strays(cases)
    issues += [*all_empty(cases), *inverted(cases)]
    issues += [*leaking_patients(cases), *duplicates(cases), *near_duplicates(cases)]
    issues += missing(cases)
    issues = one_colour_alone(cases, issues)
    return sorted(issues, key=lambda issue: issue.level != ERROR)


def unreadable(case: CaseStatistics) -> Iterator[Issue]:
    """Yield an error for a file that cannot be read."""
    if case.unreadable:
        file, _, reason = case.unreadable.partition(": ")
        reason, _, remedy = reason.partition("; ")
        yield Issue(ERROR, file, reason, remedy or "restore or remove it", "unreadable")


def swapped(case: CaseStatistics) -> Iterator[Issue]:
    """Yield an error for an image of two values whose mask has many."""
    if _is_swapped(case):
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
    if not case.mask or _is_swapped(case):
        return
    file, listed = str(case.label_path), _format_values(case.mask.values)
    if case.mask.smeared and (case.mask.channels == 1 or case.mask.all_equal_channels):
        yield Issue(
            ERROR, file, f"the values {listed} of a mask smeared by JPEG",
            "export it as PNG, or let --mend threshold it at the middle", "smeared",
        )  # fmt: skip
    elif case.mask.channels > 1:
        yield _channels(file, case.mask)
    elif case.mask.not_finite or wrong_numbers(case.mask):
        yield _wrong_numbers(file, case.mask)
    elif not _are_classes(case.mask.values):
        yield Issue(
            ERROR, file, f"the values {listed}", "expected 0 and 1, 0 and 255, or 0, 1, 2, … for "
            "classes; is this a mask, or are these instances?", "values",
        )  # fmt: skip
    elif case.mask.foreground in (0, 1):
        yield _empty_or_full(file, case.mask)


def _channels(file: str, mask: MaskStatistics) -> Issue:
    if mask.all_equal_channels:
        return Issue(
            ERROR, file, f"a mask in {mask.channels} equal channels",
            "convert it to one channel, or let --mend do it", "colour",
        )  # fmt: skip
    if len(mask.colours) == 1:
        return Issue(
            ERROR, file, f"a mask of {mask.channels} channels and one colour, "
            f"{_format_colours(mask.colours)}", "convert it to one channel, or let --mend do it",
            "colour",
        )  # fmt: skip
    return Issue(
        ERROR, file, f"a mask of {mask.channels} channels with the colours "
        f"{_format_colours(mask.colours)}", name_the_colours(mask.colours), "coloured",
    )  # fmt: skip


def name_the_colours(colours: Sequence[tuple[float, ...]]) -> str:
    """Return the remedy for masks of several colours.

    Example:
        >>> name_the_colours([(255, 0, 0), (0, 0, 255)])
        "name each by unet-school new --labels 'NAME=#ff0000' 'NAME=#0000ff'"
    """
    if len(colours) > MAX_COLOURS or max(map(max, colours)) > 255:
        return "write one number for each class into one channel"
    names = [f"'NAME=#{bytes(map(int, colour)).hex()}'" for colour in colours]
    return f"name each by unet-school new --labels {' '.join(names)}"


def wrong_numbers(mask: MaskStatistics) -> dict[float, int]:
    """Return the values of a mask that are fractions or negative, and the pixels of each."""
    return {value: n for value, n in mask.pixels().items() if value < 0 or value % 1}


def _wrong_numbers(file: str, mask: MaskStatistics) -> Issue:
    wrong = wrong_numbers(mask)
    observed = [
        f"the values {_format_values(list(wrong))} in {sum(wrong.values())} pixels"
        if wrong
        else "",
        f"NaN or infinite values in {_pixels(mask.not_finite)}" if mask.not_finite else "",
    ]
    return Issue(
        ERROR, file, " and ".join(filter(None, observed)), "expected whole numbers, 0 for the "
        "background; correct them, or give what is to be ignored a number of its own", "number",
    )  # fmt: skip


def _empty_or_full(file: str, mask: MaskStatistics) -> Issue:
    if mask.foreground == 0:
        return Issue(WARNING, file, "an empty mask", "keep it if nothing is there", "empty")
    return Issue(WARNING, file, "a mask without background", "is it inverted?", "full")


def unnamed(cases: Sequence[CaseStatistics], classes: Sequence[int]) -> Iterator[Issue]:
    """Yield an error for each value of a mask that no label has.

    Masks of 0 and 255 may belong to a single label 1.
    """
    names = {0, *classes}
    expected = ", ".join(map(str, sorted(names)))
    for case in cases:
        mask = case.mask
        if mask is None or mask.smeared or mask.colours or wrong_numbers(mask):
            continue
        if list(classes) == [1] and set(mask.values) <= {0, 255}:
            continue
        for value in [value for value in mask.values if value not in names][:MAX_UNNAMED_VALUES]:
            yield Issue(
                ERROR, str(case.label_path), f"the value {value:g} in "
                f"{_pixels(mask.pixels()[value])}, which no label has", f"expected {expected}; "
                "name it by --labels, or correct the mask", "unnamed",
            )  # fmt: skip


def strays(cases: Sequence[CaseStatistics]) -> Iterator[Issue]:
    """Yield an error for each value that a few pixels of a single mask have."""
    masks = [case for case in cases if case.mask and not case.mask.smeared]
    times = Counter(value for case in masks if case.mask for value in case.mask.values)
    for case in masks:
        if case.mask is None or len(case.mask.values) > MAX_MASK_VALUES:
            continue
        for value, pixels in _few_pixels(case.mask):
            if times[value] == 1:
                yield Issue(
                    ERROR, str(case.label_path), f"the value {value:g} in {_pixels(pixels)}, and "
                    "in no other mask", f"correct it if it is a slip, or name it: --labels NAME="
                    f"{value:g} …", "stray",
                )  # fmt: skip


def _few_pixels(mask: MaskStatistics) -> list[tuple[float, int]]:
    """Return the values of almost none of a mask's labelled pixels; one value alone is none."""
    labelled = {value: n for value, n in mask.pixels().items() if value > 0 and not value % 1}
    limit = max(1.0, MAX_STRAY_SHARE * sum(labelled.values()))
    return [(value, n) for value, n in labelled.items() if len(labelled) > 1 and n <= limit]


def all_empty(cases: Sequence[CaseStatistics]) -> Iterator[Issue]:
    """Yield an error for masks of which none has any foreground."""
    masks = [case for case in cases if case.mask]
    if masks and not any(
        case.mask and (case.mask.foreground or case.mask.not_finite) for case in masks
    ):
        yield Issue(
            ERROR, str(masks[0].label_path), f"an empty mask, as all {len(masks)}",
            "give the masks of these images", "all empty",
        )  # fmt: skip


def inverted(cases: Sequence[CaseStatistics]) -> Iterator[Issue]:
    """Yield a warning where nearly all masks have foreground along the border of the image."""
    masks = [case for case in cases if case.mask and 0 < case.mask.foreground < 1]
    around = [case for case in masks if case.mask and case.mask.edge >= MIN_INVERTED_EDGE]
    if masks and len(around) >= MIN_INVERTED_SHARE * len(masks):
        yield Issue(
            WARNING, str(around[0].label_path), "foreground all along the border, as "
            f"{len(around)} of {len(masks)} masks", "are they inverted?", "inverted",
        )  # fmt: skip


def one_colour_alone(cases: Sequence[CaseStatistics], issues: Sequence[Issue]) -> list[Issue]:
    """Return the issues; masks of one colour each, not all of the same, cannot be mended."""
    files = {str(case.label_path): case.mask.colours for case in cases if case.mask}
    every = sorted({colour for of_mask in files.values() for colour in of_mask})
    if len(every) < 2:
        return list(issues)
    return [_with_all_colours(issue, every) if files.get(issue.file) else issue for issue in issues]


def _with_all_colours(issue: Issue, of_masks: Sequence[tuple[float, ...]]) -> Issue:
    """Name all colours of the masks in the issue of one."""
    if issue.kind == "coloured":
        return issue._replace(remedy=name_the_colours(of_masks))
    if issue.kind != "colour":
        return issue
    return issue._replace(
        observed=f"{issue.observed}, while the masks have {_format_colours(of_masks)}",
        remedy=name_the_colours(of_masks),
        kind="coloured",
    )


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


def _is_swapped(case: CaseStatistics) -> bool:
    """Return whether an image has two values and its mask many."""
    return bool(
        case.image
        and case.mask
        and case.image.values <= 2 < MAX_MASK_VALUES < len(case.mask.values)
    )


def _format_values(numbers: Sequence[float]) -> str:
    return ", ".join(f"{value:g}" for value in numbers[:6]) + (", …" if len(numbers) > 6 else "")


def _pixels(count: int) -> str:
    return f"{count} pixel" + ("" if count == 1 else "s")


def _format_colours(colours: Sequence[tuple[float, ...]]) -> str:
    listed = [f"({', '.join(f'{v:g}' for v in colour)})" for colour in colours[:MAX_COLOURS]]
    return ", ".join(listed) + (", …" if len(colours) > MAX_COLOURS else "")


def _format_size(size: tuple[int, ...]) -> str:
    return " x ".join(map(str, size))
