"""From a folder with a study to DICOM objects with its segmentation: another program's work."""

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from pipeline.bundle.dicom_kinds import DicomKind, DicomSeg

Infer = Callable[[Path, Path], list[Path]]
"""Segments the study in the first folder, writes to the second, returns the DICOM files."""

ERROR = "error: "
"""Beginning of the line in which a command says why it failed."""


class InferBundle:
    """Segments by ``unet-school infer``, in a process of its own: what it breaks stays there.

    Args:
        bundle: folder of the bundle.
        dicom: kinds of results.
        dicom_seg: what a segmentation holds; None: what the bundle says.
        series: which series of the study; None: all.
    """

    def __init__(
        self,
        bundle: Path,
        dicom: Sequence[DicomKind],
        dicom_seg: DicomSeg | None = None,
        series: str | None = None,
    ) -> None:
        self.bundle, self.dicom, self.dicom_seg, self.series = bundle, dicom, dicom_seg, series

    def __call__(self, study: Path, out: Path) -> list[Path]:
        """Segment one study.

        Raises:
            ValueError: the command failed, for the reason that it gave.
        """
        outcome = subprocess.run(
            self.command(study, out), capture_output=True, text=True, errors="replace", check=False
        )
        if outcome.returncode:
            raise ValueError(_reason(outcome.stderr, outcome.returncode))
        return sorted(out.rglob("*.dcm"))

    def command(self, study: Path, out: Path) -> list[str]:
        """Return the words of the command."""
        module = [sys.executable, "-m", "pipeline.cli", "infer", str(self.bundle)]
        series = ["--series", self.series] if self.series else []
        seg = ["--dicom-seg", self.dicom_seg] if self.dicom_seg else []
        files = ["--images", str(study), "--out", str(out)]
        return [*module, *files, *series, *seg, "--dicom", *self.dicom]


def _reason(errors: str, code: int) -> str:
    lines = [line for line in errors.splitlines() if line.strip()]
    stated = [line.removeprefix(ERROR) for line in lines if line.startswith(ERROR)]
    last = stated or lines
    return last[-1] if last else f"infer ended with {code} and without a word"
