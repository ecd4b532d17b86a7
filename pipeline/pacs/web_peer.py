"""A peer that speaks DICOMweb: QIDO-RS, WADO-RS, STOW-RS."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import pydicom
from dicomweb_client.web import DICOMwebClient
from pydicom.dataset import Dataset
from pydicom.filewriter import dcmwrite

from pipeline.pacs.faults import NetworkError, PeerError
from pipeline.pacs.instances import StoreInstance, checked_uid, read_instance
from pipeline.pacs.peer import FoundStudy, store_of_study
from pipeline.pacs.settings import Limits, WebPeer
from pipeline.pacs.web_session import BoundedSession, http_faults

STUDY, SERIES, INSTANCE = "0020000D", "0020000E", "00080018"
"""Tags of the UIDs in an answer."""
STUDY_INSTANCES = "00201208"
"""Tag of the number of a study's instances."""
OUT_OF_RESOURCES = 0xA700
"""First failure reason that may pass."""
OUT_OF_RESOURCES_END = 0xA800
HEADER_BYTES = 2**20
"""Of a multipart answer, beside the instance."""
PAGE = 500
"""Number of instances that are asked for at a time."""


class DicomWeb:
    """A peer that speaks DICOMweb; see :class:`~pipeline.pacs.peer.Peer`.

    Args:
        name: by which pacs.yaml names it.
        settings: of the peer.
        limits: of what it may send.

    Raises:
        ValueError: a variable of the environment is not set.
    """

    def __init__(self, name: str, settings: WebPeer, limits: Limits) -> None:
        self.name, self.limits = name, limits
        session = BoundedSession(settings, limits.instance_bytes + HEADER_BYTES)
        self.client = DICOMwebClient(
            settings.url, session=session, permissive_uid=True, timeout=settings.timeout_seconds
        )
        self.client.set_http_retry_params(retry=False)

    def echo(self) -> None:
        """Ask for one study."""
        with http_faults(self.name):
            self.client.search_for_studies(limit=1)

    def find(self, where: Mapping[str, str], most: int) -> list[FoundStudy]:
        """Return the studies that match.

        Raises:
            PeerError: they are more than ``most``.
        """
        with http_faults(self.name):
            answers = self.client.search_for_studies(
                search_filters=dict(where),
                fields=["NumberOfStudyRelatedInstances"],
                limit=most + 1,
            )
            studies = [
                FoundStudy(checked_uid(_value(one, STUDY), "StudyInstanceUID"),
                           int(_value(one, STUDY_INSTANCES) or 0))
                for one in answers
            ]  # fmt: skip
        if len(studies) > most:
            raise PeerError(
                f"{self.name}: more than {most} studies match; ask for fewer, or raise "
                "limits#studies"
            )
        return studies

    def fetch(self, study: str, have: Collection[str], store: StoreInstance) -> None:
        """Take the instances one by one, so that an interrupted study goes on where it was."""
        store_one = store_of_study(study, store)
        for series, uid in self._instances(study):
            if uid not in have:
                store_one(read_instance(self._retrieve(study, series, uid)))

    def send(self, files: Sequence[Path]) -> None:
        """Store files one by one."""
        for path in files:
            try:
                data = pydicom.dcmread(path)
            except pydicom.errors.InvalidDicomError:
                raise ValueError(f"{path}: no DICOM; remove it") from None
            with http_faults(self.name):
                answer = self.client.store_instances([data])
            _check_stored(f"{self.name}: {path.name}", answer)

    def _instances(self, study: str) -> list[tuple[str, str]]:
        """Return the UIDs of series and instance of each of a study."""
        found = list(self._pages(study))
        if not found:
            raise PeerError(f"{self.name}: has no study {study}; see --study")
        return found

    def _pages(self, study: str) -> Iterator[tuple[str, str]]:
        most = self.limits.study_instances
        for offset in range(0, most + 1, PAGE):
            with http_faults(self.name):
                answers = self.client.search_for_instances(study, limit=PAGE, offset=offset)
                page = [
                    (checked_uid(_value(one, SERIES), "SeriesInstanceUID"),
                     checked_uid(_value(one, INSTANCE), "SOPInstanceUID"))
                    for one in answers
                ]  # fmt: skip
            yield from page
            if len(page) < PAGE:
                return

    def _retrieve(self, study: str, series: str, uid: str) -> bytes:
        """Return an instance as the bytes of a file, in the syntax in which it is stored."""
        with http_faults(self.name), BytesIO() as file:
            data = self.client.retrieve_instance(study, series, uid)
            dcmwrite(file, data, enforce_file_format=True)
            return file.getvalue()


def _value(answer: Mapping[str, Any], tag: str) -> Any:
    values = answer.get(tag, {}).get("Value") or [None]
    return values[0]


def _check_stored(what: str, answer: Dataset) -> None:
    """Raise for what was not stored.

    Raises:
        NetworkError: it may pass.
        PeerError: it was refused.
    """
    for failed in answer.get("FailedSOPSequence") or ():
        reason = int(failed.get("FailureReason", 0))
        message = f"{what}: was not stored (reason {reason:04X})"
        if OUT_OF_RESOURCES <= reason < OUT_OF_RESOURCES_END:
            raise NetworkError(message)
        raise PeerError(f"{message}; see the archive's log")
