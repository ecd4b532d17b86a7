"""One line of the doctor's report."""

from collections.abc import Iterable
from typing import Literal, NamedTuple

Level = Literal["fine", "note", "slow", "fails"]


class Check(NamedTuple):
    """Something that was looked at.

    Attributes:
        name: what was looked at.
        value: what it is.
        level: ``fine``; ``note``: works, and is worth knowing; ``slow``; ``fails``: a run would.
        remedy: what to do; empty where it is fine.
    """

    name: str
    value: str
    level: Level = "fine"
    remedy: str = ""


def report(checks: Iterable[Check]) -> str:
    """Return the report as a person reads it.

    Example:
        >>> print(report([Check("git", "none", "note", "install git")]))
        note   git           none
                             install git
    """
    lines = []
    for check in checks:
        lines.append(f"{check.level:5}  {check.name:12}  {check.value}")
        lines += [f"{'':21}{check.remedy}"] * bool(check.remedy)
    return "\n".join(lines)


def size(number: int) -> str:
    """Return a number of bytes as a person reads it.

    Example:
        >>> size(3 * 2**30)
        '3.0 GiB'
    """
    return f"{number / 2**30:.1f} GiB"
