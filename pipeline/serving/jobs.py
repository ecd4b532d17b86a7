"""One inference at a time: the others wait for their turn, up to a number."""

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

from pipeline.serving.refusals import BusyError

Result = TypeVar("Result")
IDLE_SECONDS = 0.2


class JobQueue:
    """Does jobs one after the other, in a thread of its own.

    Args:
        waiting: largest number of jobs that wait.
        when_idle: is called while no job waits; returns whether it did anything.

    Example:
        >>> with JobQueue(waiting=2) as jobs:
        ...     jobs.do(lambda: 6 * 7)
        42
    """

    def __init__(self, waiting: int, when_idle: Callable[[], bool] = lambda: False) -> None:
        self.waiting, self.when_idle = waiting, when_idle
        self._jobs: queue.Queue[tuple[Callable[[], object], Future[object]]] = queue.Queue(waiting)
        self._ended, self._lock = threading.Event(), threading.Lock()
        self._thread = threading.Thread(target=self._run, name="inference", daemon=True)

    def __enter__(self) -> "JobQueue":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:  # after this no job is taken that nobody would do
            self._ended.set()
        self._thread.join()

    def do(self, job: Callable[[], Result]) -> Result:
        """Do a job when its turn comes, and return its result.

        Raises:
            BusyError: too many wait, or the service ends.
            Exception: what the job raises.
        """
        future: Future[object] = Future()
        try:
            with self._lock:
                if self._ended.is_set():
                    raise queue.Full
                self._jobs.put_nowait((job, future))
        except queue.Full:
            raise BusyError(
                f"{self.waiting} inferences wait already; try again later, or see --waiting"
            ) from None
        return future.result()  # type: ignore[return-value]

    def _run(self) -> None:
        while not self._ended.is_set():
            try:
                job, future = self._jobs.get(timeout=IDLE_SECONDS)
            except queue.Empty:
                self._idle()
                continue
            try:
                future.set_result(job())
            except BaseException as error:
                future.set_exception(error)
        self._refuse_waiting()

    def _idle(self) -> None:
        while self._jobs.empty() and not self._ended.is_set() and self.when_idle():
            pass

    def _refuse_waiting(self) -> None:
        while not self._jobs.empty():
            self._jobs.get_nowait()[1].set_exception(BusyError("the service ends; start it again"))
