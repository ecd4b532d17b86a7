"""The table of a cohort's labels, as a person reads it."""

from collections.abc import Mapping, Sequence
from statistics import median

from pipeline.data.label_numbers import LabelNumbers, numbers_of
from pipeline.data.structures import Structure

HEADINGS = ("label", "in the files", "cases", "{amount} a case", "parts a case", "about as long as")


def label_table(
    cases: Sequence[Mapping[str, Structure]], labels: LabelNumbers, written: Mapping[str, str]
) -> list[str]:
    """Return the lines of a table of the labels; amounts are medians over the cases that have it.

    Args:
        cases: structures of each case, see :func:`pipeline.data.structures.case_structures`.
        labels: number of each label, or the numbers of a region, by name.
        written: numbers in the files of a label, where they are others.

    Example:
        >>> lungs = [{"lung": Structure(6000, 0.0, 2, 80.0)}, {"lung": Structure(8000, 0.0, 2, 90.0)}]
        >>> print("\\n".join(label_table([*lungs, {}], {"lung": 1}, {"lung": "255"})))
        label  in the files   cases  pixels a case  parts a case  about as long as
        lung            255  2 of 3          7,000             2         85 pixels
    """
    volumes = any(structure.millilitres for case in cases for structure in case.values())
    heading = [text.format(amount="ml" if volumes else "pixels") for text in HEADINGS]
    rows = [heading]
    for name, numbers in labels.items():
        found = [case[name] for case in cases if name in case]
        number = written.get(name, ", ".join(map(str, numbers_of(numbers))))
        rows.append([name, number, f"{len(found)} of {len(cases)}", *_medians(found, volumes)])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _medians(found: Sequence[Structure], volumes: bool) -> list[str]:
    if not found:
        return ["", "", ""]
    litres, pixels = (median(getattr(s, name) for s in found) for name in ("millilitres", "pixels"))
    return [
        f"{litres:,.1f}" if volumes else f"{pixels:,.0f}",
        f"{median(structure.components for structure in found):g}",
        f"{median(structure.size for structure in found):.0f} {'mm' if volumes else 'pixels'}",
    ]
