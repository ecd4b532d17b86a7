"""The report of an inference: what was written for which image, written as it goes."""

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.errors import few
from pipeline.files import write_json

REPORT = "run_report.json"
EMPTY, FULL = "empty", "full"
"""Coverage of a mask without foreground, and of one without background."""
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
        self.gone: list[str] = []
        self._last_write = 0.0

    def begin(self, cases: Sequence[InferenceCase]) -> list[InferenceCase]:
        """Take over what is made already; return the cases that are to be made."""
        before = {str(entry["image"]): entry for entry in self._entries_before()}
        names = {case.name for case in cases}
        self.gone = [
            file for name, entry in before.items() if name not in names for file in entry["files"]
        ]
        todo = []
        for case in cases:
            entry = before.get(case.name)
            if entry is not None and self._is_made(entry, case):
                self.entries.append(entry)
                self.kept += 1
            else:
                todo.append(case)
        return todo

    def add(self, entry: Entry, case: InferenceCase | None = None) -> None:
        """Add an image that was written."""
        source = {"source": case.stamps()} if case is not None else {}
        self.entries.append({**entry, "made_with": self.made_with, **source})
        self._write_soon()

    def fail(self, name: str, reason: str) -> None:
        """Add an image that could not be inferred."""
        self.failed.append({"image": name, "reason": reason})
        self._write_soon()

    def write(self) -> None:
        """Write the report."""
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
            "masks_of_images_that_are_gone": self.gone,
            "per_image": self.entries,
        }
        write_json(self.folder / REPORT, content)
        self._last_write = time.monotonic()

    def lines(self) -> list[str]:
        """Return the lines to print at the end."""
        made = self.entries[self.kept :]
        seconds = sum(entry["seconds"] for entry in made) / max(1, len(made))
        maps = "/probability, " if self.settings.get("probabilities") else ""
        lines = [
            f"{len(made)} images, {seconds:.2f} s each, at threshold "
            f"{self.settings['threshold']:.3f}: {self.folder}/mask, {maps}/{REPORT}"
        ]
        if self.kept:
            lines.append(f"{self.kept} images were made before by the same model and settings")
        for coverage in (EMPTY, FULL):
            named = self._covered(coverage)
            if named:
                lines.append(f"{len(named)} masks are {coverage}: {few(named)}")
        if self.gone:
            lines.append(
                f"{len(self.gone)} files of images that are no longer there: {few(self.gone)}; "
                "remove them if they are not wanted"
            )
        lines += [
            f"quality     {entry['image']}: {difference}"
            for entry in self.entries
            for difference in entry.get("differences", ())
        ]
        return lines + [f"failed      {entry['reason']}" for entry in self.failed]

    def _covered(self, coverage: str) -> list[str]:
        return [entry["image"] for entry in self.entries if entry["coverage"] == coverage]

    def _entries_before(self) -> list[Entry]:
        try:
            content = json.loads((self.folder / REPORT).read_text("utf-8"))
        except (OSError, ValueError):  # none, or one that was cut off: all is made again
            return []
        return [entry for entry in content.get("per_image", []) if "files" in entry]

    def _is_made(self, entry: Entry, case: InferenceCase) -> bool:
        return (
            entry.get("made_with") == self.made_with
            and entry.get("source") == case.stamps()
            and all((self.folder / file).is_file() for file in entry["files"])
        )

    def _write_soon(self) -> None:
        if time.monotonic() - self._last_write > SECONDS_BETWEEN_WRITES:
            self.write()
