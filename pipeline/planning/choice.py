"""What a plan is made from, and what it consists of."""

from collections.abc import Mapping
from typing import Any, NamedTuple

Fingerprint = Mapping[str, Any]
"""Fingerprint of a cohort by :func:`pipeline.data.fingerprint.fingerprint`."""


class Choice(NamedTuple):
    """One planned value.

    Attributes:
        value: value in the config.
        reason: reason for the value, in a few words.
    """

    value: Any
    reason: str
