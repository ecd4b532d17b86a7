"""A name that no other run has."""

import secrets
import time


def unique_run_name() -> str:
    """Return the local time and four random digits, like ``2026-03-01_141503_9f3c``.

    MONAI's MLflow handler continues any unfinished run of the same name, and two runs that start in
    one second would share a time; the digits come from the system, not from the seeded generators.
    """
    return f"{time.strftime('%Y-%m-%d_%H%M%S')}_{secrets.token_hex(2)}"
