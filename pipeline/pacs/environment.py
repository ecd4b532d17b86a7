"""Secrets come from the environment, and appear in no file, line or message."""

import os


def secret(variable: str) -> str:
    """Return the value of an environment variable.

    Args:
        variable: its name.

    Raises:
        ValueError: it is not set.

    Example:
        >>> os.environ["PACS_USER"] = "radiology"
        >>> secret("PACS_USER")
        'radiology'
    """
    value = os.environ.get(variable)
    if not value:
        raise ValueError(f"{variable}: this environment variable is not set; pacs.yaml names it")
    return value
