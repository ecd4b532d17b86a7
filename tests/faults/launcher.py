"""A command of the project in a process of its own, with faults at named moments."""

import errno
import importlib
import multiprocessing
import os
import resource
import runpy
import signal
import sqlite3.dbapi2
import subprocess
import sys
from collections.abc import Callable, Mapping
from functools import wraps
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any, NamedTuple

import psutil
from mlflow.exceptions import MlflowException

START = ["-m", "pipeline.bundle.start"]
GATE_SECONDS = 600
"""Longest wait for the test to open a gate."""


class Gate(NamedTuple):
    """Where a command waits until the test lets it go on."""

    reached: Event
    opened: Event


class Fault(NamedTuple):
    """What happens to a command, and when.

    Attributes:
        place: a function, as ``torch.optim.Adam.step``; ``rename:FILE``, a rename onto a path that
            ends so; or ``start``.
        action: name of one in ``ACTIONS``.
        call: of the place, counted from 1.
        after: whether the fault follows the call.
        argument: of the action.
        child: number of the run that the command starts as a process; 0: the command itself.
    """

    place: str
    action: str = "kill"
    call: int = 1
    after: bool = False
    argument: Any = None
    child: int = 0


class Place:
    """A function that is replaced by one that counts its calls."""

    def __init__(self, fault: Fault, gates: Mapping[str, Gate]) -> None:
        self.fault, self.gates, self.calls = fault, gates, 0

    def around(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def counted(*arguments: Any, **named: Any) -> Any:
            if not self.is_meant(arguments):
                return function(*arguments, **named)
            self.calls += 1
            now = self.calls == self.fault.call
            if now and not self.fault.after:
                self.strike()
            result = function(*arguments, **named)
            if now and self.fault.after:
                self.strike()
            return result

        return counted

    def is_meant(self, arguments: tuple[Any, ...]) -> bool:
        if self.fault.child != ForkedRun.number:
            return False
        kind, _, end = self.fault.place.partition(":")
        return kind != "rename" or str(arguments[1]).endswith(end)

    def strike(self) -> None:
        ACTIONS[self.fault.action](self.fault.argument, self.gates)


def kill(_argument: Any, _gates: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def send(argument: int, _gates: Any) -> None:
    os.kill(os.getpid(), argument)


def refuse(argument: tuple[type[BaseException], tuple[Any, ...]], _gates: Any) -> None:
    kind, arguments = argument
    raise kind(*arguments)


def wait(argument: str, gates: Mapping[str, Gate]) -> None:
    gates[argument].reached.set()
    if not gates[argument].opened.wait(GATE_SECONDS):
        raise TimeoutError(f"gate {argument} stayed closed")


def kill_children(_argument: Any, _gates: Any) -> None:
    for child in psutil.Process().children():
        child.kill()


def fill(argument: tuple[str, int], _gates: Any) -> None:
    """Refuse every file that is written below a folder from now on, with a number of errno."""
    folder, number = argument

    def audit(event: str, arguments: tuple[Any, ...]) -> None:
        writes = event == "os.mkdir" or (event == "open" and _is_written(*arguments))
        if writes and str(arguments[0]).startswith(folder):
            raise OSError(number, os.strerror(number), str(arguments[0]))

    sys.addaudithook(audit)


def _is_written(_path: Any, mode: str | None, flags: int) -> bool:
    writing = os.O_WRONLY | os.O_RDWR | os.O_CREAT
    return bool(set(mode or "") & set("wax+")) or bool(mode is None and flags & writing)


def limit_memory(argument: int, _gates: Any) -> None:
    """Refuse more bytes than are in use now and so many on top."""
    used = psutil.Process().memory_info().vms
    resource.setrlimit(resource.RLIMIT_AS, (used + argument, resource.RLIM_INFINITY))


def impatient_database(seconds: float, _gates: Any) -> None:
    """Let a locked database be given up after so many seconds."""
    connect = sqlite3.dbapi2.connect

    def connect_for_so_long(*arguments: Any, **options: Any) -> sqlite3.Connection:
        return connect(*arguments, **{**options, "timeout": seconds})

    sqlite3.dbapi2.connect = connect_for_so_long


def change(argument: tuple[str, bytes], _gates: Any) -> None:
    path, content = argument
    Path(path).write_bytes(content)


ACTIONS: Mapping[str, Callable[[Any, Mapping[str, Gate]], None]] = {
    "kill": kill, "send": send, "refuse": refuse, "wait": wait, "kill_children": kill_children,
    "fill": fill, "limit_memory": limit_memory, "change": change,
    "impatient_database": impatient_database,
}  # fmt: skip

NO_ROOM = (OSError, (errno.ENOSPC, os.strerror(errno.ENOSPC), "file"))
NO_STORE = (MlflowException, ("(sqlite3.OperationalError) database or disk is full",))


class ForkedRun:
    """``subprocess.Popen`` of a bundle's run, without a new interpreter."""

    number = 0
    started = 0

    def __init__(
        self,
        command: list[str],
        env: Mapping[str, str] | None = None,
        preexec_fn: Callable[[], None] | None = None,
        **_options: Any,
    ) -> None:
        ForkedRun.started += 1
        self.args, self.returncode = command, None
        self.pid = os.fork()
        if self.pid == 0:
            self._become(command, env, preexec_fn)

    def _become(self, command: list[str], env: Any, preexec_fn: Any) -> None:
        code = 1
        try:
            ForkedRun.number = ForkedRun.started
            os.environ.update(env or {})
            if preexec_fn:
                preexec_fn()
            sys.orig_argv = sys.argv = command[2:]
            code = start_run()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    def poll(self) -> int | None:
        return self._collect(os.WNOHANG)

    def wait(self, timeout: float | None = None) -> int | None:
        if timeout is not None:
            psutil.wait_procs([psutil.Process(self.pid)], timeout)
        return self._collect(0)

    def _collect(self, options: int) -> int | None:
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, options)
            self.returncode = os.waitstatus_to_exitcode(status) if pid else None
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def __enter__(self) -> "ForkedRun":
        return self

    def __exit__(self, *_: Any) -> None:
        self.wait()


def start_run() -> int:
    """Do what ``python -m pipeline.bundle.start …`` does; return the exit code."""
    try:
        runpy.run_module(START[1], run_name="__main__", alter_sys=True)
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        return 1
    return 0


def popen(command: Any, *arguments: Any, **options: Any) -> Any:
    if list(command[1:3]) == START:
        return ForkedRun(list(command), *arguments, **options)
    return real_popen(command, *arguments, **options)


real_popen = subprocess.Popen


def inject(fault: Fault, gates: Mapping[str, Gate]) -> None:
    """Put a fault where it will happen."""
    place = Place(fault, gates)
    if fault.place == "start":
        place.strike()
        return
    kind, _, name = fault.place.rpartition(".")
    if fault.place.startswith("rename:"):
        for name in ("replace", "rename"):
            setattr(os, name, place.around(getattr(os, name)))
        return
    owner = owner_of(kind)
    setattr(owner, name, place.around(getattr(owner, name)))


def owner_of(path: str) -> Any:
    """Return the module or class of a dotted path."""
    module, parts = path, []
    while True:
        try:
            owner = importlib.import_module(module)
        except ModuleNotFoundError:
            module, _, part = module.rpartition(".")
            parts.insert(0, part)
        else:
            break
    for part in parts:
        owner = getattr(owner, part)
    return owner


def command(
    arguments: list[str],
    output: str,
    faults: tuple[Fault, ...] = (),
    gates: Mapping[str, Gate] | None = None,
    environment: Mapping[str, str] | None = None,
) -> None:
    """Run ``unet-school ARGUMENTS`` in this process, output to a file, and exit with its code."""
    from pipeline.cli import main

    redirect(output)
    os.environ.update(environment or {})
    multiprocessing.set_start_method("fork", force=True)  # of loaders, as in a command
    subprocess.Popen = popen
    for fault in faults:
        inject(fault, gates or {})
    sys.exit(main(arguments))


def rank(
    arguments: list[str], output: str, faults: Any, _gates: Any, environment: Mapping[str, str]
) -> None:
    """Be one process of ``torchrun -m monai.bundle ARGUMENTS``."""
    redirect(output)
    os.environ.update(environment)
    for fault in faults:
        inject(fault, {})
    sys.orig_argv = sys.argv = [START[1], *arguments]
    sys.exit(start_run())


def redirect(output: str) -> None:
    """Write standard output and standard error to the end of a file."""
    file = os.open(output, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    sys.stdout.flush()
    sys.stderr.flush()
    os.dup2(file, 1)
    os.dup2(file, 2)
    os.close(file)


def serve(
    arguments: list[str], output: str, _faults: Any, gates: Mapping[str, Gate], environment: Any
) -> None:
    """Serve a tracking store over HTTP: a port, and the folder of its database."""
    redirect(output)
    port, folder = arguments
    os.environ.update(environment)
    os.environ["_MLFLOW_SERVER_FILE_STORE"] = f"sqlite:///{folder}/mlflow.db"
    os.environ["_MLFLOW_SERVER_ARTIFACT_ROOT"] = "mlflow-artifacts:/"
    os.environ["_MLFLOW_SERVER_ARTIFACT_DESTINATION"] = f"{folder}/artifacts"
    os.environ["_MLFLOW_SERVER_SERVE_ARTIFACTS"] = "true"
    from mlflow.server import app
    from werkzeug.serving import make_server

    server = make_server("127.0.0.1", int(port), app)
    gates["ready"].reached.set()
    server.serve_forever()
