"""The sandbox: a command that tries to reach or to take too much is held, and ends."""

import os
import socket
import sys
import time
from pathlib import Path

import psutil
import pytest

from pipeline.sharing.archive import RefusedError
from pipeline.sharing.isolation import (
    ISOLATIONS,
    PLAIN,
    Places,
    bubblewrap,
    installed_isolations,
    namespaces,
    program_places,
)
from pipeline.sharing.limits import Limits
from pipeline.sharing.sandbox import (
    default_limits,
    environment,
    find_isolation,
    run_sandboxed,
)

SMALL = Limits(memory=256 * 1024**2, seconds=20, processes=8, disk=2 * 1024**2)
ALL = [*ISOLATIONS, PLAIN]


def works(isolation, folder) -> bool:
    if isolation.name not in [one.name for one in installed_isolations()]:
        return False
    command = [sys.executable, "-I", "-S", "-c", ""]
    return not run_sandboxed(command, isolation, SMALL, [], folder).code


@pytest.fixture(params=ALL, ids=lambda isolation: isolation.name)
def isolation(request, tmp_path_factory):
    if not works(request.param, tmp_path_factory.mktemp("probe")):
        pytest.skip(f"{request.param.name} is not installed, or not allowed here")
    return request.param


@pytest.fixture
def complete(isolation):
    if not isolation.is_complete:
        pytest.skip("a plain process is not separated from the machine")
    return isolation


@pytest.fixture
def run(tmp_path):
    """Return a function that runs a program in a sandbox with small limits."""

    def run(program, isolation, readable=(), **limits):
        (tmp_path / "own").mkdir(exist_ok=True)
        command = [sys.executable, "-I", "-S", "-c", program]
        return run_sandboxed(
            command, isolation, SMALL._replace(**limits), readable, tmp_path / "own"
        )

    return run


def test_the_own_folder_alone_is_written(complete, run, tmp_path):
    program = (
        "import pathlib\n"
        "for name in ARGUMENTS:\n"
        "    try:\n"
        "        pathlib.Path(name).write_text('canary')\n"
        "    except OSError as error:\n"
        "        print(type(error).__name__)\n"
    )
    shown = tmp_path / "shown"
    shown.mkdir()
    outside = [tmp_path / "canary", shown / "canary", Path(sys.prefix) / "canary", "/canary"]
    names = [str(path) for path in (*outside, tmp_path / "own" / "result")]
    outcome = run(program.replace("ARGUMENTS", repr(names)), complete, [shown])
    assert outcome.code == 0, outcome
    assert "OSError" in outcome.printed
    assert not any(Path(path).exists() for path in outside)
    assert (tmp_path / "own" / "result").read_text() == "canary"


def test_what_is_not_given_is_not_seen(complete, run, tmp_path):
    (tmp_path / "record").write_text("a patient")
    (tmp_path / "given").write_text("an image")
    program = (
        f"import os, pathlib\nprint(os.path.exists({str(tmp_path / 'record')!r}))\n"
        f"print(pathlib.Path({str(tmp_path / 'given')!r}).read_text())\n"
        f"print(sorted(os.listdir({str(Path.home())!r})) if os.path.isdir({str(Path.home())!r}) "
        "else [])\n"
    )
    outcome = run(program, complete, [tmp_path / "given"])
    seen, given, home = outcome.printed.splitlines()
    assert (seen, given) == ("False", "an image"), outcome
    assert set(eval(home)) <= {place.parts[len(Path.home().parts)] for place in program_places()
                               if place.is_relative_to(Path.home())}  # fmt: skip


def test_no_connection_is_opened(complete, run):
    with socket.create_server(("127.0.0.1", 0)) as server:
        program = (
            f"import socket\nsocket.create_connection(('127.0.0.1', {server.getsockname()[1]}))"
        )
        outcome = run(program, complete)
    assert outcome.code == 1
    assert "ConnectionRefusedError" in outcome.reason or "unreachable" in outcome.reason


def test_other_processes_are_not_seen(complete, run):
    outcome = run(f"import os\nprint(os.path.exists('/proc/{os.getpid()}/environ'))", complete)
    own = run("import os\nprint([p for p in os.listdir('/proc') if p.isdigit()])", complete)
    assert len(eval(own.printed)) < 5
    assert outcome.code == 0


def test_the_home_is_empty_and_the_environment_is_short(isolation, run, monkeypatch):
    monkeypatch.setenv("HOSPITAL_PASSWORD", "geheim")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "geheim")
    program = "import os\nprint(os.listdir(os.path.expanduser('~')))\nprint(dict(os.environ))"
    outcome = run(program, isolation)
    home, variables = outcome.printed.splitlines()
    assert home == "[]"
    assert "geheim" not in variables
    assert set(eval(variables)) <= {*environment(Path("/")), "PWD", "OLDPWD", "SHLVL", "_"} | {
        "LC_CTYPE"
    }


def test_memory_is_limited(isolation, run):
    outcome = run("x = bytearray(10**9)\nprint(sum(x))", isolation)
    assert "MemoryError" in outcome.reason


def test_the_memory_of_all_processes_together_is_limited(isolation, run):
    program = (
        "import os, time\n"
        "for _ in range(3):\n"
        "    if not os.fork(): break\n"
        "x = bytearray(b'1') * (150 * 1024**2)\n"
        "time.sleep(60)"
    )
    outcome = run(program, isolation)
    assert outcome.exceeded == "more than 0.3 GB of memory"


def test_many_processes_are_ended(isolation, run):
    program = "import os, time\nfor _ in range(20):\n    if os.fork(): time.sleep(60)"
    assert run(program, isolation).exceeded == "more than 8 processes"


def test_time_is_limited(isolation, run):
    outcome = run("while True: pass", isolation, seconds=1)
    assert outcome.exceeded == "longer than 1 seconds"
    assert outcome.reason == outcome.exceeded


def test_a_file_and_all_files_are_limited(isolation, run, tmp_path):
    outcome = run("open('a', 'wb').write(bytes(4 * 1024**2))", isolation)
    assert "File too large" in outcome.reason
    program = (
        "import time\nfor i in range(9): open(str(i), 'wb').write(b'1' * 1024**2)\ntime.sleep(60)"
    )
    assert run(program, isolation).exceeded == "more than 0.0 GB on the disk"


def test_open_files_are_limited(isolation, run):
    outcome = run("files = [open('/dev/null') for _ in range(2000)]", isolation)
    assert "Too many open files" in outcome.reason


def test_what_is_printed_is_bounded(isolation, run):
    outcome = run("while True: print('x' * 1000)", isolation)
    assert outcome.code != 0
    assert len(outcome.printed) == 20_000


@pytest.mark.parametrize("ends", ["", "time.sleep(60)"], ids=["by itself", "by its limit"])
def test_nothing_goes_on_afterwards(isolation, run, ends):
    mark = f"mark-{time.monotonic_ns()}"
    daemon = f"[sys.executable, '-c', 'import time; time.sleep(60)', '{mark}']"
    program = (
        "import os, subprocess, sys, time\n"
        "if not os.fork():\n"
        f"    os.setsid(); subprocess.Popen({daemon}); os._exit(0)\n"
        f"time.sleep(0.3); {ends}"
    )
    run(program, isolation, seconds=1)
    assert not [p for p in psutil.process_iter(["cmdline"]) if mark in (p.info["cmdline"] or [])]


def test_a_command_that_succeeds_has_no_reason(isolation, run):
    outcome = run("print('done')", isolation)
    assert outcome == (0, "done\n", "", "")
    assert outcome.reason == ""


def test_an_absent_program_is_one_line(run):
    outcome = run_sandboxed(["/no/such/program"], PLAIN, SMALL, [], Path.cwd())
    assert outcome.reason == "/no/such/program: No such file or directory"


def test_the_best_isolation_that_works_is_found(tmp_path):
    first = next(one for one in [*ISOLATIONS, PLAIN] if works(one, tmp_path))
    assert find_isolation().name == first.name
    assert default_limits().memory > 0


def test_without_programs_it_is_a_plain_process_that_says_so(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    isolation = find_isolation()
    assert isolation.describe().startswith("a plain process: ")
    assert "could have read and written your files" in isolation.describe()


def test_windows_is_refused_in_one_line(monkeypatch):
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(RefusedError, match="sample: Windows: runs on Linux or macOS alone"):
        find_isolation()


PLACES = Places([Path("/usr"), Path("/etc/localtime")], [Path("/w")], Path("/w"), Path("/r"))


def test_the_command_lines_hold_every_separation():
    line = " ".join(bubblewrap(["tool", "a b"], PLACES))
    for word in (
        "--unshare-net", "--unshare-pid", "--unshare-ipc", "--die-with-parent", "--cap-drop ALL",
        "--ro-bind /usr /usr", "--bind /w /w", "--remount-ro /",
    ):  # fmt: skip
        assert word in line
    assert bubblewrap(["tool", "a b"], PLACES)[-2:] == ["tool", "a b"]
    *options, script = namespaces(["tool", "a b"], PLACES)
    assert {"--net", "--pid", "--ipc", "--mount", "--kill-child"} <= set(options)
    steps = script.split(" && ")
    assert steps.index("mount -o remount,bind,ro /r/usr") < steps.index("pivot_root . .old")
    assert "mount -o remount,bind,ro /" in steps  # a whole remount fails for who is not root
    assert "mount -o remount,bind,ro /r/w" not in steps
    assert "touch /r/etc/localtime" in steps
    assert steps[-1].startswith("exec setpriv --no-new-privs")
    assert steps[-1].endswith("tool 'a b'")


def test_what_a_program_needs_leaves_out_the_working_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    assert not any(place.is_relative_to(tmp_path) for place in program_places())
    assert any(Path(sys.prefix).is_relative_to(place) for place in program_places())
