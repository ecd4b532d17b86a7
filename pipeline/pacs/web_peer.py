"""A peer that speaks DICOMweb: QIDO-RS, WADO-RS, STOW-RS."""

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any, TypeVar

import pydicom
from dicomweb_client.web import DICOMwebClient
from pydicom.dataset import Dataset
from pydicom.filewriter import dcmwrite

from pipeline.pacs.faults import NetworkError, PeerError
from pipeline.pacs.instances import StoreInstance, checked_uid, read_instance
from pipeline.pacs.peer import OUT_OF_RESOURCES, FoundStudy, check_found, store_of_study
from pipeline.pacs.settings import Limits, WebPeer
from pipeline.pacs.web_session import BoundedSession, http_faults

logging.getLogger("dicomweb_client").addHandler(logging.NullHandler())  # words of a server

Found = TypeVar("Found", FoundStudy, tuple[str, str])

STUDY, SERIES, INSTANCE = "0020000D", "0020000E", "00080018"
"""Tags of the UIDs in an answer."""
STUDY_INSTANCES = "00201208"
"""Tag of the number of a study's instances."""
HEADER_BYTES = 2**20
"""Of a multipart answer, beside the instance."""
PAGE = 500
"""Number of studies or instances that are asked for at a time."""


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

        def search(**page: int) -> list[FoundStudy]:
            fields = ["NumberOfStudyRelatedInstances"]
            answers = self.client.search_for_studies(
                search_filters=dict(where), fields=fields, **page
            )
            return [_study(answer) for answer in answers]

        studies = self._all(search, most)
        check_found(self.name, studies, most)
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

        def search(**page: int) -> list[tuple[str, str]]:
            answers = self.client.search_for_instances(study, **page)
            return [_uids(answer) for answer in answers]

        most = self.limits.study_instances
        instances = self._all(search, most)
        if not instances:
            raise PeerError(f"{self.name}: has no study {study}; see --study")
        if len(instances) > most:
            raise PeerError(
                f"{self.name}: {study} has more than {most} instances; raise limits#study_instances"
            )
        return instances

    def _all(self, search: Callable[..., list[Found]], most: int) -> list[Found]:
        """Return what a question finds, page by page, until there are more than ``most``.

        A server may answer with fewer at a time than it was asked for, so that only a page without
        anything new is the last.
        """
        answers: dict[Found, None] = {}
        while len(answers) <= most:
            with http_faults(self.name):
                page = search(limit=PAGE, offset=len(answers))
            before = len(answers)
            answers.update(dict.fromkeys(page))
            if len(answers) == before:
                break
        return list(answers)

    def _retrieve(self, study: str, series: str, uid: str) -> bytes:
        """Return an instance as the bytes of a file, in the syntax in which it is stored."""
        with http_faults(self.name), BytesIO() as file:
            data = self.client.retrieve_instance(study, series, uid)
            dcmwrite(file, data, enforce_file_format=True)
            return file.getvalue()


def _study(answer: Mapping[str, Any]) -> FoundStudy:
    uid = checked_uid(_value(answer, STUDY), "StudyInstanceUID")
    return FoundStudy(uid, int(_value(answer, STUDY_INSTANCES) or 0))


def _uids(answer: Mapping[str, Any]) -> tuple[str, str]:
    series = checked_uid(_value(answer, SERIES), "SeriesInstanceUID")
    return series, checked_uid(_value(answer, INSTANCE), "SOPInstanceUID")


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
        if reason in OUT_OF_RESOURCES:
            raise NetworkError(message)
        raise PeerError(f"{message}; see the archive's log")
