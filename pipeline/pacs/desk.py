"""What is done with one study: fetched, segmented, its result stored, each step once."""

import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pydicom
from pydantic import BaseModel

from pipeline.files import fill_folder, sync_file, sync_folder, write_json
from pipeline.pacs.faults import NetworkError
from pipeline.pacs.inbox import Inbox
from pipeline.pacs.inference import Infer
from pipeline.pacs.instances import Instance
from pipeline.pacs.peer import Peer
from pipeline.pacs.settings import Keep
from pipeline.pacs.table import DONE, Study, StudyTable
from pipeline.schemas import read_schema

LISTED = "dicom.json"
"""What inference wrote, beside it."""


class Listed(BaseModel):
    """What inference wrote.

    Attributes:
        instances: number of instances that it read.
        files: names of the DICOM files.
    """

    instances: int
    files: list[str]


class Outcome(NamedTuple):
    """What was done with a study.

    Attributes:
        instances: number of instances that were segmented.
        results: number of objects that were stored.
    """

    instances: int
    results: int


class Desk:
    """Receives instances, and takes a study through its steps.

    A step whose product is on the disk is not done again: neither after a fault of the network nor
    after this process was killed.

    Args:
        table: of the studies.
        inbox: of what is received.
        results: folder for what inference writes.
        infer: segments a study.
        keep: what stays of a study that is done.
        clock: seconds since 1970.
    """

    def __init__(
        self,
        table: StudyTable,
        inbox: Inbox,
        results: Path,
        infer: Infer,
        keep: Keep,
        clock: Callable[[], float],
    ) -> None:
        self.table, self.inbox, self.results, self.infer = table, inbox, results, infer
        self.keep, self.clock = keep, clock
        self._fetched: str | None = None
        self._lock = threading.Lock()

    def receive(self, instance: Instance) -> None:
        """Store an instance that was sent here: one that is asked for, or of a study that arrives.

        Raises:
            LimitError: it is more than accepted.
            OSError: it cannot be written.
        """
        with self._lock:  # two senders of one instance: both are answered when it is on the disk
            if instance.study == self._fetched:
                self.inbox.store(instance)
            elif not self.table.has(instance.study, instance.uid):
                self.inbox.store(instance)
                self.table.receive(instance.study, instance.uid, self.clock())
            elif self.table.is_failed(instance.study):  # sent again, since its images were removed
                self.inbox.store(instance)

    def do(self, study: Study, source: Peer | None, archive: Peer) -> Outcome:
        """Segment a study and store the results.

        Args:
            study: that is running.
            source: peer that it is fetched from; None: it was sent here.
            archive: peer that the results are stored in.

        Raises:
            NetworkError: a fault that may pass.
            PeerError: a peer refuses.
            ValueError: the study cannot be segmented.
            OSError: the disk cannot be written.
        """
        folder = self.results / study.uid / str(study.round)
        if not folder.is_dir():
            if source is not None:
                self._fetch(study, source)
            self._segment(study, folder)
        listed = read_schema(folder / LISTED, Listed, f"remove {folder}")
        files = [folder / name for name in listed.files]
        self.table.produce([_result_uid(path, study.uid) for path in files])
        archive.send(files)
        return Outcome(listed.instances, len(files))

    def clear(self, study: Study) -> None:
        """Remove what does not stay of a study that is done."""
        if not self.keep.images:
            self.inbox.remove(study.uid)
        if not self.keep.results:
            shutil.rmtree(self.results / study.uid, ignore_errors=True)

    def tidy(self) -> None:
        """Remove what a process was writing, or was about to remove, when it was killed."""
        self.inbox.remove_unfinished()
        for study in self.table.studies([DONE]):
            if not study.reason:
                self.clear(study)
        for folder in self.results.glob("*/.*"):
            shutil.rmtree(folder, ignore_errors=True)

    def _fetch(self, study: Study, source: Peer) -> None:
        with self._lock:
            self._fetched = study.uid
        try:
            source.fetch(study.uid, self.inbox.instances(study.uid), self.inbox.store)
        finally:
            with self._lock:
                self._fetched = None
        count = len(self.inbox.instances(study.uid))
        if count < study.instances:
            raise NetworkError(
                f"{source.name}: {count} of {study.instances} instances of {study.uid} came"
            )

    def _segment(self, study: Study, folder: Path) -> None:
        count = len(self.inbox.instances(study.uid))
        if count < study.instances:
            raise ValueError(
                f"{study.uid}: found {count} of {study.instances} instances, since those of a "
                "study that is done are removed; send it again, then unet-school pacs retry"
            )

        def fill(temporary: Path) -> None:
            files = self.infer(self.inbox.study(study.uid), temporary)
            if not files:
                raise ValueError(
                    f"{study.uid}: inference wrote no DICOM object; see dicom of pacs.yaml"
                )
            for path in files:
                sync_file(path)
            names = [str(path.relative_to(temporary)) for path in files]
            write_json(temporary / LISTED, {"instances": count, "files": names}, durable=True)

        fill_folder(folder, fill)
        sync_folder(folder.parent)


def _result_uid(path: Path, study: str) -> str:
    """Return the SOPInstanceUID of a result; one of another study would go to another patient."""
    data = pydicom.dcmread(path, stop_before_pixels=True)
    if data.StudyInstanceUID != study:
        raise ValueError(
            f"{path.name}: is of the study {data.StudyInstanceUID}, expected {study}; not stored"
        )
    return str(data.SOPInstanceUID)
