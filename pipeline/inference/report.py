"""The report of an inference: what was written for which image, written as it goes."""

import hashlib
import json
import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.errors import few
from pipeline.files import as_csv, shown, write_json, write_text
from pipeline.inference.operating_point import OperatingPoint
from pipeline.inference.quality_lines import quality_lines
from pipeline.inference.review import COLUMNS as REVIEW_COLUMNS
from pipeline.inference.review import REVIEW, review_rows
from pipeline.inference.volumes_table import COLUMNS, VOLUMES, volume_rows
from pipeline.progress import count

REPORT = "run_report.json"
EMPTY, FULL = "empty", "full"
"""Coverage of a mask without foreground, and of one without background."""
KINDS = ("mask", "probability", "outer", "instances", "dicom")
"""Folders of what is written for an image."""
SECONDS_BETWEEN_WRITES = 2.0
"""Time between two writes of a growing report; the last one is always written."""

Entry = dict[str, Any]
"""What the report says of one image."""


class InferenceCase(NamedTuple):
    """One image to infer, with all pages of its file.

    Attributes:
        path: its file, or the reference of a DICOM series; of several channels, the first.
        entries: one for each page, as the data set has them.
        sources: its files, by which a change is seen.
    """

    path: Path
    entries: Sequence[Mapping[str, Any]]
    sources: tuple[Path, ...]

    @property
    def name(self) -> str:
        """Name in the report: of its file, or of its DICOM series."""
        return str(self.entries[0].get("name", self.path.name))

    def stamps(self) -> list[list[Any]]:
        """Return name, size and time of change of each file."""
        status = [(path, path.stat()) for path in self.sources if path.exists()]
        return [[path.name, stat.st_size, stat.st_mtime_ns] for path, stat in status]


