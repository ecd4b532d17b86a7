"""Starting bundle runs from a command, each in a process of its own, as a person starts them."""

import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.tracking.run import LAST

PATIENCE = 60
"""Seconds that an interrupted run may take to end its records."""


def bundle_run(
    run: str,
    configs: Sequence[Path],
    settings: Mapping[str, Any],
    overrides: Sequence[str] = (),
) -> None:
    """Run ``python -m monai.bundle run`` to its end.

    An interruption of this process interrupts the run, which then ends its records.

    Args:
        run: ``training``, ``evaluating``, ….
        configs: ``train.yaml`` and the overlays.
        settings: a value for each key that the caller decides; paths are made absolute.
        overrides: further arguments, a key and a value in turn.

    Raises:
        ValueError: it failed, its own message stands above; or an override of a setting.
    """
    for key in overrides[::2]:
        if key.removeprefix("--") in settings:
            raise ValueError(f"after --: {key} is decided by the command itself; leave it out")
    files = [str(path.resolve()) for path in configs]
    given = {key: v.resolve() if isinstance(v, Path) else v for key, v in settings.items()}
    arguments = [text for key, value in given.items() for text in (f"--{key}", str(value))]
    command = [sys.executable, "-W", "ignore", "-m", "monai.bundle", "run", run]
    if _exit_code([*command, "--config_file", str(files), *arguments, *overrides]):
        where = settings.get("models_dir", configs[0].parent)
        raise ValueError(f"{where}: {run} stopped; mend what it says above, and run this again")


def _exit_code(command: Sequence[str]) -> int:
    with subprocess.Popen(command) as process:
        try:
            return process.wait()
        except KeyboardInterrupt:  # the terminal has interrupted the run as well
            process.wait(PATIENCE)
            raise
        except BaseException:
            process.terminate()
            process.wait(PATIENCE)
            raise


def resumed(folder: Path) -> dict[str, Path]:
    """The setting that goes on with the newest unfinished training in a folder, if there is one."""
    last = sorted(folder.glob(f"*/{LAST}"), key=lambda path: path.stat().st_mtime)
    return {"resume": last[-1]} if last else {}


def check_overrides(overrides: Sequence[str]) -> None:
    """Refuse words after ``--`` that are no keys with values.

    Raises:
        ValueError: an odd number of them.
    """
    if len(overrides) % 2:
        raise ValueError(
            f"after --: found {len(overrides)} words, expected a key and a value in turn, as in "
            "-- --max_epochs 5"
        )
