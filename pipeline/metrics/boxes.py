"""The box around the foreground, so that what is computed of a mask leaves the rest alone."""

import numpy as np
from numpy.typing import NDArray

Box = tuple[slice, ...]


def box_around(mask: NDArray[np.bool_]) -> Box:
    """Return the smallest box that holds all foreground; an empty one where there is none.

    Args:
        mask: ``(*spatial)``.

    Example:
        >>> box_around(np.array([[0, 0, 0, 0], [0, 1, 1, 0]], bool))
        (slice(1, 2, None), slice(1, 3, None))
    """
    box: Box = ()
    for axis in range(mask.ndim):
        others = tuple(other for other in range(mask.ndim) if other != axis)
        # what lies outside along the earlier axes is not read again
        places = np.flatnonzero(mask[box].any(axis=others))
        box += (slice(int(places[0]), int(places[-1]) + 1) if len(places) else slice(0, 0),)
    return box
