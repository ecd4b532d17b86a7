"""MONAI's command line from its first moment: errors of one line, no foreign warnings.

A bundle's own ``initialize`` runs after MONAI has merged files and overrides. What happens before
it (an override whose parent does not exist, warnings on every config) is met here. MLflow loads its
plugins while MONAI is imported, before any config is read: the package is one of them, in
``pyproject.toml``, and does nothing in any other process than ``python -m monai.bundle``.
"""

import sys
from collections.abc import Iterator
from itertools import pairwise

from mlflow.tracking.context.abstract_context import RunContextProvider

from pipeline.errors import show_one_line
from pipeline.imports import MONAI
from pipeline.quiet import ignore_foreign_warnings


class CommandLine(RunContextProvider):
    """What MLflow loads; it adds nothing to a run."""

    def in_context(self) -> bool:
        """No run is of this context."""
        return False

    def tags(self) -> dict[str, str]:
        """No tags."""
        return {}


def begin() -> None:
    """Show errors as one line from now on, and filter foreign warnings."""
    ignore_foreign_warnings()
    show_one_line(override_error)


def override_error(error: BaseException) -> str | None:
    """Return the line for an override that MONAI could not merge; None for other errors."""
    for override, files in _merges(error):
        # imports MONAI, which another process that imports MLflow does not need
        from pipeline.bundle.config_files import ConfigFiles
        from pipeline.bundle.overrides import apply_overrides

        try:
            apply_overrides(ConfigFiles.load_config_files(files), override)
        except ValueError as refusal:
            return str(refusal)
    return None


def _merges(error: BaseException | None) -> Iterator[tuple[dict[str, object], list[str]]]:
    """The overrides and files of the merge that an error comes from."""
    while error is not None:
        trace = error.__traceback__
        while trace is not None:
            override = trace.tb_frame.f_locals.get("override")
            files = trace.tb_frame.f_locals.get("config_file")
            if isinstance(override, dict) and files:
                yield override, [files] if isinstance(files, str) else list(files)
            trace = trace.tb_next
        error = error.__cause__ or error.__context__


def _is_monai_command() -> bool:
    return any(pair == ("-m", MONAI) for pair in pairwise(sys.orig_argv))


if _is_monai_command():
    begin()
