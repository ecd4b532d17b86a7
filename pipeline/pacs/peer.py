"""What every peer does, whichever protocol it speaks."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from pipeline.pacs.faults import PeerError
from pipeline.pacs.instances import Instance, StoreInstance

OUT_OF_RESOURCES = range(0xA700, 0xA800)
"""Reasons of a failure that may pass, of C-STORE as of STOW."""


class FoundStudy(NamedTuple):
    """A study that a peer has.

    Attributes:
        uid: StudyInstanceUID.
        instances: number of its instances; 0: the peer does not say.
    """

    uid: str
    instances: int


class Peer(Protocol):
    """An archive, or another machine that studies are taken from and results are sent to.

    Every method raises :class:`~pipeline.pacs.faults.NetworkError` for what may pass, and
    :class:`~pipeline.pacs.faults.PeerError` for a refusal.
    """

    name: str

    def echo(self) -> None:
        """Ask whether it answers, and accepts this machine."""

    def find(self, where: Mapping[str, str], most: int) -> list[FoundStudy]:
        """Return the studies that match; more than ``most`` are an error."""

    def fetch(self, study: str, have: Collection[str], store: StoreInstance) -> None:
        """Take the instances of a study, but for those that this machine has, where it can."""

    def send(self, files: Sequence[Path]) -> None:
        """Store files; one that the peer has stays as it is there."""


def store_of_study(study: str, store: StoreInstance) -> StoreInstance:
    """Return what stores the instances of one study, and refuses those of another.

    Raises:
        ValueError: when an instance of another study comes.
    """

    def store_one(instance: Instance) -> None:
        if instance.study != study:
            raise ValueError(
                f"{study}: an instance of another study came, {instance.study}; refused"
            )
        store(instance)

    return store_one


def check_found(name: str, studies: Sequence[FoundStudy], most: int) -> None:
    """Refuse more studies than are accepted.

    Raises:
        PeerError: there are more.
    """
    if len(studies) > most:
        raise PeerError(
            f"{name}: more than {most} studies match; ask for fewer, or raise limits#studies"
        )
