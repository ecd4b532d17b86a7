"""The versions of the labels in a cohort: each that was saved, with its author and time."""

from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from pipeline.data.suffixes import stem_of
from pipeline.schemas import read_schema

LABELS = "labels"


class LabelVersion(BaseModel):
    """A label as it was saved once: ``labels/NAME.VERSION.json`` beside its file.

    Attributes:
        image: id of the image.
        version: 1, and 1 more each time it is saved.
        file: path of the label in the cohort.
        author: whose token it was; without tokens, the owner of the service.
        client: what the plug-in says of itself; anybody may claim it.
        time: when it was saved, with its zone.
        sha256: hash of the file.
        model_sha256: hash of the weights that were served meanwhile.
        listed: whether the datalist has it, or slices of it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    image: str
    version: int
    file: str
    author: str
    client: str
    time: str
    sha256: str
    model_sha256: str
    listed: bool


class LabelVersions:
    """The saved labels below a folder.

    Args:
        folder: of the cohort.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder / LABELS

    def names(self) -> set[str]:
        """Return the names of the images that have a label."""
        return {_image_of(path) for path in self.folder.glob("*.json")}

    def all(self) -> Mapping[str, list[LabelVersion]]:
        """Return the labels of each image by its name, the oldest first."""
        versions: dict[str, list[LabelVersion]] = {}
        for path in sorted(self.folder.glob("*.json")):
            versions.setdefault(_image_of(path), []).append(_read(path))
        return {name: sorted(own, key=_number) for name, own in versions.items()}

    def of(self, name: str) -> list[LabelVersion]:
        """Return the labels of an image, the oldest first."""
        own = [path for path in self.folder.glob("*.json") if _image_of(path) == name]
        return sorted(map(_read, own), key=_number)

    def next_stem(self, name: str) -> tuple[int, Path]:
        """Return number and path without suffix of the next label of an image.

        A label file counts also if it lost its record.
        """
        stems = [stem_of(path).rpartition(".") for path in self.folder.glob("*")]
        numbers = [number for image, _, number in stems if image == name]
        newest = max((int(number) for number in numbers if number.isdecimal()), default=0)
        return newest + 1, self.folder / f"{name}.{newest + 1:04d}"


def _read(path: Path) -> LabelVersion:
    return read_schema(path, LabelVersion, "restore it")


def _number(version: LabelVersion) -> int:
    return version.version


def _image_of(record: Path) -> str:
    """Return the name of the image of ``NAME.VERSION.json``."""
    return record.name.rsplit(".", 2)[0]
