"""The datalist: the files of a cohort, their splits, and their hashes.

A ``datalist.json`` has the Decathlon's layout::

    {"name": "isbi2012", "seed": 0, "split": "random",
     "training": [{"image": "images/slice_00.png", "label": "labels/slice_00.png",
                   "image_sha256": "…", "image_pixels_sha256": "…", "image_values_sha256": "…",
                   "label_sha256": "…", "label_pixels_sha256": "…"}, …],
     "validation": […], "test": […]}

Paths are relative to the file. ``image_sha256`` is the hash of the file's bytes, which shows a
damaged or changed file. ``image_pixels_sha256`` is that of its decoded pixels, by which the cohort
is identified. ``image_values_sha256`` is that of its values in any format, by which a copy of an
image is recognised. Any further key of an entry (patient, sex, …) is a group column. In an older
datalist, which has hashes of bytes alone, the others are computed when they are needed, and kept in
memory.
"""

import json
import os
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints, ValidationError

from pipeline.bundle.knobs import LABEL_NAME
from pipeline.bundle.received import contained
from pipeline.data.identity import cohort_sha256, hash_pixels
from pipeline.data.label_numbers import all_numbers
from pipeline.files import sha256, write_json

SPLITS = ("training", "validation", "test")
FILE_KEYS = ("image", "label", "instances")
"""The keys of an entry that name files."""
HASH_SUFFIX = "_sha256"
PIXELS, VALUES = "_pixels", "_values"
"""Kinds of hashes beside that of a file's bytes."""
IMAGE_VALUES = f"image{VALUES}{HASH_SUFFIX}"


def _plain_path(path: str) -> str:
    if any(ord(character) < ord(" ") for character in path):
        raise ValueError("expected a path without line breaks and other control characters")
    return path


PlainPath = Annotated[str, AfterValidator(_plain_path)]
"""A path that stays on its line in a message."""

LabelName = Annotated[str, StringConstraints(pattern=rf"\A{LABEL_NAME.pattern}\z")]
"""A label's name, after which files are named."""


