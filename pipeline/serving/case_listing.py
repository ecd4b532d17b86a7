"""The datalist of a cohort that grows by each saved label."""

import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.data.cohort import SALT_FILE
from pipeline.data.datalist import Datalist, Entry, read_datalist, write_datalist
from pipeline.data.label_numbers import LabelNumbers
from pipeline.data.modality import modality_of
from pipeline.data.series import pseudonym
from pipeline.data.suffixes import stem_of
from pipeline.files import write_text
from pipeline.serving.images import ServedImage

DATALIST, TRAINING = "datalist.json", "training"
VOLUME = "volume"
"""Column of a slice: name of the volume that it is of."""

Case = dict[str, Any]
"""An entry as the datalist has it: files, columns and hashes at one level."""


class CaseListing:
    """``datalist.json``, which lists the newest label of each image.

    A new case goes to the others of its patient, else into the training split. A case that has a
    label keeps its split. The patients of DICOM images are there by their pseudonyms; of a volume
    that is listed slice by slice and is no DICOM, the volume stands for the patient.

    Args:
        folder: of the cohort.
        name: of the cohort, if it is new.
        labels: number or numbers of each label, by name.
    """

    def __init__(self, folder: Path, name: str, labels: LabelNumbers) -> None:
        self.folder, self.name, self.labels = folder, name, labels

    def datalist(self) -> Datalist | None:
        """Return the datalist; None: there is none yet."""
        return read_datalist(self.folder) if (self.folder / DATALIST).is_file() else None

    def labels_by_image(self) -> Mapping[str, str]:
        """Return the path of each listed label by the name of its image or volume."""
        listed = self.datalist()
        entries = [one for split in listed.splits.values() for one in split] if listed else []
        return {_name(entry): entry.label for entry in entries}

    def add(self, image: ServedImage, files: Sequence[Mapping[str, str]], saved: Case) -> None:
        """List the files of an image and its label in the place of those that are listed.

        Args:
            image: that was labelled.
            files: ``image`` and ``label`` of the image, or of each slice of a volume.
            saved: further columns.

        Raises:
            ValueError: a file cannot be read; the patient's cases are in several splits.
        """
        listed = self.datalist()
        splits = {} if listed is None else dict(listed.splits)
        entries = {split: [entry.to_json() for entry in splits[split]] for split in splits}
        cases = [{**one, **self._patient(image, saved), **saved} for one in files]
        new = {case["image"] for case in cases}
        if VOLUME in saved:
            drop_slices(entries, saved[VOLUME], new)
        for case in cases:
            place(case, entries)
        description = self._description(image) if listed is None else listed.description
        write_datalist(self.folder, entries, new, **description)

    def _patient(self, image: ServedImage, saved: Case) -> dict[str, str]:
        if image.header is not None:
            return {"patient": pseudonym(image.header, self._salt())}
        return {"patient": saved[VOLUME]} if VOLUME in saved else {}

    def _description(self, image: ServedImage) -> Mapping[str, Any]:
        modality = modality_of(image.path)
        labels = {name: list(n) if not isinstance(n, int) else n for name, n in self.labels.items()}
        return {
            "name": self.name, "labels": labels, **({"modality": modality} if modality else {}),
            **({"channels": list(image.channels)} if image.channels else {}),
        }  # fmt: skip

    def _salt(self) -> str:
        path = self.folder / SALT_FILE
        if not path.is_file():
            write_text(path, f"{secrets.token_hex(16)}\n", durable=True)
        return path.read_text("utf-8").strip()


def place(own: Case, entries: dict[str, list[Case]]) -> None:
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


def drop_slices(entries: dict[str, list[Case]], volume: str, kept: set[str]) -> None:
    """Take out the slices of a volume whose newest label has nothing in them."""
    for split, cases in entries.items():
        entries[split] = [one for one in cases if one.get(VOLUME) != volume or one["image"] in kept]


def _name(entry: Entry) -> str:
    return str(entry.columns.get(VOLUME) or stem_of(Path(entry.image)))