class InferenceReport:
    """``run_report.json``: settings, one entry for each image, and those that failed.

    A report that is there already is continued: an image that was made from the same file by the
    same model and settings, and whose files are there, is not made again.

    It is written before the first image is made. From then on it lists no file that may be by
    another model or other settings as its own, whenever the inference is interrupted:
    ``not_yet_made`` are the images to come, ``files_of_earlier_inferences`` what lies in the folder
    and is not of this one.

    Args:
        folder: where predictions are written.
        settings: on which the predictions depend: model, operating point, window, ….
        further: what else it says: device, versions.
    """

    def __init__(
        self, folder: Path, settings: Mapping[str, Any], further: Mapping[str, Any]
    ) -> None:
        self.folder, self.settings, self.further = folder, dict(settings), dict(further)
        content = json.dumps(self.settings, sort_keys=True, default=str)
        self.made_with = hashlib.sha256(content.encode()).hexdigest()[:16]
        self.entries: list[Entry] = []
        self.failed: list[Entry] = []
        self.kept = 0
        # dicts without values: ordered, and quick to take from
        self.gone: dict[str, None] = {}
        self.not_yet_made: dict[str, None] = {}
        self.earlier: dict[str, None] = {}
        self._last_write = 0.0

    def begin(self, cases: Sequence[InferenceCase]) -> list[InferenceCase]:
        """Take over what is made already, write the report; return the cases to be made."""
        content = self._read()
        before = {str(entry["image"]): entry for entry in _entries(content)}
        kept = {case.name for case in cases if self._is_made(before.get(case.name), case)}
        self.entries += [before[case.name] for case in cases if case.name in kept]
        self.kept = len(kept)
        todo = [case for case in cases if case.name not in kept]
        self.not_yet_made = dict.fromkeys(case.name for case in todo)
        self._list_files(before, {case.name for case in cases}, content)
        self.write()
        return todo

    def _list_files(
        self, before: Mapping[str, Entry], names: Collection[str], content: Mapping[str, Any]
    ) -> None:
        """List the files that are in the folder and not of this inference."""
        own = {file for entry in self.entries for file in entry["files"]}
        files = dict.fromkeys(file for file in self._files() if file not in own)
        gone = [f for name, entry in before.items() if name not in names for f in entry["files"]]
        gone += content.get("masks_of_images_that_are_gone", ())
        self.gone = dict.fromkeys(file for file in gone if file in files)
        self.earlier = dict.fromkeys(file for file in files if file not in self.gone)

    def earlier_bytes(self) -> int:
        """Return the size of the files of earlier inferences."""
        return sum((self.folder / file).stat().st_size for file in self.earlier)

    def add(self, entry: Entry, case: InferenceCase | None = None) -> None:
        """Add an image that was written."""
        source = {"source": case.stamps()} if case is not None else {}
        self.entries.append({**entry, "made_with": self.made_with, **source})
        self.not_yet_made.pop(str(entry["image"]), None)
        for file in entry["files"]:
            self.gone.pop(file, None)
            self.earlier.pop(file, None)
        self._write_soon()

    def fail(self, name: str, reason: str) -> None:
        """Add an image that could not be inferred."""
        self.failed.append({"image": name, "reason": reason})
        self.not_yet_made.pop(name, None)
        self._write_soon()

    def write(self) -> None:
        """Write the report, and beside it ``volumes.csv`` and the queue ``review.csv``."""
        made = self.entries[self.kept :]
        seconds = sum(entry["seconds"] for entry in made)
        content = {
            **self.settings,
            **self.further,
            "images": len(self.entries),
            "seconds_per_image": round(seconds / len(made), 3) if made else None,
            "empty_masks": len(self._covered(EMPTY)),
            "full_masks": len(self._covered(FULL)),
            "failed": self.failed,
            "not_yet_made": list(self.not_yet_made),
            "masks_of_images_that_are_gone": list(self.gone),
            "files_of_earlier_inferences": list(self.earlier),
            "per_image": self.entries,
        }
        write_json(self.folder / REPORT, content)
        write_text(self.folder / VOLUMES, as_csv(volume_rows(self.entries), COLUMNS))
        write_text(self.folder / REVIEW, as_csv(review_rows(self.entries), REVIEW_COLUMNS))
        self._last_write = time.monotonic()

    def lines(self) -> list[str]:
        """Return the lines to print at the end."""
        maps = ["probability"] if self.settings.get("probabilities") else []
        outer = ["outer"] if "outer" in self.settings else []
        names = ["mask", *outer, *maps, VOLUMES, REVIEW, REPORT]
        places = ", ".join(shown(self.folder / name) for name in names)
        lines = [f"{self._made()}, at threshold {self.stated_threshold()}: {places}"]
        if self.kept:
            lines.append(f"{self.kept} images were made before by the same model and settings")
        for coverage in (EMPTY, FULL):
            named = self._covered(coverage)
            if named:
                lines.append(f"{len(named)} masks are {coverage}: {few(named)}")
        if self.gone:
            lines.append(
                f"{len(self.gone)} files of images that are no longer there: "
                f"{few(list(self.gone))}; remove them if they are not wanted"
            )
        if self.earlier:
            lines.append(
                f"{len(self.earlier)} files are of earlier inferences, by another model or other "
                f"settings: {few(list(self.earlier))}; remove them if they are not wanted"
            )
        lines += quality_lines(self.entries)
        return lines + [f"failed      {entry['reason']}" for entry in self.failed]

    def stated_threshold(self) -> str:
        """Say the threshold, and which labels have their own."""
        fields = set(self.settings) & set(OperatingPoint.model_fields)
        return OperatingPoint(**{name: self.settings[name] for name in fields}).stated_threshold()

    def _made(self) -> str:
        """Say how many images were made now, and how long one took."""
        made = self.entries[self.kept :]
        if not made:
            return "no image to segment"
        seconds = sum(entry["seconds"] for entry in made) / len(made)
        return f"{count(len(made), 'image')}, {seconds:.2f} s each"

    def _covered(self, coverage: str) -> list[str]:
        return [entry["image"] for entry in self.entries if entry["coverage"] == coverage]

    def _read(self) -> dict[str, Any]:
        """Return the report that is there; empty where there is none, or it was cut off."""
        try:
            content = json.loads((self.folder / REPORT).read_text("utf-8"))
        except (OSError, ValueError):
            return {}
        return content if isinstance(content, dict) else {}

    def _files(self) -> list[str]:
        """Return what is written in the folder for images, without files that are being written."""
        return [
            path.relative_to(self.folder).as_posix()
            for kind in KINDS
            for path in sorted((self.folder / kind).rglob("*"))
            if path.is_file() and not path.name.startswith(".")
        ]

    def _is_made(self, entry: Entry | None, case: InferenceCase) -> bool:
        return (
            entry is not None
            and entry.get("made_with") == self.made_with
            and entry.get("source") == case.stamps()
            and all((self.folder / file).is_file() for file in entry["files"])
        )

    def _write_soon(self) -> None:
        if time.monotonic() - self._last_write > SECONDS_BETWEEN_WRITES:
            self.write()


def _entries(content: Mapping[str, Any]) -> list[Entry]:
    return [entry for entry in content.get("per_image", []) if "files" in entry]
