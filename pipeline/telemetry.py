"""No reports of usage to the makers of libraries: a hospital's machine calls nobody by itself."""

import os
import sys

NO_REPORTS = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
"""Environment variables that MLflow and other libraries ask before they report."""
REPORTING_PACKAGES = ("openvino_telemetry",)
"""Packages that do nothing but report, which OpenVINO and NNCF do without where they are absent."""


def refuse_telemetry() -> None:
    """Let no library report its use, unless the user's environment says otherwise.

    MLflow and OpenVINO report each import to their makers by default. Called before either is
    imported; the processes that this one starts inherit the variables.

    Example:
        >>> refuse_telemetry()
        >>> import openvino_telemetry
        Traceback (most recent call last):
        ModuleNotFoundError: import of openvino_telemetry halted; None in sys.modules
    """
    for variable, value in NO_REPORTS.items():
        os.environ.setdefault(variable, value)
    for package in REPORTING_PACKAGES:
        sys.modules.setdefault(package, None)  # type: ignore[arg-type]  # as if not installed
