"""The commands that share a bundle, as the tests call them."""

import os
import subprocess
import sys
from pathlib import Path

from pipeline import cli
from tests.conftest import ROOT

BUNDLE = ROOT / "bundles" / "membranes"


def pack(root: Path, out: Path, *more: str) -> int:
    tracking = ["--tracking", str(root / "mlruns"), "--run", "geheim_run"]
    return cli.main(["pack", str(BUNDLE), *tracking, "--out", str(out), *more])


def sign(path: Path, folder: Path) -> None:
    assert cli.main(["sign", str(path), "--key", str(folder / "keys" / "private.pem")]) == 0


def receive(path: Path, package: Path, out: Path) -> int:
    key = package.parent / "keys" / "public.pem"
    return cli.main(["receive", str(path), "--key", str(key), "--out", str(out)])


def run_received(received: Path, run: str, config: str, cwd: Path, **settings) -> str:
    """Run a received bundle as if the project were not installed; return what it printed.

    The last line names the source that was used.
    """
    script = (
        "import atexit, gc, runpy, sys\n"
        f"sys.path = [p for p in sys.path if p not in ('', {str(ROOT)!r})]\n"
        "sys.meta_path = [f for f in sys.meta_path if 'editable' not in repr(f).lower()]\n"
        "atexit.register(lambda: print('source', sys.modules['pipeline'].__file__))\n"
        "sys.argv = ['monai.bundle', *sys.argv[1:]]\n"
        "gc.disable()\n"  # a quarter of the time of the import
        "import monai.bundle\n"
        "gc.enable()\n"
        "runpy.run_module('monai.bundle', run_name='__main__')\n"
    )
    arguments = [text for key, value in settings.items() for text in (f"--{key}", str(value))]
    command = [sys.executable, "-W", "ignore", "-c", script, "run", run]
    files = ["--config_file", str(received / "configs" / config)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [*command, *files, *arguments], cwd=cwd, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout
