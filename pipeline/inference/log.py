"""The log of all inferences on a machine: one line for each image, nobody is named."""

import hashlib
import os
import secrets
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from pipeline.data.dicom_header import is_dicom, read_header
from pipeline.data.series import headers_of, is_series

VARIABLE = "UNET_SCHOOL_LOG"
"""Environment variable that names the log; where it is not set, nothing is logged."""
SALT_SUFFIX = ".salt"
SALT_DIGITS = 32
SALT_SECONDS = 2.0
"""How long another process may take to write it."""
PSEUDONYM_DIGITS = 10
HASH_DIGITS = 12
OWNER_ONLY = 0o600


class InferenceLog:
    """Adds a line for each image that ``infer``, ``pacs watch`` or ``serve`` has segmented.

    ``TIME study=PSEUDONYM bundle=NAME model=HASH engine=NAME seconds=S flags=FLAGS``; of a received
    bundle also ``archive=HASH``. Flags are ``empty`` or ``full`` for the mask, ``unlike`` for an
    image that differs from the training images, ``failed``, or ``none``.

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
            "study": study_pseudonym(image, self._salt()),
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

    def _salt(self) -> str:
        """Return the salt, which the first process makes.

        Raises:
            ValueError: whoever made it did not finish.
        """
        assert self.path is not None
        path = self.path.with_name(self.path.name + SALT_SUFFIX)
        path.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError):  # another process was first
            _create(path, secrets.token_hex(SALT_DIGITS // 2))
        end = time.monotonic() + SALT_SECONDS
        while len(salt := path.read_text("utf-8").strip()) < SALT_DIGITS:
            if time.monotonic() > end:
                raise ValueError(
                    f"{path}: found {len(salt)} characters, expected {SALT_DIGITS}; whoever made "
                    "it was interrupted; remove it"
                )
            time.sleep(SALT_SECONDS / 100)  # it is being written
        return salt


def _create(path: Path, text: str) -> None:
    """Write a file that is not there yet.

    Raises:
        FileExistsError: it is there.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER_ONLY)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)


def study_pseudonym(image: Path, salt: str) -> str:
    """Return a name for the study of an image, from which the study cannot be known.

    Args:
        image: file, or reference of a DICOM series.
        salt: that is kept with the log.

    Example:
        >>> study_pseudonym(Path("scan.nii.gz"), "salt")
        's29fae21041'
    """
    digest = hashlib.sha256(f"{salt}\0{_study(image)}".encode()).hexdigest()
    return f"s{digest[:PSEUDONYM_DIGITS]}"


def _study(image: Path) -> str:
    """Return the StudyInstanceUID; the name of a file without one, or that cannot be read."""
    try:
        if is_series(image):
            return headers_of(image)[0].study or image.name
        return (image.is_file() and is_dicom(image) and read_header(image).study) or image.name
    except (ValueError, OSError):
        return image.name
