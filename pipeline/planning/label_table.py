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
        >>> first, second = Structure(6000, 0.0, 2, 80.0), Structure(8000, 0.0, 2, 90.0)
        >>> cases = [{"lung": first}, {"lung": second}, {}]
        >>> print("\\n".join(label_table(cases, {"lung": 1}, {"lung": "255"})))
        label  in the files   cases  pixels a case  parts a case  about as long as
        lung            255  2 of 3          7,000             2         85 pixels
    """
    volumes = any(structure.millilitres for case in cases for structure in case.values())
    heading = [text.format(amount="ml" if volumes else "pixels") for text in HEADINGS]
    rows = [heading]
    for name, numbers in labels.items():
        structures = [case[name] for case in cases if name in case]
        number = written.get(name, ", ".join(map(str, numbers_of(numbers))))
        count = f"{len(structures)} of {len(cases)}"
        rows.append([name, number, count, *_medians(structures, volumes)])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _medians(structures: Sequence[Structure], volumes: bool) -> list[str]:
    if not structures:
        return ["", "", ""]
    millilitres = median(structure.millilitres for structure in structures)
    pixels = median(structure.pixels for structure in structures)
    return [
        f"{millilitres:,.1f}" if volumes else f"{pixels:,.0f}",
        f"{median(structure.components for structure in structures):g}",
        f"{median(structure.size for structure in structures):.0f} {'mm' if volumes else 'pixels'}",
    ]
