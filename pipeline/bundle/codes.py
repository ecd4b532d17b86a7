"""The code and the colour of each structure, as the metadata of a bundle name them for DICOM."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from pipeline.pages.pictures import LABEL_COLOURS
from pipeline.schemas import read_schema

Colour = tuple[int, int, int]
"""Red, green and blue, 0 to 255."""
Channel = Annotated[int, Field(ge=0, le=255)]
CodeText = Annotated[str, Field(min_length=1, max_length=16)]
Meaning = Annotated[str, Field(min_length=1, max_length=64)]
TISSUE = ("85756007", "SCT", "Tissue")
"""SNOMED's code of a structure of which the metadata say nothing."""
MAX_MEANING_CHARACTERS = 64


class Code(NamedTuple):
    """A code of a coding scheme.

    Attributes:
        value: the code, as ``39607008``.
        scheme: ``SCT`` for SNOMED, ``DCM`` for DICOM, ….
        meaning: what it means, in words.
    """

    value: CodeText
    scheme: CodeText
    meaning: Meaning


class StructureCodes(BaseModel):
    """What ``metadata.json`` says of a structure.

    Attributes:
        category: code of the kind of structure, of DICOM's CID 7150.
        type: code of the structure, of DICOM's CID 7151.
        colour: red, green and blue, 0 to 255; None: one of the product's own.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    category: Code
    type: Code
    colour: tuple[Channel, Channel, Channel] | None = None


class _Apps(BaseModel):
    """Where MONAI's schema of the metadata leaves room for more than texts."""

    dicom: dict[str, StructureCodes] = {}


class _Metadata(BaseModel):
    """The part of ``metadata.json`` that is read here."""

    version: str = Field(default="0.0.0", min_length=1, max_length=64)
    supported_apps: _Apps = _Apps()


class Structure(NamedTuple):
    """A structure as DICOM knows it.

    Attributes:
        number: of its segment, from 1.
        name: of its label.
        category: see :class:`StructureCodes`.
        type: see :class:`StructureCodes`.
        colour: red, green and blue, 0 to 255.
    """

    number: int
    name: str
    category: Code
    type: Code
    colour: Colour


class BundleCodes(NamedTuple):
    """What the metadata of a bundle say for DICOM.

    Attributes:
        version: of the bundle.
        structures: one for each label, in the labels' order.
        uncoded: names of the labels for which no code is named.
    """

    version: str
    structures: tuple[Structure, ...]
    uncoded: tuple[str, ...]


def read_codes(metadata: Path, names: Iterable[str]) -> BundleCodes:
    """Read the codes of a bundle's labels.

    A label without a code is a tissue, whose meaning is the label's name.

    Args:
        metadata: the bundle's ``metadata.json``.
        names: of its labels.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: a code or a colour is none.
    """
    content = read_schema(metadata, _Metadata, "give a structure category, type and colour")
    names, coded = list(names), content.supported_apps.dicom
    structures = tuple(_structure(i, name, coded.get(name)) for i, name in enumerate(names))
    return BundleCodes(content.version, structures, tuple(n for n in names if n not in coded))


def read_colours(metadata: Path | None, names: Iterable[str]) -> dict[str, Colour]:
    """Return the colour of each label as the metadata name it, else one of the product's own.

    Args:
        metadata: the bundle's ``metadata.json``; None: it has none.
        names: of its labels.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: a code or a colour is none.

    Example:
        >>> read_colours(None, ["liver", "tumour"])
        {'liver': (0, 190, 130), 'tumour': (240, 228, 66)}
    """
    if metadata is None:
        return {name: _own_colour(place) for place, name in enumerate(names)}
    return {one.name: one.colour for one in read_codes(metadata, names).structures}


def _own_colour(place: int) -> Colour:
    return LABEL_COLOURS[place % len(LABEL_COLOURS)]


def _structure(place: int, name: str, codes: StructureCodes | None) -> Structure:
    own = _own_colour(place)
    if codes is None:
        meaning = Code(*TISSUE[:2], name[:MAX_MEANING_CHARACTERS])
        return Structure(place + 1, name, Code(*TISSUE), meaning, own)
    return Structure(place + 1, name, codes.category, codes.type, codes.colour or own)