class Entry(BaseModel):
    """One case of a cohort.

    Attributes:
        image: path of the image.
        label: path of the mask.
        instances: path of the instance label; None: the cohort has none.
        hashes: SHA-256 of each file by its key (``image``), of its decoded pixels
            (``image_pixels``), and of the image's values (``image_values``).
        columns: group columns: patient, sex, ….
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    image: PlainPath
    label: PlainPath
    instances: PlainPath | None = None
    hashes: Mapping[str, str] = {}
    columns: dict[str, Any] = {}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Entry":
        """Parse an entry of the file, in which files, hashes and columns are keys of one level.

        Example:
            >>> entry = Entry.from_json(
            ...     {"image": "a.png", "image_sha256": "0f", "label": "b.png", "sex": "female"}
            ... )
            >>> entry.files(), entry.hashes["image"], entry.columns
            ({'image': 'a.png', 'label': 'b.png'}, '0f', {'sex': 'female'})
        """
        fields: dict[str, Any] = {"hashes": {}, "columns": {}}
        for key, value in content.items():
            if key in FILE_KEYS:
                fields[key] = value
            elif key.endswith(HASH_SUFFIX):
                fields["hashes"][key.removesuffix(HASH_SUFFIX)] = value
            else:
                fields["columns"][key] = value
        return cls(**fields)

    def files(self) -> dict[str, str]:
        """Return the paths by their keys."""
        paths = {"image": self.image, "label": self.label, "instances": self.instances}
        return {key: path for key, path in paths.items() if path is not None}

    def unhashed(self) -> dict[str, Any]:
        """Return the entry as :func:`write_datalist` takes it: files and columns, one level."""
        return {**self.files(), **self.columns}

    def to_json(self) -> dict[str, Any]:
        """Return the entry as the file has it."""
        hashes = {f"{key}{HASH_SUFFIX}": value for key, value in self.hashes.items()}
        return {**self.unhashed(), **hashes}


class Datalist(BaseModel):
    """A cohort as read from its ``datalist.json``.

    Attributes:
        path: path of the file.
        name: name of the cohort; empty if the file has none.
        labels: number of each class in the masks, or the numbers of a region, by name; empty if the
            file has none.
        ignore: number of the voxels that count neither in the loss nor in a metric; None: none.
        description: all keys of the file besides the splits, with name and labels.
        splits: entries of each split in the file, with paths as written there.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: Path
    name: str = ""
    labels: dict[LabelName, int | list[int]] = {}
    ignore: int | None = None
    description: dict[str, Any] = {}
    splits: dict[str, tuple[Entry, ...]] = {}

    @property
    def sha256(self) -> str:
        """Hash that identifies the cohort and its splits: of pixels, not of files.

        See :func:`pipeline.data.identity.cohort_sha256`. For a datalist without hashes of pixels
        every file is read.

        Raises:
            FileNotFoundError: such a datalist lists a missing file.
            ValueError: such a datalist lists a file that changed or cannot be read.
        """
        return cohort_sha256(
            {
                split: [
                    {key: self._pixel_hash(entry, key, PIXELS) for key in entry.files()}
                    for entry in entries
                ]
                for split, entries in self.splits.items()
            }
        )

    def is_identified_by(self, digest: str) -> bool:
        """Return whether a hash is the cohort's own, or, as older runs have it, its file's.

        Raises:
            FileNotFoundError: as :attr:`sha256`.
            ValueError: as :attr:`sha256`.
        """
        return digest in {self.sha256, sha256(self.path)}

    def values_of(self, entry: Entry) -> str:
        """Return the hash of an image's values, which its copies in other formats share.

        Raises:
            FileNotFoundError: the datalist has no such hash, and the file is missing.
            ValueError: the datalist has no such hash, and the file changed or cannot be read.
        """
        return self._pixel_hash(entry, "image", VALUES)

    def listed(self, split: str) -> tuple[Entry, ...]:
        """Return the entries of a split as written in the file; empty if it has none."""
        return self.splits.get(split, ())

    def entries(self, split: str) -> list[Entry]:
        """Return the entries of a split with absolute paths, each file verified by its hash.

        Raises:
            ValueError: the split is absent or empty, one of its images is in another split too,
                or a file changed since it was hashed.
            FileNotFoundError: a file is missing.
        """
        if not self.listed(split):
            present = ", ".join(s for s in SPLITS if self.listed(s)) or "none"
            raise ValueError(
                f"{self.path}: split '{split}' has no entry; splits with entries: {present}"
            )
        self._check_leak(split)
        return [self._verified(entry) for entry in self.listed(split)]

    def mask_numbers(self) -> list[int]:
        """Return every number that a mask may hold besides 0; empty if the file names no label."""
        ignored = [] if self.ignore is None else [self.ignore]
        return [*all_numbers(self.labels), *ignored] if self.labels else []

    def to_json(self) -> dict[str, Any]:
        """Return the content of the file."""
        splits = {
            split: [entry.to_json() for entry in entries] for split, entries in self.splits.items()
        }
        return {**self.description, **splits}

    def _check_leak(self, split: str) -> None:
        images = {self.values_of(entry): entry.image for entry in self.listed(split)}
        for other in set(SPLITS) - {split}:
            for entry in self.listed(other):
                image = images.get(self.values_of(entry))
                if image is not None:
                    raise ValueError(
                        f"{self.path}: {image} of {split} stands in {other} too, as {entry.image}; "
                        "an image may be in one split only"
                    )

    def _pixel_hash(self, entry: Entry, key: str, kind: str) -> str:
        if f"{key}{kind}" in entry.hashes:
            return entry.hashes[f"{key}{kind}"]
        computed = hash_pixels(self._verified_file(entry, key), label=key != "image")
        return computed.pixels if kind == PIXELS else computed.values

    def _verified(self, entry: Entry) -> Entry:
        paths = {key: str(self._verified_file(entry, key)) for key in entry.files()}
        return entry.model_copy(update=paths)

    def _verified_file(self, entry: Entry, key: str) -> Path:
        path = contained(self.path.parent / entry.files()[key], f"{self.path}, {key}")
        if not path.is_file():
            raise FileNotFoundError(f"{path}: no such file, though {self.path} lists it")
        if sha256(path) != entry.hashes.get(key):
            raise ValueError(
                f"{path}: changed since it was hashed in {self.path.name}; "
                "restore it, or prepare the cohort again"
            )
        return path


