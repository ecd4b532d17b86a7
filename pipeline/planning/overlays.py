"""Overlays of other networks for a bundle whose network is pooled by axis.

An overlay replaces ``network_def`` as a whole, so that the bundle's strides and kernels would be
lost. Such a bundle gets overlays of its own, under the names of the shared ones, which keep them.
"""

import re
from collections.abc import Sequence

import yaml

from pipeline.bundle.bundle import shared_overlays

Rows = Sequence[Sequence[int]]
FEATURES = re.compile(r"^  features: .*\n", re.MULTILINE)
"""Line of an overlay below which the strides and kernels are written."""


def overlays_by_axis(strides: Rows, kernels: Rows) -> dict[str, str]:
    """Return the shared overlays with the strides and kernels of a plan, by file name.

    A network with more poolings than the plan repeats the plan's last one.

    Args:
        strides: factor along each axis of each pooling.
        kernels: sides along each axis of each level's kernels.

    Example:
        >>> text = overlays_by_axis([[2, 1], [2, 2]], [[3, 1], [3, 3], [3, 3]])["unetpp.yaml"]
        >>> yaml.safe_load(text)["network_def"]["strides"]
        [[2, 1], [2, 2], [2, 2], [2, 2]]
    """
    return {
        path.name: _with_rows(path.read_text("utf-8"), strides, kernels)
        for path in sorted(shared_overlays().glob("*.yaml"))
    }


def _with_rows(text: str, strides: Rows, kernels: Rows) -> str:
    levels = len(yaml.safe_load(text)["network_def"]["features"])
    strides, kernels = repeated_rows(strides, levels - 1), repeated_rows(kernels, levels)
    rows = f"  strides: {strides}, kernels: {kernels},   # as planned in train.yaml\n"
    return FEATURES.sub(lambda match: match[0] + rows, text, count=1)


def repeated_rows(rows: Rows, count: int) -> list[list[int]]:
    """Return the first rows, the last one repeated where there are fewer.

    Example:
        >>> repeated_rows([[2, 1], [2, 2]], 3)
        [[2, 1], [2, 2], [2, 2]]
    """
    repeats = max(0, count - len(rows))
    return [list(row) for row in (*rows, *[rows[-1]] * repeats)][:count]
