"""The MONAI workflow that is making the caller.

MONAI hands the components of a config neither that config nor the place of its files. Both are
needed: to check what was typed, to record what was executed, to find the bundle from any working
directory. The workflow stands on the call stack of every component that it makes, whichever way it
was started (``python -m monai.bundle run``, ``monai.bundle.run``, ``ConfigWorkflow``).
"""

import inspect
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import FrameType
from typing import Any
from weakref import WeakKeyDictionary, WeakSet

from monai.bundle import ConfigWorkflow
from monai.utils import ensure_tuple


class BundleWorkflow(ConfigWorkflow):
    """MONAI's workflow, with what was typed to make it.

    Args:
        files: configs, the bundle's own first.
        overrides: of keys.
        more: arguments of MONAI's workflow.
    """

    def __init__(self, files: list[str], overrides: Mapping[str, Any], **more: Any) -> None:
        super().__init__(files, **more, **overrides)
        self.typed = list(files), dict(overrides)

    def parts(self, *names: str) -> list[Any]:
        """Return what the config makes of the named keys, without running anything.

        The workflow stands on the call stack meanwhile, as :func:`running_workflow` expects.
        """
        return [self.parser.get_parsed_content(name) for name in names]


SCRIPTS = "monai.bundle.scripts"
CALLS = {(SCRIPTS, "create_workflow"): "kwargs", (SCRIPTS, "run"): "override"}
"""MONAI's functions that make and run a workflow, and the argument of each with the overrides."""
TYPED: WeakKeyDictionary[ConfigWorkflow, tuple[list[str], dict[str, Any]]] = WeakKeyDictionary()
"""What was typed to make each workflow of MONAI's command line."""

RESTORED: WeakSet[ConfigWorkflow] = WeakSet()
"""Workflows whose places are those of a training that is resumed."""


def running_workflow() -> ConfigWorkflow:
    """Return the workflow that is making the caller.

    Raises:
        ValueError: no workflow is on the call stack.
    """
    workflow = current_workflow()
    if workflow is None:
        raise ValueError("no bundle is being run here; start with python -m monai.bundle run …")
    return workflow


def current_workflow() -> ConfigWorkflow | None:
    """Return the workflow that is making the caller; None: no bundle is being run."""
    for frame in _stack():
        candidate = frame.f_locals.get("self")
        if isinstance(candidate, ConfigWorkflow):
            return candidate
    return None


def typed_call() -> tuple[list[str], dict[str, Any]]:
    """Return the config files and overrides that ``monai.bundle run`` was called with.

    They are as they were typed, before MONAI merged them. Both are empty where a
    ``ConfigWorkflow`` was made without that call, as a verb of ours does.
    """
    for frame in _stack():
        name = CALLS.get((str(frame.f_globals.get("__name__")), frame.f_code.co_name))
        if name is not None:
            return _typed(frame.f_locals.get("config_file"), frame.f_locals[name])
    return [], {}


def typed_values(workflow: ConfigWorkflow) -> tuple[list[str], dict[str, Any]]:
    """Return the config files and overrides that a workflow was made with, in whichever way.

    Both are empty where a ``ConfigWorkflow`` was made by hand. They are known once it is made.
    """
    if isinstance(workflow, BundleWorkflow):
        return workflow.typed
    if workflow not in TYPED:  # the call that says so ends before the run begins
        TYPED[workflow] = typed_call()
    return TYPED[workflow]


def bundle_root() -> str:
    """Return the absolute path of the bundle whose config is run, whatever the working directory.

    It is the folder above ``configs/``, where the first config file lies.

    Raises:
        ValueError: no workflow is on the call stack; give ``bundle_root`` explicitly there.
    """
    return str(Path(running_workflow().config_root_path).resolve().parent)


def _typed(files: Any, given: Mapping[str, Any]) -> tuple[list[str], dict[str, Any]]:
    own = {*inspect.signature(ConfigWorkflow.__init__).parameters, "workflow_name", "args_file"}
    overrides = {key: value for key, value in given.items() if key not in own}
    return [str(path) for path in ensure_tuple(files or ())], overrides


def _stack() -> Iterator[FrameType]:
    frame = inspect.currentframe()
    while frame is not None:
        yield frame
        frame = frame.f_back