def read_datalist(folder: Path | str) -> Datalist:
    """Read ``datalist.json`` in ``folder``.

    Raises:
        FileNotFoundError: no such folder, or no datalist in it.
        ValueError: a folder that a received bundle may not read; the file is not JSON, or an entry
            lacks a file or has a value of another type.
    """
    folder = contained(folder, "--dataset_dir")
    if not folder.is_dir():
        raise FileNotFoundError(
            f"{folder}: no such folder; give --dataset_dir the folder of a prepared cohort "
            "(unet-school data prepare …)"
        )
    path = folder / "datalist.json"
    if not path.is_file():
        raise FileNotFoundError(
            f"{folder}: no datalist.json in it; make one with unet-school data prepare …"
        )
    try:
        content = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise ValueError(
            f"{path}: not readable as JSON ({error}); prepare the cohort again"
        ) from None
    if not isinstance(content, dict):
        raise ValueError(f"{path}: 'training' is no list of entries; prepare the cohort again")
    splits = {
        split: _parse_entries(path, split, content[split]) for split in SPLITS if split in content
    }
    description = {key: value for key, value in content.items() if key not in SPLITS}
    try:
        return Datalist(
            path=path,
            name=content.get("name") or "",
            labels=content.get("labels") or {},
            ignore=content.get("ignore"),
            description=description,
            splits=splits,
        )
    except ValidationError as error:
        raise _one_line(str(path), error) from None


def _parse_entries(path: Path, split: str, entries: Any) -> tuple[Entry, ...]:
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ValueError(f"{path}: '{split}' is no list of entries; prepare the cohort again")
    parsed = []
    for i, entry in enumerate(entries):
        for key in ("image", "label"):
            if key not in entry:
                raise ValueError(f"{path}: {split}[{i}] has no '{key}'; every entry needs both")
        try:
            parsed.append(Entry.from_json(entry))
        except ValidationError as error:
            raise _one_line(f"{path}: {split}[{i}]", error) from None
    return tuple(parsed)


def _one_line(place: str, error: ValidationError) -> ValueError:
    first = error.errors()[0]
    field, *rest = map(str, first["loc"])
    # the file has hashes and columns among the keys of the entry
    hash_key = "".join([*rest, HASH_SUFFIX])
    key = hash_key if field == "hashes" else ".".join([field, *rest])
    reason = f"{first['msg'][0].lower()}{first['msg'][1:]}"
    if field == "labels":
        key, reason = f"labels.{rest[0]}", "expected a number, or a list of numbers for a region"
        if rest[-1] == "[key]":
            reason = "expected a name of letters, digits, blanks, - and _"
    return ValueError(
        f"{place}: '{key}': found {first['input']!r}; {reason}; prepare the cohort again"
    )


def load_split(dataset_dir: str, split: str) -> list[dict[str, str]]:
    """Return the files of one split of a prepared cohort, each verified by its hash.

    The group columns are left out: training does not use them, and a missing value would stop a
    batch.

    Args:
        dataset_dir: folder with ``datalist.json``.
        split: ``training``, ``validation`` or ``test``.

    Raises:
        FileNotFoundError: no such folder, no datalist in it, or a listed file is missing.
        ValueError: an empty split, or a file that changed since it was hashed.
    """
    return [entry.files() for entry in read_datalist(dataset_dir).entries(split)]


def columns_of(dataset_dir: str, split: str) -> dict[str, dict[str, Any]]:
    """Return the group columns of each case of a split, by the path of its image.

    Raises:
        FileNotFoundError: no such folder, or no datalist in it.
    """
    datalist = read_datalist(dataset_dir)
    return {
        str(datalist.path.parent / entry.image): entry.columns for entry in datalist.listed(split)
    }


