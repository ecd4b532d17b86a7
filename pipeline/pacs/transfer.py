"""``unet-school pacs pull``, ``push``: studies as files, from a peer and to it."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from pydicom.misc import is_dicom

from pipeline.errors import few
from pipeline.pacs.faults import retry
from pipeline.pacs.inbox import Inbox
from pipeline.pacs.instances import StoreInstance, checked_uid
from pipeline.pacs.listener import Say, listening
from pipeline.pacs.peer import Peer, store_of_study
from pipeline.pacs.peers import open_peer
from pipeline.pacs.settings import DimsePeer, Settings, check_keyword

INDEX = "DICOMDIR"
"""A list of the files on a medium; it is no instance."""


def find_studies(settings: Settings, peer: str, where: Mapping[str, str], say: Say) -> list[str]:
    """Return the StudyInstanceUIDs of the studies of a peer that match.

    Raises:
        ValueError: no such peer, no such keyword, or nothing matches.
        NetworkError: the peer does not answer.
    """
    for keyword in where:
        check_keyword(keyword)
    archive = open_peer(settings, peer)
    most = settings.limits.studies
    studies = retry(lambda: archive.find(where, most), settings.retries, say)
    if not studies:
        raise ValueError(f"{peer}: no study matches {_words(where)}; see --where")
    return [study.uid for study in studies]


def pull(settings: Settings, peer: str, study: str, out: Path, say: Say) -> Path:
    """Write the instances of a study of a peer to a folder in ``out``, and return it.

    What is there already is not written again.

    Raises:
        ValueError: no such peer or study, a refusal, or more than pacs.yaml accepts.
        NetworkError: the peer does not answer.
        OSError: the folder cannot be written.
    """
    uid = checked_uid(study, "--study")
    archive, inbox = open_peer(settings, peer), Inbox(out, settings.limits)
    with _arrivals(settings, peer, store_of_study(uid, inbox.store), say):
        retry(lambda: archive.fetch(uid, inbox.instances(uid), inbox.store), settings.retries, say)
    return inbox.study(uid)


def push(settings: Settings, peer: str, folder: Path, say: Say) -> int:
    """Store the files of a folder, and of those below it, in a peer; return their number.

    Raises:
        FileNotFoundError: no such folder, or no DICOM file in it.
        ValueError: no such peer, or a refusal.
        NetworkError: the peer does not answer.
    """
    files = _files(folder, say)
    archive = open_peer(settings, peer)
    remaining = _Remaining(archive, files)
    retry(remaining.send, settings.retries, say)
    return len(files)


class _Remaining:
    """Sends files in portions, and after a fault goes on with the one that failed."""

    def __init__(self, peer: Peer, files: Sequence[Path], portion: int = 100) -> None:
        self.peer, self.files, self.portion, self.sent = peer, files, portion, 0

    def send(self) -> None:
        while self.sent < len(self.files):
            portion = self.files[self.sent : self.sent + self.portion]
            self.peer.send(portion)
            self.sent += len(portion)


@contextmanager
def _arrivals(settings: Settings, peer: str, store: StoreInstance, say: Say) -> Iterator[None]:
    """Receive in a block what C-MOVE of the peer sends; nothing where it answers by itself."""
    asked = settings.peers[peer]
    if isinstance(asked, DimsePeer) and asked.retrieve == "move":
        with listening(settings, store, say):
            yield
    else:
        yield


def _files(folder: Path, say: Say) -> list[Path]:
    """Return the DICOM files below a folder, and say what else is there."""
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder; give the folder of DICOM files")
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    files = [path for path in paths if path.name != INDEX and is_dicom(path)]
    others = [str(path.relative_to(folder)) for path in paths if path not in set(files)]
    if others:
        say(f"{folder}: skipped {few(others)}: no instance of DICOM")
    if not files:
        raise FileNotFoundError(f"{folder}: no DICOM file in it; give the folder of DICOM files")
    return files


def _words(where: Mapping[str, str]) -> str:
    return " ".join(f"{keyword}={value}" for keyword, value in where.items()) or "anything"
