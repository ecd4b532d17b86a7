"""The bundle run that a config's own components belong to.

MONAI merges files and overrides into one config, but hands the components that the config makes
neither that config nor the place of its files. Both are needed: to check overrides, to record what
was executed, to find the bundle from any working directory. The workflow stands on the call stack
of every component it makes, whichever way it was started (``python -m monai.bundle run``,
``monai.bundle.run``, ``ConfigWorkflow``), and is taken from there.
"""

import inspect
from pathlib import Path

from monai.bundle import ConfigWorkflow


def running_workflow() -> ConfigWorkflow:
    """Return the workflow that is making the caller.

    Raises:
        ValueError: no workflow is on the call stack.
    """
    frame = inspect.currentframe()
    while frame is not None:
        candidate = frame.f_locals.get("self")
        if isinstance(candidate, ConfigWorkflow):
            return candidate
        frame = frame.f_back
    raise ValueError("no bundle is being run here; start with python -m monai.bundle run …")


def bundle_root() -> str:
    """Return the absolute path of the bundle whose config is run, whatever the working directory.

    It is the folder above ``configs/``, where the first config file lies.

    Raises:
        ValueError: no workflow is on the call stack; give ``bundle_root`` explicitly there.
    """
    return str(Path(running_workflow().config_root_path).resolve().parent)
