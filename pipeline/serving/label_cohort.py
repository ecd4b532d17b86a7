"""The cohort that saved labels go into: every version is kept, the newest is listed."""

import secrets
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from pipeline.claims import claim
from pipeline.data.cohort import GIT_IGNORE, SALT_FILE
from pipeline.data.datalist import Datalist, Entry, read_datalist, write_datalist
from pipeline.data.label_numbers import LabelNumbers
from pipeline.data.modality import modality_of
from pipeline.data.series import pseudonym
from pipeline.data.suffixes import stem_of
from pipeline.files import sha256, write_json, write_text
from pipeline.schemas import read_schema
from pipeline.serving.cohort_files import copied_image, save_label
from pipeline.serving.images import ServedImage
from transforms.places import Grid

IMAGES, LABELS, DATALIST = "images", "labels", "datalist.json"
TRAINING = "training"
WAIT_SECONDS = 30.0
"""How long another command may write the cohort."""


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
        listed: whether the datalist has it: a volume of a bundle for flat images is kept alone.
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


class LabelCohort:
    """A cohort as ``unet-school train --data`` takes it, which grows by each saved label.

    A new case goes to the others of its patient, else into the training split; ``unet-school data
    split`` divides them anew. A case that has a label keeps its split. The patients of DICOM images
    are there by their pseudonyms.

    Args:
        folder: of the cohort; it is made with the first label.
        name: of the cohort, if it is new.
        labels: number or numbers of each label, by name.
        model_sha256: hash of the weights that are served.

    Raises:
        ValueError: the cohort has other labels.
    """

    def __init__(self, folder: Path, name: str, labels: LabelNumbers, model_sha256: str) -> None:
        self.folder, self.name = folder, name
        self.labels, self.model_sha256 = labels, model_sha256
        self._lock = threading.Lock()
        listed = self.datalist()
        if listed is not None and listed.labels and dict(listed.labels) != dict(labels):
            raise ValueError(
                f"{listed.path}: has the labels {dict(listed.labels)}, expected those of the "
                f"bundle, {dict(labels)}; give another --data"
            )

    @property
    def images(self) -> Path:
        """Folder of the images of the cohort."""
        return self.folder / IMAGES

    def datalist(self) -> Datalist | None:
        """Return the datalist; None: there is none yet."""
        return read_datalist(self.folder) if (self.folder / DATALIST).is_file() else None

    def labelled(self) -> set[str]:
        """Return the names of the images that have a label, listed or kept alone."""
        saved = {_image_of(path) for path in (self.folder / LABELS).glob("*.json")}
        return saved | {_name(entry) for entry in self._entries()}

    def versions(self, image: ServedImage) -> list[LabelVersion]:
        """Return the saved labels of an image, the oldest first."""
        paths = sorted((self.folder / LABELS).glob("*.json"))
        own = [path for path in paths if _image_of(path) == image.file_name]
        versions = [read_schema(path, LabelVersion, "restore it") for path in own]
        return sorted(versions, key=lambda one: one.version)

    def label_of(self, image: ServedImage) -> Path | None:
        """Return the newest label of an image; None: it has none."""
        versions = self.versions(image)
        if versions:
            return self.folder / versions[-1].file
        labels = (e.label for e in self._entries() if _name(e) == image.file_name)
        return next((self.folder / label for label in labels), None)

    def save(
        self, image: ServedImage, numbers: NDArray[Any], grid: Grid, author: str, client: str
    ) -> LabelVersion:
        """Save a label of an image.

        Args:
            image: that it belongs to.
            numbers: of the labels, ``(X, Y, Z)``.
            grid: of the image.
            author: whose token it was.
            client: what the plug-in says of itself.

        Raises:
            ValueError: another command writes the cohort.
            OSError: the disk cannot be written.
        """
        with self._lock, claim(self.folder, WAIT_SECONDS):
            self.folder.mkdir(0o700, parents=True, exist_ok=True)
            if not (self.folder / GIT_IGNORE).exists():
                write_text(self.folder / GIT_IGNORE, "*\n")
            copy = copied_image(image, self.images)
            version = 1 + self._newest_version(image.file_name)
            stem = self.folder / LABELS / f"{image.file_name}.{version:04d}"
            path = save_label(stem, numbers, grid, self.labels, copy)
            record = LabelVersion(
                image=image.id, version=version, file=f"{LABELS}/{path.name}", author=author,
                client=client, time=time.strftime("%Y-%m-%dT%H:%M:%S%z"), sha256=sha256(path),
                model_sha256=self.model_sha256, listed=copy is not None,
            )  # fmt: skip
            try:
                if copy is not None:
                    self._list(image, copy, record)
            except BaseException:
                path.unlink(missing_ok=True)
                raise
            # from here on the datalist names the file
            write_json(stem.with_name(f"{stem.name}.json"), record.model_dump(), durable=True)
        return record

    def _newest_version(self, name: str) -> int:
        """Return the highest number of a label file, also of one that lost its record; 0: none."""
        stems = [stem_of(path).rpartition(".") for path in (self.folder / LABELS).glob("*")]
        numbers = [number for image, _, number in stems if image == name]
        return max((int(number) for number in numbers if number.isdecimal()), default=0)

    def _list(self, image: ServedImage, copy: Path, record: LabelVersion) -> None:
        listed = self.datalist()
        splits = {} if listed is None else dict(listed.splits)
        entries = {split: [entry.to_json() for entry in splits[split]] for split in splits}
        own = self._entry(image, copy, record)
        _place(own, entries)
        description = self._description(image) if listed is None else listed.description
        write_datalist(self.folder, entries, own["image"], **description)

    def _entry(self, image: ServedImage, copy: Path, record: LabelVersion) -> dict[str, Any]:
        patient = {} if image.header is None else {"patient": pseudonym(image.header, self._salt())}
        return {
            "image": f"{IMAGES}/{copy.name}", "label": record.file, **patient,
            "author": record.author, "labelled": record.time,
        }  # fmt: skip

    def _description(self, image: ServedImage) -> Mapping[str, Any]:
        modality = modality_of(image.path)
        labels = {name: list(n) if not isinstance(n, int) else n for name, n in self.labels.items()}
        return {
            "name": self.name, "labels": labels, **({"modality": modality} if modality else {})
        }  # fmt: skip

    def _salt(self) -> str:
        path = self.folder / SALT_FILE
        if not path.is_file():
            write_text(path, f"{secrets.token_hex(16)}\n", durable=True)
        return path.read_text("utf-8").strip()

    def _entries(self) -> list[Entry]:
        """Return the cases of all splits."""
        listed = self.datalist()
        return [one for split in listed.splits.values() for one in split] if listed else []


def _place(own: dict[str, Any], entries: dict[str, list[dict[str, Any]]]) -> None:
    """Put a case where it was, or with others of its patient, or into the training split."""
    for split in entries.values():
        for i, entry in enumerate(split):
            if entry["image"] == own["image"]:
                patient = {"patient": entry["patient"]} if "patient" in entry else {}
                split[i] = {**entry, **own, **patient}
                return
    patients = {entry.get("patient"): name for name, split in entries.items() for entry in split}
    name = patients.get(own["patient"], TRAINING) if "patient" in own else TRAINING
    entries.setdefault(name, []).append(own)


def _image_of(record: Path) -> str:
    """Return the name of the image of ``NAME.VERSION.json``."""
    return record.name.rsplit(".", 2)[0]


def _name(entry: Entry) -> str:
    return stem_of(Path(entry.image))
