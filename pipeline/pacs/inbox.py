"""The received studies on the disk: a folder each, within bounds."""

import errno
import shutil
import threading
from pathlib import Path

from pipeline.files import atomic, nearest_existing, remove_unfinished
from pipeline.pacs.instances import Instance
from pipeline.pacs.settings import MEGABYTE, Limits

SUFFIX = ".dcm"


class LimitError(ValueError):
    """More was sent than pacs.yaml accepts."""


class Inbox:
    """A folder of studies: ``FOLDER/STUDY/INSTANCE.dcm``, named by checked UIDs.

    An instance that is there stays as it came first. One that was stored outlasts a failure of
    power. Any thread may store.

    Args:
        folder: of the studies; it is made when the first instance comes.
        limits: of one instance, one study and the disk.
    """

    def __init__(self, folder: Path, limits: Limits) -> None:
        self.folder, self.limits = folder, limits
        self._lock = threading.Lock()
        self._sizes: dict[str, dict[str, int]] = {}

    def study(self, uid: str) -> Path:
        """Return the folder of a study."""
        return self.folder / uid

    def instances(self, uid: str) -> set[str]:
        """Return the SOPInstanceUIDs of a study that are there."""
        with self._lock:
            return set(self._sizes_of(uid))

    def store(self, instance: Instance) -> None:
        """Write an instance, unless it is there.

        Raises:
            LimitError: it is larger than accepted, its study is, or the disk is nearly full.
            OSError: it cannot be written.
        """
        size = len(instance.content)
        with self._lock:
            sizes = self._sizes_of(instance.study)
            if instance.uid in sizes:
                return
            self._check(instance, sizes)
            sizes[instance.uid] = size  # counted before it is written: others write meanwhile
        try:
            path = self.study(instance.study) / f"{instance.uid}{SUFFIX}"
            with atomic(path, durable=True) as temporary:
                temporary.write_bytes(instance.content)
        except BaseException:
            with self._lock:
                sizes.pop(instance.uid, None)
            raise

    def remove_unfinished(self) -> None:
        """Remove what a process was writing when it was killed."""
        for folder in self.folder.glob("*"):
            remove_unfinished(folder)

    def remove(self, uid: str) -> None:
        """Remove a study."""
        with self._lock:
            self._sizes.pop(uid, None)
            shutil.rmtree(self.study(uid), ignore_errors=True)

    def _sizes_of(self, uid: str) -> dict[str, int]:
        if uid not in self._sizes:
            paths = self.study(uid).glob(f"[!.]*{SUFFIX}")
            self._sizes[uid] = {path.stem: path.stat().st_size for path in paths}
        return self._sizes[uid]

    def _check(self, instance: Instance, sizes: dict[str, int]) -> None:
        limits, size = self.limits, len(instance.content)
        if size > limits.instance_bytes:
            raise LimitError(
                f"{instance.study}: an instance of {size / MEGABYTE:.1f} MB, expected at most "
                f"{limits.instance_mb:g}; refused, see limits#instance_mb"
            )
        if len(sizes) + 1 > limits.study_instances:
            raise LimitError(
                f"{instance.study}: expected at most {limits.study_instances} instances; the next "
                "is refused, see limits#study_instances"
            )
        if sum(sizes.values()) + size > limits.study_bytes:
            raise LimitError(
                f"{instance.study}: expected at most {limits.study_mb:g} MB; the next instance is "
                "refused, see limits#study_mb"
            )
        self._check_room(size)

    def _check_room(self, size: int) -> None:
        free = shutil.disk_usage(nearest_existing(self.folder)).free
        if free - size < self.limits.free_mb * MEGABYTE:
            reason = (
                f"{free / MEGABYTE:.0f} MB are free, expected {self.limits.free_mb:g} beside what "
                "is received; make room, or see limits#free_mb"
            )
            raise OSError(errno.ENOSPC, reason, str(self.folder))
