"""What separates a process from the machine: bubblewrap, the namespaces of Linux, or nothing."""

import shlex
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from pipeline.sharing.source import INSTALL_FOLDER, PACKAGES

SYSTEM = (
    "/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/nix/store", "/etc/alternatives",
    "/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/localtime",
    "/sys/devices/system/cpu",
)  # fmt: skip
"""What a program needs of the system; it holds nobody's data."""
DEVICES = ("null", "zero", "full", "random", "urandom")
SCRATCH_SIZE = 256 * 1024**2
"""Bytes of ``/tmp`` and of the shared memory in the sandbox."""


class Places(NamedTuple):
    """What a sandboxed process sees of the disk.

    Attributes:
        readable: files and folders.
        writable: folders.
        working: the writable folder in which it starts.
        root: an empty folder that it does not see.
    """

    readable: Sequence[Path]
    writable: Sequence[Path]
    working: Path
    root: Path


class Isolation(NamedTuple):
    """A way to separate a process from the machine.

    Attributes:
        name: for people.
        is_complete: whether the process sees no file, process or network of the machine beside
            what it is given; without, only its limits hold.
        wrap: returns the command that runs a command in it.
    """

    name: str
    is_complete: bool
    wrap: Callable[[Sequence[str], Places], list[str]]

    def describe(self) -> str:
        """Say what the sandbox held off, and what it did not."""
        if self.is_complete:
            return (
                f"{self.name}: without network, home, other processes and files of this machine, "
                "within limits of memory, processes, disk and time"
            )
        return (
            f"{self.name}: within limits of memory, processes, disk and time, but it could have "
            "read and written your files and opened connections; install bubblewrap"
        )


def bubblewrap(command: Sequence[str], places: Places) -> list[str]:
    """Return the command line of ``bwrap``."""
    size = str(SCRATCH_SIZE)
    return [
        "bwrap", "--unshare-user", "--unshare-ipc", "--unshare-pid", "--unshare-net",
        "--unshare-uts", "--unshare-cgroup-try", "--die-with-parent", "--new-session",
        "--cap-drop", "ALL", "--proc", "/proc", "--dev", "/dev",
        "--size", size, "--tmpfs", "/dev/shm", "--size", size, "--tmpfs", "/tmp",
        *(word for path in places.readable for word in ("--ro-bind", str(path), str(path))),
        *(word for path in places.writable for word in ("--bind", str(path), str(path))),
        "--remount-ro", "/dev", "--remount-ro", "/", "--chdir", str(places.working), "--", *command,
    ]  # fmt: skip


def namespaces(command: Sequence[str], places: Places) -> list[str]:
    """Return the command line of ``unshare``, which makes the same with the tools of Linux."""
    unshare = [
        "unshare", "--user", "--map-root-user", "--net", "--mount", "--pid", "--ipc", "--uts",
        "--fork", "--kill-child",
    ]  # fmt: skip
    return [*unshare, "sh", "-c", " && ".join(_root_steps(command, places))]


def plain(command: Sequence[str], places: Places) -> list[str]:
    """Return the command as it is."""
    return list(command)


ISOLATIONS = (
    Isolation("bubblewrap", True, bubblewrap),
    Isolation("unshare", True, namespaces),
)
PLAIN = Isolation("a plain process", False, plain)


def installed_isolations() -> list[Isolation]:
    """Return what is installed here, the best first; whether it works is another question."""
    programs = {"bubblewrap": "bwrap", "unshare": "unshare"}
    installed = [one for one in ISOLATIONS if shutil.which(programs[one.name])]
    return [*installed, PLAIN] if sys.platform.startswith("linux") else [PLAIN]


def program_places() -> list[Path]:
    """Return the files of the system, of Python and of its packages.

    The working directory and the home are no part of it, though a package may lie in them.
    """
    working, home = Path.cwd(), Path.home()
    hidden = {working, *working.parents, home, *home.parents}
    packages = [INSTALL_FOLDER / name for name in PACKAGES]
    hidden |= {folder.parent for folder in packages}
    given = [Path(name).absolute() for name in (sys.prefix, sys.base_prefix, *sys.path)]
    paths = [*map(Path, SYSTEM), *(path for path in given if path not in hidden), *packages]
    return _outermost([path for path in paths if path.exists()])


def _outermost(paths: Sequence[Path]) -> list[Path]:
    """Return the paths, and where links lead, without those that lie in another of them."""
    every = dict.fromkeys(place for path in paths for place in (path, path.resolve()))
    return [path for path in every if not any(other in path.parents for other in every)]


def _root_steps(command: Sequence[str], places: Places) -> list[str]:
    """The steps of a shell that makes a root of its own, and has no way back."""
    root = places.root
    steps = [f"mount -t tmpfs -o size={SCRATCH_SIZE},mode=755 tmpfs {_quoted(root)}"]
    steps += [f"mkdir -p {_below(root, name)}" for name in ("proc", "dev/shm", "tmp", ".old")]
    steps += [f"mount -t proc proc {_below(root, 'proc')}"]
    steps += [f"mount -t tmpfs -o size={SCRATCH_SIZE} tmpfs {_below(root, 'dev/shm')}"]
    steps += [f"mount -t tmpfs -o size={SCRATCH_SIZE} tmpfs {_below(root, 'tmp')}"]
    for path in (Path("/dev") / name for name in DEVICES):
        steps += _bind(root, path, read_only=False)
    for path in places.readable:
        steps += _bind(root, path, read_only=True)
    for path in places.writable:
        steps += _bind(root, path, read_only=False)
    limited = "exec setpriv --no-new-privs --inh-caps=-all --bounding-set=-all --"
    return [
        *steps,
        f"cd {_quoted(root)}",
        "pivot_root . .old",
        "umount -l /.old",
        "rmdir /.old",
        "mount -o remount,bind,ro /",
        f"cd {_quoted(places.working)}",
        f"{limited} {shlex.join(command)}",
    ]


def _bind(root: Path, path: Path, read_only: bool) -> list[str]:
    inside = _below(root, str(path).lstrip("/"))
    folder = path if path.is_dir() else path.parent
    steps = [f"mkdir -p {_below(root, str(folder).lstrip('/'))}"]
    if not path.is_dir():
        steps.append(f"touch {inside}")
    steps.append(f"mount --bind {_quoted(path)} {inside}")
    if read_only:
        steps.append(f"mount -o remount,bind,ro {inside}")
    return steps


def _below(root: Path, name: str) -> str:
    return _quoted(root / name)


def _quoted(path: Path) -> str:
    return shlex.quote(str(path))
