"""The table of an inference: a line for each structure of each image."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

VOLUMES = "volumes.csv"
COLUMNS = (
    "image", "series_uid", "structure", "number", "voxels", "ml", "pixels", "mm2", "components",
    "touches_border", "mean_probability", "entropy", "expected_dice", "expected_dice_sd",
    "spacing_mm", "mask",
)  # fmt: skip
"""Of the table; what is not known is empty."""


def volume_rows(entries: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """Return a row for each structure of each image of a report.

    Args:
        entries: of the images.

    Example:
        >>> lung = {"number": 1, "pixels": 9, "touches_border": False}
        >>> entry = {"image": "a.png", "files": ["mask/a.png"], "structures": {"lung": lung}}
        >>> [row] = volume_rows([{**entry, "spacing_mm": [0.5, 0.25]}])
        >>> row["structure"], row["touches_border"], row["spacing_mm"], row["mask"]
        ('lung', 'no', '0.5 x 0.25', 'mask/a.png')
    """
    for entry in entries:
        mask = next((file for file in entry["files"] if file.startswith("mask/")), "")
        spacing = " x ".join(f"{side:g}" for side in entry.get("spacing_mm", ()))
        for name, own in entry.get("structures", {}).items():
            touches = {} if "touches_border" not in own else {
                "touches_border": "yes" if own["touches_border"] else "no"
            }  # fmt: skip
            yield {
                "image": entry["image"],
                "series_uid": entry.get("series_uid", ""),
                "structure": name,
                **own,
                **touches,
                "spacing_mm": spacing,
                "mask": mask,
            }
