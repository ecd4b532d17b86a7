"""The datalist: which files make a cohort, how it is split, and the hash of each file.

A ``datalist.json`` in the Decathlon manner::

    {"name": "isbi2012", "seed": 0, "split": "random",
     "training": [{"image": "images/slice_00.png", "image_sha256": "…",
                   "label": "labels/slice_00.png", "label_sha256": "…"}, …],
     "validation": […], "test": […]}

Paths are relative to the file. Any further key of an entry (patient, sex, …) is a group column.
"""

import json
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.files import sha256, write_json

SPLITS = ("training", "validation", "test")
FILE_KEYS = ("image", "label", "instances")
"""The keys of an entry that name files."""


class Datalist(NamedTuple):
    """A cohort as read from its ``datalist.json``.

    Attributes:
        path: the file.
        sha256: its hash, which names the cohort and its split in tracking.
        content: what it says, with paths as written in it.
    """

    path: Path
    sha256: str
    content: dict[str, Any]

    def entries(self, split: str) -> list[dict[str, Any]]:
        """Return the entries of one split with absolute paths, each file checked by its hash.

        Raises:
            ValueError: the split is absent or empty, an image of it stands in another split too,
                or a file changed since it was hashed.
            FileNotFoundError: a file is gone.
        """
        found = self.content.get(split)
        if not found:
            has = ", ".join(s for s in SPLITS if self.content.get(s)) or "none"
            raise ValueError(
                f"{self.path}: split '{split}' has no entry; splits with entries: {has}"
            )
        self._check_leak(split)
        return [self._checked(entry) for entry in found]

    def _check_leak(self, split: str) -> None:
        own = {entry.get("image_sha256"): entry.get("image") for entry in self.content[split]}
        for other in set(SPLITS) - {split}:
            for entry in self.content.get(other, ()):
                if entry.get("image_sha256") in own:
                    raise ValueError(
                        f"{self.path}: {entry['image']} of {split} stands in {other} too; "
                        "an image may be in one split only"
                    )

    def _checked(self, entry: dict[str, Any]) -> dict[str, Any]:
        return {
            key: str(self._checked_file(entry, key)) if key in FILE_KEYS else value
            for key, value in entry.items()
            if not key.endswith("_sha256")
        }

    def _checked_file(self, entry: dict[str, Any], key: str) -> Path:
        path = self.path.parent / entry[key]
        if not path.is_file():
            raise FileNotFoundError(f"{path}: no such file, though {self.path} lists it")
        if sha256(path) != entry.get(f"{key}_sha256"):
            raise ValueError(
                f"{path}: changed since it was hashed in {self.path.name}; "
                "restore it, or prepare the cohort again"
            )
        return path


def columns_of_entry(entry: dict[str, Any]) -> dict[str, Any]:
    """Return what an entry says beside its files and their hashes: patient, sex, ….

    Example:
        >>> columns_of_entry({"image": "a.png", "image_sha256": "0f", "sex": "female"})
        {'sex': 'female'}
    """
    return {
        key: value
        for key, value in entry.items()
        if key not in FILE_KEYS and not key.endswith("_sha256")
    }


def read_datalist(folder: Path | str) -> Datalist:
    """Read ``datalist.json`` in ``folder``.

    Raises:
        FileNotFoundError: no such folder, or no datalist in it.
        ValueError: the file is not JSON.
    """
    folder = Path(folder)
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
    _check_form(path, content)
    return Datalist(path, sha256(path), content)


def _check_form(path: Path, content: Any) -> None:
    splits = content if isinstance(content, dict) else {"training": None}
    for split in (name for name in SPLITS if name in splits):
        entries = splits[split]
        if not isinstance(entries, list) or not all(isinstance(each, dict) for each in entries):
            raise ValueError(f"{path}: '{split}' is no list of entries; prepare the cohort again")
        for i, entry in enumerate(entries):
            for key in ("image", "label"):
                if key not in entry:
                    raise ValueError(f"{path}: {split}[{i}] has no '{key}'; every entry needs both")


def load_split(dataset_dir: str, split: str) -> list[dict[str, Any]]:
    """Return the files of one split of a prepared cohort, each checked by its hash.

    What else is known of a case stays behind: training has no use for it, and a missing value would
    stop a batch.

    Args:
        dataset_dir: folder with ``datalist.json``.
        split: ``training``, ``validation`` or ``test``.

    Raises:
        FileNotFoundError: no such folder, no datalist in it, or a listed file is gone.
        ValueError: an empty split, or a file that changed since it was hashed.
    """
    return [
        {key: entry[key] for key in FILE_KEYS if key in entry}
        for entry in read_datalist(dataset_dir).entries(split)
    ]


def columns_of(dataset_dir: str, split: str) -> dict[str, dict[str, Any]]:
    """Return what is known of each case of a split beside its files, by the path of its image.

    Raises:
        FileNotFoundError: no such folder, or no datalist in it.
    """
    datalist = read_datalist(dataset_dir)
    return {
        str(datalist.path.parent / entry["image"]): columns_of_entry(entry)
        for entry in datalist.content.get(split, ())
    }


def image_hashes(dataset_dir: str, split: str) -> dict[str, str]:
    """Return the hash of each image of a split, with its file's name.

    Raises:
        FileNotFoundError: no such folder, or no datalist in it.
    """
    entries = read_datalist(dataset_dir).content.get(split, ())
    return {entry["image_sha256"]: Path(entry["image"]).name for entry in entries}


def datalist_sha256(dataset_dir: str) -> str:
    """Return the hash of a cohort's datalist, which names the cohort and its split."""
    return read_datalist(dataset_dir).sha256


def write_datalist(
    folder: Path, splits: dict[str, list[dict[str, Any]]], **description: Any
) -> None:
    """Hash every file that ``splits`` names and write ``folder/datalist.json``.

    Args:
        folder: where the files are; paths in ``splits`` are relative to it.
        splits: the entries of ``training``, ``validation`` and ``test``.
        description: what stands at the top of the file: name, seed, kind of split, ….

    Raises:
        ValueError: one image, or one patient, stands in two splits.
    """
    hashed = {name: [_hashed(folder, e) for e in entries] for name, entries in splits.items()}
    _check_leaks(folder, hashed)
    write_json(folder / "datalist.json", {**description, **hashed})


def _check_leaks(folder: Path, splits: dict[str, list[dict[str, Any]]]) -> None:
    for key, mend in (("image_sha256", "remove one of them"), ("patient", "split by patient")):
        seen: dict[str, tuple[str, str]] = {}
        for split, entries in splits.items():
            for entry in entries:
                if entry.get(key) is None:
                    continue
                other, name = seen.setdefault(entry[key], (split, entry["image"]))
                if other != split:
                    what = "the same image" if key == "image_sha256" else "of the same patient"
                    raise ValueError(
                        f"{entry['image']}: {what} as {name}, but in {split} and not in "
                        f"{other}; {mend}"
                    )


def _hashed(folder: Path, entry: dict[str, Any]) -> dict[str, Any]:
    hashes = {f"{k}_sha256": sha256(folder / entry[k]) for k in FILE_KEYS if k in entry}
    return {**entry, **hashes}
