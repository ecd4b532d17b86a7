"""A peer that speaks DICOM's own protocol: C-ECHO, C-FIND, C-GET, C-MOVE, C-STORE."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import (
    JPEG2000,
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)
from pynetdicom import AE, StoragePresentationContexts, build_context, build_role
from pynetdicom.association import Association
from pynetdicom.presentation import PresentationContext
from pynetdicom.sop_class import (
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
    Verification,
)

from pipeline.pacs.faults import NetworkError, PeerError
from pipeline.pacs.instances import StoreInstance, checked_uid
from pipeline.pacs.peer import OUT_OF_RESOURCES, FoundStudy, check_found, store_of_study
from pipeline.pacs.receiving import Receiver
from pipeline.pacs.settings import DimsePeer, Limits
from pipeline.pacs.tls import client_context

TRANSFER_SYNTAXES = [
    ExplicitVRLittleEndian, ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian,
    JPEGLossless, JPEGLosslessSV1, JPEGLSLossless, JPEG2000Lossless, RLELossless,
    JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLSNearLossless, JPEG2000,
]  # fmt: skip
"""The forms of pixels that are taken, those without loss first."""
PENDING = {0xFF00, 0xFF01}
WARNINGS = range(0xB000, 0xC000)
REASONS = {
    0xA801: "register this machine there by its title, address and port",
    0xC000: "see whether it has what is asked for",
}
"""What to do about a refusal."""
PERMANENT = 1
"""Result of a rejected association that will be rejected again."""
MAX_CONTEXTS = 128


class Dimse:
    """A peer that speaks DICOM's own protocol; see :class:`~pipeline.pacs.peer.Peer`.

    Args:
        name: by which pacs.yaml names it.
        settings: of the peer.
        limits: of what it may send.
        aet: own application entity title.
    """

    def __init__(self, name: str, settings: DimsePeer, limits: Limits, aet: str) -> None:
        self.name, self.settings, self.limits, self.aet = name, settings, limits, aet

    def echo(self) -> None:
        """Send C-ECHO."""
        with self._associated([build_context(Verification)]) as association:
            self._check(association.send_c_echo(), "C-ECHO")

    def find(self, where: Mapping[str, str], most: int) -> list[FoundStudy]:
        """Send C-FIND.

        Raises:
            PeerError: more than ``most`` studies match.
        """
        answered = {"StudyInstanceUID": "", "NumberOfStudyRelatedInstances": None}
        query = _query(**{**answered, **where})
        model = StudyRootQueryRetrieveInformationModelFind
        studies = []
        with self._associated([build_context(model)]) as association:
            for status, answer in association.send_c_find(query, model):
                if not self._check(status, "C-FIND"):
                    break
                studies.append(self._study(answer))
                check_found(self.name, studies, most)
        return studies

    def fetch(self, study: str, have: Collection[str], store: StoreInstance) -> None:
        """Send C-GET or C-MOVE; both send every instance again.

        After C-MOVE the instances come to where this machine listens; see
        :mod:`pipeline.pacs.listener`.
        """
        if self.settings.retrieve == "move":
            self._move(study)
        else:
            self._get(study, store_of_study(study, store))

    def send(self, files: Sequence[Path]) -> None:
        """Send C-STORE for each file, over one association for as many as it can take."""
        for group in _by_contexts(files):
            contexts = [build_context(uid, syntax) for uid, syntax in sorted(set(group.values()))]
            with self._associated(contexts) as association:
                for path in group:
                    self._send_one(association, path)

    def _study(self, answer: Dataset | None) -> FoundStudy:
        data = answer if answer is not None else Dataset()
        try:
            uid = checked_uid(data.get("StudyInstanceUID"), "StudyInstanceUID")
            return FoundStudy(uid, int(data.get("NumberOfStudyRelatedInstances") or 0))
        except ValueError as error:
            raise PeerError(f"{self.name}: C-FIND: {error}; see the log of the peer") from None

    def _send_one(self, association: Association, path: Path) -> None:
        try:
            status = association.send_c_store(path)
        except ValueError:  # no context: it takes other kinds of objects, or other syntaxes
            raise PeerError(
                f"{self.name}: {path.name}: does not take such objects; see its settings"
            ) from None
        except RuntimeError:  # the association has ended
            raise NetworkError(f"{self.name}: the connection ended") from None
        self._check(status, f"C-STORE of {path.name}")

    def _get(self, study: str, store: StoreInstance) -> None:
        refusals: list[Exception] = []
        receiver = Receiver(store, self.limits.instance_bytes, refusals.append)
        model = StudyRootQueryRetrieveInformationModelGet
        classes = [context.abstract_syntax for context in StoragePresentationContexts]
        contexts = [build_context(model)]
        contexts += [build_context(uid, TRANSFER_SYNTAXES) for uid in classes if uid]
        roles = [build_role(uid, scp_role=True) for uid in classes if uid]
        with self._associated(contexts, roles, receiver.handlers) as association:
            answers = association.send_c_get(_query(StudyInstanceUID=study), model)
            self._retrieve(study, answers, "C-GET", refusals)

    def _move(self, study: str) -> None:
        model = StudyRootQueryRetrieveInformationModelMove
        with self._associated([build_context(model)]) as association:
            query = _query(StudyInstanceUID=study)
            answers = association.send_c_move(query, self.aet, model)
            self._retrieve(study, answers, "C-MOVE", [])

    def _retrieve(
        self, study: str, answers: Iterator[Any], verb: str, refusals: list[Exception]
    ) -> None:
        """Wait for the end of a retrieval, and raise what went wrong."""
        last = Dataset()
        for status, _ in answers:
            last = status
            if refusals:
                raise refusals[0]
            self._check(status, f"{verb} of {study}", warnings=status.get("Status") in WARNINGS)
        if refusals:
            raise refusals[0]
        if failed := int(last.get("NumberOfFailedSuboperations") or 0):
            raise NetworkError(f"{self.name}: {verb} of {study}: {failed} instances did not come")
        if not last.get("NumberOfCompletedSuboperations"):
            raise PeerError(f"{self.name}: has no study {study}; see --study")

    def _check(self, status: Dataset, verb: str, warnings: bool = True) -> bool:
        """Return whether more answers come.

        Raises:
            NetworkError: no answer, or one of a fault that may pass.
            PeerError: a refusal.
        """
        if "Status" not in status:
            raise NetworkError(f"{self.name}: {verb}: the connection ended")
        code = int(status.Status)
        if code in OUT_OF_RESOURCES:
            raise NetworkError(f"{self.name}: {verb}: out of resources ({code:04X})")
        if code != 0 and code not in PENDING and not (warnings and code in WARNINGS):
            reason = REASONS.get(code, "see the log of the peer")
            raise PeerError(f"{self.name}: {verb}: refused ({code:04X}); {reason}")
        return code in PENDING

    @contextmanager
    def _associated(
        self,
        contexts: Sequence[PresentationContext],
        roles: Sequence[Any] = (),
        handlers: Sequence[Any] = (),
    ) -> Iterator[Association]:
        """Yield an association with the peer.

        Raises:
            NetworkError: there is no connection.
            PeerError: the peer rejects this machine.
        """
        entity = AE(self.aet)
        seconds = self.settings.timeout_seconds
        entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = seconds
        entity.connection_timeout = seconds
        tls = self.settings.tls
        association = entity.associate(
            self.settings.host,
            self.settings.port,
            contexts=list(contexts),
            ae_title=self.settings.aet,
            ext_neg=list(roles),
            tls_args=(client_context(tls), self.settings.host) if tls else None,
            evt_handlers=list(handlers),
        )
        if not association.is_established:
            raise self._no_association(association)
        try:
            yield association
        finally:
            if association.is_established:
                association.release()

    def _no_association(self, association: Association) -> Exception:
        if association.is_rejected:
            answer = association.acceptor.primitive
            if answer is not None and answer.result == PERMANENT:
                return PeerError(
                    f"{self.name}: rejects {self.aet}: {answer.reason_str}; register this "
                    "machine there, and see aet"
                )
            return NetworkError(f"{self.name}: takes no connection now")
        place = f"{self.settings.host}:{self.settings.port}"
        if association.is_aborted and association.acceptor.primitive is not None:
            return PeerError(f"{self.name}: offers nothing of what is asked; see its settings")
        return NetworkError(f"{self.name}: no connection to {place}")


def _query(**tags: Any) -> Dataset:
    query = Dataset()
    query.QueryRetrieveLevel = "STUDY"
    for keyword, value in tags.items():
        setattr(query, keyword, value)
    return query


def _by_contexts(files: Sequence[Path]) -> Iterator[dict[Path, tuple[UID, UID]]]:
    """Yield the files of one association each, with their classes and transfer syntaxes."""
    group: dict[Path, tuple[UID, UID]] = {}
    for path in files:
        context = _context_of(path)
        if context not in group.values() and len(set(group.values())) == MAX_CONTEXTS:
            yield group
            group = {}
        group[path] = context
    if group:
        yield group


def _context_of(path: Path) -> tuple[UID, UID]:
    try:
        data = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=["SOPClassUID"])
        return UID(data.SOPClassUID), UID(data.file_meta.TransferSyntaxUID)
    except (pydicom.errors.InvalidDicomError, AttributeError):
        raise ValueError(f"{path}: no DICOM with a SOP class; remove it") from None