def image_hashes(dataset_dir: str, split: str) -> dict[str, str]:
    """Return the file name of each image of a split, by the hash of its values.

    Raises:
        FileNotFoundError: no such folder, or no datalist in it.
        ValueError: a datalist without these hashes lists a file that changed or cannot be read.
    """
    datalist = read_datalist(dataset_dir)
    return {datalist.values_of(entry): Path(entry.image).name for entry in datalist.listed(split)}


def images_among(dataset_dir: str, split: str, hashes: Collection[str]) -> list[str]:
    """Return the file names of a split's images whose hash, of values or of bytes, is in a set.

    Hashes of bytes are those of the records of older models.

    Raises:
        FileNotFoundError: no such folder, or no datalist in it.
        ValueError: a datalist without hashes of values lists a file that changed or cannot be read.
    """
    datalist, wanted = read_datalist(dataset_dir), set(hashes)
    return [
        Path(entry.image).name
        for entry in datalist.listed(split)
        if wanted & {entry.hashes.get("image"), datalist.values_of(entry)}
    ]


def datalist_sha256(dataset_dir: str) -> str:
    """Return the hash that identifies a cohort and its splits, see :attr:`Datalist.sha256`."""
    return read_datalist(dataset_dir).sha256


def write_datalist(
    folder: Path,
    splits: dict[str, list[dict[str, Any]]],
    only: Collection[str] | None = None,
    /,
    **description: Any,
) -> None:
    """Hash every file in ``splits``, and its pixels, and write ``folder/datalist.json``.

    Args:
        folder: folder of the files; paths in ``splits`` are relative to it.
        splits: entries of ``training``, ``validation`` and ``test``, as :meth:`Entry.unhashed`. An
            entry with hashes keeps those of its pixels, unless the bytes of the file changed.
        only: images whose entries are new; the hashes of all others stay, so that a file of theirs
            that changed is still found. None: every file is hashed.
        description: keys at the top of the file: name, seed, kind of split, ….

    Raises:
        ValueError: an image, or a patient, is in two splits, or a file cannot be read.
    """
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        hashed = {
            name: list(pool.map(partial(_hashed, folder, only), entries))
            for name, entries in splits.items()
        }
    _check_leaks(folder, hashed)
    write_json(folder / "datalist.json", {**description, **hashed})


def _check_leaks(folder: Path, splits: dict[str, list[dict[str, Any]]]) -> None:
    for key, remedy in ((IMAGE_VALUES, "remove one of them"), ("patient", "split by patient")):
        seen: dict[str, tuple[str, str]] = {}
        for split, entries in splits.items():
            for entry in entries:
                if entry.get(key) is None:
                    continue
                other, name = seen.setdefault(entry[key], (split, entry["image"]))
                if other != split:
                    relation = "the same image" if key == IMAGE_VALUES else "of the same patient"
                    raise ValueError(
                        f"{entry['image']}: {relation} as {name}, but in {split} and not in "
                        f"{other}; {remedy}"
                    )


def _hashed(folder: Path, only: Collection[str] | None, entry: dict[str, Any]) -> dict[str, Any]:
    hashed = dict(entry)
    if only is not None and entry["image"] not in only:
        return hashed
    for key in FILE_KEYS:
        if key in entry:
            hashed |= _file_hashes(folder / entry[key], entry, key)
    return hashed


def _file_hashes(path: Path, entry: dict[str, Any], key: str) -> dict[str, str]:
    of_bytes, digest = f"{key}{HASH_SUFFIX}", sha256(path)
    kinds = (PIXELS, VALUES) if key == "image" else (PIXELS,)
    of_pixels = [f"{key}{kind}{HASH_SUFFIX}" for kind in kinds]
    if entry.get(of_bytes) == digest and all(name in entry for name in of_pixels):
        return {name: entry[name] for name in (of_bytes, *of_pixels)}
    computed = hash_pixels(path, label=key != "image")
    return {of_bytes: digest, **dict(zip(of_pixels, computed, strict=False))}
