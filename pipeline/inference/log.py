"""The log of all inferences on a machine: one line for each image, nobody is named."""

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.inference.pseudonyms import OWNER_ONLY, salt_beside, study_pseudonym

VARIABLE = "UNET_SCHOOL_LOG"
"""Environment variable that names the log; where it is not set, nothing is logged."""
HASH_DIGITS = 12


class InferenceLog:
    """Adds a line for each image that ``infer``, ``pacs watch`` or ``serve`` has segmented.

    ``TIME study=PSEUDONYM bundle=NAME model=HASH engine=NAME seconds=S flags=FLAGS``; of a received
    bundle also ``archive=HASH``. Flags are ``empty`` or ``full`` for the mask, ``unlike`` for an
    image that differs from the training images, ``unlocated`` where a network that locates first
    found nothing or too much for its box, ``failed``, or ``none``.

    The pseudonym is made of the StudyInstanceUID, or of the name of a file without one, and of a
    salt beside the log, ``LOG.salt``. Whoever has both finds the line of a study.

    Raises:
        OSError: the log cannot be written; nothing is segmented without it.
    """

    def __init__(self) -> None:
        name = os.environ.get(VARIABLE)
        self.path = Path(name).absolute() if name else None
        if self.path is not None:
            self._append("")

    def add(
        self, image: Path, settings: Mapping[str, Any], seconds: float, flags: Sequence[str]
    ) -> None:
        """Add the line of an image; nothing where no log is wanted.

        Args:
            image: file, or reference of a DICOM series.
            settings: of the inference, as its report has them.
            seconds: that it took.
            flags: what is worth a look.

        Raises:
            OSError: the log cannot be written.
        """
        if self.path is None:
            return
        archive = settings.get("received_archive_sha256")
        values = {
            "study": study_pseudonym(image, salt_beside(self.path)),
            "bundle": "_".join(str(settings.get("bundle", "-")).split()) or "-",
            "model": settings["model_sha256"][:HASH_DIGITS],
            **({"archive": archive[:HASH_DIGITS]} if archive else {}),
            "engine": settings["engine"],
            "seconds": f"{seconds:.3f}",
            "flags": ",".join(flags) or "none",
        }
        moment = time.strftime("%Y-%m-%dT%H:%M:%S%z")
        line = " ".join([moment, *(f"{key}={value}" for key, value in values.items())])
        self._append(f"{line}\n")

    def _append(self, line: str) -> None:
        """Write a line at once, so that several processes share the log."""
        assert self.path is not None
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, OWNER_ONLY)
            try:
                os.write(descriptor, line.encode())
            finally:
                os.close(descriptor)
        except OSError as error:
            raise OSError(
                f"{self.path}: cannot be written ({error.strerror}); make it writable, or name "
                f"another log in {VARIABLE}"
            ) from None
