"""The command that follows: the last line of a command's output, to be pasted."""

import shlex
from pathlib import Path

from pipeline.children import STARTED_BY_COMMAND
from pipeline.files import shown


def print_next(*words: str | Path) -> None:
    """Print the command that follows, as it is typed from the working directory.

    A run that another command started prints nothing: that command says what follows.

    Args:
        words: the verb and what stands behind it; a path is shortened.

    Example:
        >>> print_next("data", "check", Path.cwd() / "my data")
        next        unet-school data check 'my data'
    """
    if not STARTED_BY_COMMAND:
        typed = [shown(word) if isinstance(word, Path) else word for word in words]
        print(f"next        {shlex.join(['unet-school', *typed])}", flush=True)
