"""Names and colours of labels, as other programs read them: NIfTI, ITK-SNAP, 3D Slicer."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple
from xml.sax.saxutils import escape

from nibabel.nifti1 import Nifti1Extension

from pipeline.bundle.codes import Colour, read_colours
from pipeline.data.label_numbers import LabelNumbers, painted_numbers
from pipeline.files import write_text
from pipeline.inference.structures import FOREGROUND

ITK_SNAP, SLICER = "labels_itksnap.txt", "labels_slicer.ctbl"
"""Names of the tables in the folder of an inference."""
UNKNOWN = 0
"""NIfTI's code of an extension of no registered program."""


class NamedLabel(NamedTuple):
    """A number in a mask, and what it means.

    Attributes:
        number: in the mask.
        name: of the label.
        colour: red, green and blue, 0 to 255.
    """

    number: int
    name: str
    colour: Colour


def named_labels(
    labels: LabelNumbers, colours: Mapping[str, Colour] | None = None
) -> list[NamedLabel]:
    """Return what the numbers of a written mask mean, and in which colours they are shown.

    Args:
        labels: name and number or numbers of each label; none: 1 is foreground.
        colours: of each label; None: those of the product's pictures.

    Example:
        >>> [(label.number, label.name) for label in named_labels({"whole": [1, 2], "core": 2})]
        [(1, 'whole'), (2, 'core')]
    """
    names = labels or {FOREGROUND: 1}
    shown = read_colours(None, names) if colours is None else colours
    numbers = zip(names, painted_numbers(names), strict=True)
    return [NamedLabel(number, name, shown[name]) for name, number in numbers]


def nifti_extension(
    labels: LabelNumbers, colours: Mapping[str, Colour] | None = None
) -> Nifti1Extension:
    """Return the extension of a NIfTI header that names the numbers of its voxels.

    It is a label table in XML, as TotalSegmentator writes and reads it. (Under the code of the
    Connectome Workbench, whose form it has, nibabel 5.4 cannot return its content.)

    Example:
        >>> extension = nifti_extension({"liver": 7})
        >>> extension.get_code(), b'<Label Key="7"' in extension.get_content()
        (0, True)
    """
    rows = "".join(map(_caret_label, named_labels(labels, colours)))
    content = (
        '<?xml version="1.0" encoding="UTF-8"?>\n<CaretExtension><VolumeInformation Index="0">\n'
        f"<LabelTable>\n{rows}</LabelTable>\n<StudyMetaDataLinkSet></StudyMetaDataLinkSet>\n"
        "<VolumeType>Label</VolumeType></VolumeInformation></CaretExtension>\n"
    )
    return Nifti1Extension(UNKNOWN, content.encode("utf-8"))


def _caret_label(label: NamedLabel) -> str:
    red, green, blue = (f"{value / 255:.4f}" for value in label.colour)
    colour = f'Red="{red}" Green="{green}" Blue="{blue}" Alpha="1"'
    return f'<Label Key="{label.number}" {colour}>{escape(label.name)}</Label>\n'


def itk_snap_table(labels: LabelNumbers, colours: Mapping[str, Colour] | None = None) -> str:
    """Return ITK-SNAP's label descriptions: *Segmentation*, *Import Label Descriptions*.

    Each line has number, red, green, blue, opacity, visibility in slices and in the mesh, name.

    Example:
        >>> itk_snap_table({"liver": 7}).splitlines()[-1].split(maxsplit=7)
        ['7', '0', '190', '130', '1', '1', '1', '"liver"']
    """
    rows = [(0, (0, 0, 0), 0, "Clear Label")]
    named = named_labels(labels, colours)
    rows += [(label.number, label.colour, 1, label.name) for label in named]
    lines = [
        "################################################",
        "# ITK-SnAP Label Description File",
        "# File format:",
        "# IDX   -R-  -G-  -B-  -A--  VIS MSH  LABEL",
        "################################################",
    ]
    for number, colour, seen, name in rows:
        levels = "  ".join(f"{level:>3}" for level in colour)
        lines.append(f'{number:>5}  {levels}  {seen:>4}  {seen:>3} {seen:>3}    "{name}"')
    return "\n".join(lines) + "\n"


def slicer_table(labels: LabelNumbers, colours: Mapping[str, Colour] | None = None) -> str:
    """Return a colour table of 3D Slicer, for a label map or an import as segmentation.

    Each line has number, name without blanks, red, green, blue, opacity.

    Example:
        >>> print(slicer_table({"left lung": 2}), end="")
        # Color table file labels_slicer.ctbl
        # 2 values
        0 background 0 0 0 0
        2 left_lung 0 190 130 255
    """
    rows = [f"{n} {name.replace(' ', '_')} {r} {g} {b} 255"
            for n, name, (r, g, b) in named_labels(labels, colours)]  # fmt: skip
    head = [f"# Color table file {SLICER}", f"# {len(rows) + 1} values", "0 background 0 0 0 0"]
    return "\n".join([*head, *rows]) + "\n"


def write_label_tables(
    folder: Path, labels: LabelNumbers, colours: Mapping[str, Colour] | None = None
) -> None:
    """Write the tables of ITK-SNAP and Slicer beside the masks."""
    write_text(folder / ITK_SNAP, itk_snap_table(labels, colours))
    write_text(folder / SLICER, slicer_table(labels, colours))
