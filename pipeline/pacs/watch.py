"""``unet-school pacs watch``: each study that comes is segmented, and its result stored, once."""

import datetime
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

from pipeline.claims import claim
from pipeline.errors import error_line
from pipeline.pacs.desk import Desk
from pipeline.pacs.faults import NetworkError, PeerError, may_pass, pause_seconds
from pipeline.pacs.inbox import Inbox
from pipeline.pacs.inference import Infer
from pipeline.pacs.listener import Say, listening
from pipeline.pacs.peer import Peer
from pipeline.pacs.peers import open_peer
from pipeline.pacs.settings import Settings, Watch
from pipeline.pacs.table import ARRIVING, RUNNING, SENT, WAITING, Study, StudyTable
from pipeline.progress import count

TABLE, STUDIES, RESULTS = "studies.db", "studies", "results"
"""What is in the folder of pacs.yaml."""
IDLE_SECONDS = 0.2


class Watcher:
    """One turn after another: ask for new studies, see which are complete, do the next one.

    Args:
        settings: of pacs.yaml.
        watch: its part of that name.
        table: of the studies.
        desk: that does a study.
        say: is given a line about what happens.
        clock: seconds since 1970.
    """

    def __init__(
        self,
        settings: Settings,
        watch: Watch,
        table: StudyTable,
        desk: Desk,
        say: Say,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.settings, self.watch, self.table, self.desk = settings, watch, table, desk
        self.say, self.clock = say, clock
        names = {watch.results, watch.poll, watch.count_from} - {None}
        self.peers: dict[str, Peer] = {str(name): open_peer(settings, str(name)) for name in names}
        self._next_poll = self._next_count = 0.0
        self._faults = 0

    def check_peers(self) -> None:
        """Ask each peer whether it accepts this machine; one that does not answer may come later.

        Raises:
            PeerError: one refuses.
        """
        for peer in self.peers.values():
            try:
                peer.echo()
            except NetworkError as error:
                self.say(f"{error}; it is asked again")

    def turn(self) -> bool:
        """Do what can be done now, one study at most; return whether there was one."""
        now = self.clock()
        if self.watch.poll and now >= self._next_poll:
            self._poll(self.peers[self.watch.poll], now)
        if self.watch.count_from and now >= self._next_count:
            self._count(self.peers[self.watch.count_from], now)
        self.table.complete_quiet(now - self.watch.quiet_seconds)
        study = self.table.take(self.clock())
        if study is not None:
            self._do(study)
        return study is not None

    def is_idle(self) -> bool:
        """Return whether nothing is left to be done, as far as the peers answer."""
        if 0 < self._faults < self.settings.retries.attempts:
            return False
        return not {ARRIVING, WAITING, RUNNING} & set(self.table.counts())

    def _poll(self, peer: Peer, now: float) -> None:
        """Ask for new studies; a peer that fails is asked later and later."""
        first = datetime.date.today() - datetime.timedelta(days=self.watch.newest_days - 1)
        where = {"StudyDate": f"{first:%Y%m%d}-", **self.watch.where}
        try:
            studies = peer.find(where, self.settings.limits.studies)
        except (NetworkError, PeerError) as error:
            self._faults += 1
            pause = pause_seconds(self.settings.retries, self._faults)
            self.say(f"{error}; asked again in {pause:g} s")
            self._next_poll = now + pause
        else:
            counts = {study.uid: study.instances for study in studies}
            self.table.see(peer.name, counts, now)
            self._faults = 0
            self._next_poll = now + self.watch.every_seconds

    def _count(self, peer: Peer, now: float) -> None:
        """Ask how many instances the studies have that are sent here."""
        self._next_count = now + min(self.watch.every_seconds, self.watch.quiet_seconds) / 2
        for study in self.table.studies([ARRIVING]):
            if study.source != SENT:
                continue
            try:
                counted = peer.find({"StudyInstanceUID": study.uid}, most=1)
            except (NetworkError, PeerError):  # it is complete when it is quiet
                return
            if counted and counted[0].instances == study.instances:
                self.table.complete(study)

    def _do(self, study: Study) -> None:
        source = None if study.source == SENT else self._peer(study.source)
        try:
            outcome = self.desk.do(study, source, self.peers[self.watch.results])
        except Exception as error:  # one study that fails stops no other
            self._fail(study, error)
            return
        if self.table.finish(study, outcome.instances, outcome.results):
            self.desk.clear(study)
        results = count(outcome.results, "result")
        self.say(
            f"{study.uid}: done, {count(outcome.instances, 'instance')}, {results} stored in "
            f"{self.watch.results}"
        )

    def _peer(self, name: str) -> Peer:
        """Return a peer that pacs.yaml may no longer poll."""
        return self.peers.get(name) or open_peer(self.settings, name)

    def _fail(self, study: Study, error: Exception) -> None:
        reason = error_line(error) or f"{type(error).__name__}: {error}"
        retries, attempt = self.settings.retries, study.attempts + 1
        if may_pass(error) and attempt < retries.attempts:
            pause = pause_seconds(retries, attempt)
            self.table.postpone(study, reason, self.clock() + pause)
            self.say(f"{study.uid}: {reason}; tried again in {pause:g} s")
        else:
            self.table.fail(study, reason)
            self.say(f"{study.uid}: failed: {reason}; unet-school pacs retry tries it again")


def watch(settings: Settings, infer: Infer, say: Say, once: bool = False) -> None:
    """Watch until this process is ended.

    Args:
        settings: of pacs.yaml.
        infer: segments a study.
        say: is given a line about what happens.
        once: whether to end when nothing is left to be done.

    Raises:
        ValueError: pacs.yaml has no ``watch``, or another process watches in its folder.
        PeerError: a peer refuses this machine.
    """
    with _watcher(settings, infer, say) as watcher:
        watcher.check_peers()
        say(f"watching, {_summary(watcher.table)}")
        while True:
            if not watcher.turn():
                if once and watcher.is_idle():
                    return
                time.sleep(IDLE_SECONDS)


@contextmanager
def _watcher(settings: Settings, infer: Infer, say: Say) -> Iterator[Watcher]:
    if settings.watch is None:
        raise ValueError("pacs.yaml: watch is not set; docs/how_to/pacs.md has an example")
    folder = settings.folder
    with claim(folder):
        table = StudyTable(folder / TABLE)
        table.recover()
        inbox = Inbox(folder / STUDIES, settings.limits)
        desk = Desk(table, inbox, folder / RESULTS, infer, settings.keep, time.time)
        desk.tidy()
        watcher = Watcher(settings, settings.watch, table, desk, say)
        with closing(table), listening(settings, desk.receive, say):
            yield watcher


def _summary(table: StudyTable) -> str:
    counts = table.counts()
    return ", ".join(f"{number} {state}" for state, number in sorted(counts.items())) or "no study"
