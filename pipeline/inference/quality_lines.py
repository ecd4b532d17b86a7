"""What an inference says of images that are unlike the training images: one line for a kind."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.errors import few
from pipeline.progress import count

NUMBER = re.compile(r"[-+]?\d[\d.e+-]*")


def quality_lines(entries: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a line for each kind of differences, with those of the first image that has them.

    Images differ in the same way if their differences are the same but for the numbers.

    Args:
        entries: of the images, with ``image`` and ``differences``.

    Example:
        >>> differences = {"a.png": ["mean 9", "sides 64"], "b.png": ["mean 8", "sides 64"]}
        >>> quality_lines([{"image": k, "differences": v} for k, v in differences.items()])
        ['quality     a.png: mean 9; sides 64; 1 more image alike: b.png']
    """
    kinds: dict[tuple[str, ...], list[Mapping[str, Any]]] = {}
    for entry in entries:
        if lines := entry.get("differences"):
            kinds.setdefault(tuple(NUMBER.sub("#", line) for line in lines), []).append(entry)
    return [f"quality     {_line(*alike)}" for alike in kinds.values()]


def _line(first: Mapping[str, Any], *others: Mapping[str, Any]) -> str:
    line = f"{first['image']}: {'; '.join(first['differences'])}"
    if not others:
        return line
    names = few([str(entry["image"]) for entry in others])
    return f"{line}; {count(len(others), 'more image')} alike: {names}"
