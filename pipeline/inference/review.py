"""The review queue of an inference: the images whose masks are least sure stand first."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pipeline.inference.input_check import NOT_CHECKED

REVIEW = "review.csv"
COLUMNS = ("rank", "image", "expected_dice", "structure", "coverage", "differences", "mask")


def review_rows(entries: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """Return a row for each image of a report, the lowest expected Dice first.

    Of several structures it is that of the one with the lowest. An image of which no Dice can be
    expected, as the mask is empty or no evaluation learnt what to expect, stands before the others.

    Args:
        entries: of the images.

    Example:
        >>> sure, unsure = ({"lung": {"expected_dice": dice}} for dice in (0.9, 0.6))
        >>> more = {"coverage": "partial", "files": []}
        >>> entries = [{"image": "a", "structures": sure}, {"image": "b", "structures": unsure}]
        >>> [row["image"] for row in review_rows([{**entry, **more} for entry in entries])]
        ['b', 'a']
    """
    queue = sorted(entries, key=lambda entry: review_key(expected_dice_of(entry)[0]))
    for rank, entry in enumerate(queue, start=1):
        expected, structure = expected_dice_of(entry)
        differences = [line for line in entry.get("differences", ()) if line != NOT_CHECKED]
        yield {
            "rank": rank,
            "image": entry["image"],
            "expected_dice": "" if expected is None else expected,
            "structure": structure,
            "coverage": entry["coverage"],
            "differences": "; ".join(differences),
            "mask": next((file for file in entry["files"] if file.startswith("mask/")), ""),
        }


def expected_dice_of(entry: Mapping[str, Any]) -> tuple[float | None, str]:
    """Return the lowest expected Dice of an image's structures, and which one it is of."""
    expected = {
        name: own["expected_dice"]
        for name, own in entry.get("structures", {}).items()
        if "expected_dice" in own
    }
    structure = min(expected, key=lambda name: expected[name], default="")
    return expected.get(structure), structure


def review_key(expected: float | None) -> float:
    """Return by what the queue is sorted; what cannot be expected stands first."""
    return -math.inf if expected is None else expected
