"""Commands that a run prints to be pasted, above all the one that follows."""

import shlex
import shutil
import sys
from pathlib import Path

from pipeline.children import STARTED_BY_COMMAND
from pipeline.files import shown

PROGRAM = "unet-school"


def typed_command(*words: str | Path) -> str:
    """Return a command of ours as it is typed from the working directory.

    Args:
        words: the verb and what stands behind it; a path is shortened.

    Example:
        >>> typed_command("data", "check", Path.cwd() / "my data")
        "unet-school data check 'my data'"
    """
    typed = [shown(word) if isinstance(word, Path) else word for word in words]
    return shlex.join([PROGRAM, *typed])


def print_next(*words: str | Path) -> None:
    """Print the command that follows.

    A run that another command started prints nothing: that command says what follows.

    Args:
        words: as :func:`typed_command`.

    Example:
        >>> print_next("train", Path.cwd() / "bundles" / "mine")
        next        unet-school train bundles/mine
    """
    _print_next(typed_command(*words))


def print_next_file(path: Path) -> None:
    """Print the command that shows a text file which a command has written.

    Example:
        >>> print_next_file(Path.cwd() / "docs" / "results.md")
        next        more docs/results.md
    """
    _print_next(shlex.join(["more", shown(path)]))  # in every shell, that of Windows as well


def print_next_page(page: Path) -> None:
    """Print the command that opens a page which a command has written in a browser.

    Example:
        >>> print_next_page(Path.cwd() / "predictions" / "report.html")
        next        ... predictions/report.html
    """
    _print_next(shlex.join([*_opener(), shown(page)]))


def _opener() -> list[str]:
    """Return the command of this system that opens a file as a click does."""
    if sys.platform == "darwin":
        return ["open"]
    if shutil.which("xdg-open"):
        return ["xdg-open"]
    return [Path(sys.executable).stem, "-m", "webbrowser"]


def _print_next(command: str) -> None:
    if not STARTED_BY_COMMAND:
        print(f"next        {command}", flush=True)
