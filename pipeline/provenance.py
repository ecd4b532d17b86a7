"""Where a result comes from: code, packages, machine."""

import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil

QUIET: dict[str, Any] = {"capture_output": True, "text": True, "timeout": 10}
PACKAGES = ("unet-school", "torch", "monai", "pytorch-ignite", "mlflow", "numpy")


def git_commit(folder: Path) -> str:
    """Return the commit that ``folder`` is at, marked ``-dirty`` when tracked files differ from it.

    Documents do not count: nothing of them runs, and records of earlier runs are written there.
    Outside a repository, or without git, it is ``none``.
    """
    git = ["git", "-C", str(folder)]
    differs = [*git, "diff", "--quiet", "HEAD", "--", ":(top)", ":(top,exclude)docs"]
    try:
        head = subprocess.run([*git, "rev-parse", "HEAD"], **QUIET, check=True)
        dirty = subprocess.run(differs, **QUIET).returncode != 0
    except (OSError, subprocess.SubprocessError):
        return "none"
    return head.stdout.strip() + "-dirty" * dirty


def versions() -> dict[str, str]:
    """Return the version of Python and of each package that a result depends on."""
    return {"python": platform.python_version(), **{name: version_of(name) for name in PACKAGES}}


def version_of(name: str) -> str:
    """Return the version of an installed package; ``not installed`` where there is none."""
    try:
        return version(name)
    except PackageNotFoundError:  # of this project, where a packed bundle brings its source
        return "not installed"


def hardware() -> str:
    """Name the machine: its GPU, or its processor, cores and memory."""
    import torch  # takes a second, and a version needs it not

    if torch.cuda.is_available():
        return str(torch.cuda.get_device_name())
    memory = psutil.virtual_memory().total / 2**30
    return f"{platform.machine()} CPU, {psutil.cpu_count()} cores, {memory:.0f} GiB"
