"""The spacing that volumes are resampled to, and the sizes that they then have.

The rules are nnU-Net's (Isensee et al., Nature Methods 2021): the median spacing of each axis, and
of a thick axis a fine one, so that scans of thin slices keep their detail.
"""

from collections.abc import Sequence

from pipeline.planning.choice import Choice, Fingerprint

MIN_THICK_RATIO = 3
"""Ratio of the coarsest spacing to the finest, and of the voxels, from which an axis is thick."""


def target_spacing(fingerprint: Fingerprint) -> Choice:
    """Choose the spacing of the volumes, mm.

    The target of an axis is the median. The coarsest axis is thick if its spacing is at least
    :data:`MIN_THICK_RATIO` times the finest and it has fewer voxels than the others by more than
    this ratio; its target is the 10th percentile, but no finer than the other axes.

    Returns:
        A spacing for each axis, or ``None`` for flat images.

    Example:
        >>> cohort = {
        ...     "spacing_mm": [[0.8, 0.8, 0.8], [0.8, 0.8, 0.8], [2.5, 5.0, 5.0]],
        ...     "spacing_percentiles_mm": {"10": [0.8, 0.8, 2.5]},
        ...     "size_range": [[256] * 3, [256] * 3, [30, 40, 80]],
        ... }
        >>> target_spacing(cohort).value
        [0.8, 0.8, 2.5]
    """
    rows = fingerprint["spacing_mm"]
    if not rows:
        return Choice(None, "the files do not say how large a pixel is")
    target = [middle for _, middle, _ in rows]
    ranges = " x ".join(
        f"{low:g}" if low == high else f"{low:g} to {high:g}" for low, _, high in rows
    )
    if all(low == high for low, _, high in rows):
        return Choice(target, f"all volumes have {ranges} mm; others are resampled to it")
    thick = _thick_axis(fingerprint, target)
    if thick is None:
        return Choice(target, f"spacing varies, {ranges} mm: resampled to the median")
    others = target[:thick] + target[thick + 1 :]
    target[thick] = max(*others, fingerprint["spacing_percentiles_mm"]["10"][thick])
    return Choice(
        target, f"spacing varies, {ranges} mm: resampled to the median, and across the thick "
        "slices to the 10th percentile, so that thin ones keep their detail",
    )  # fmt: skip


def planned_sizes(
    fingerprint: Fingerprint, spacing: Sequence[float] | None
) -> list[Sequence[float]]:
    """Return the least, the median and the largest size of each axis after resampling.

    Args:
        fingerprint: fingerprint of the cohort.
        spacing: spacing of each axis after resampling, mm; ``None``: not resampled.

    Example:
        >>> planned_sizes({"extent_mm": [[100.0, 120.0, 200.0]]}, [2.5])
        [[40.0, 48.0, 80.0]]
    """
    if spacing is None:
        return list(fingerprint["size_range"])
    return [
        [round(extent / target, 1) for extent in extents]
        for extents, target in zip(fingerprint["extent_mm"], spacing, strict=True)
    ]


def _thick_axis(fingerprint: Fingerprint, spacing: Sequence[float]) -> int | None:
    """Return the axis of thick slices: much coarser than the finest, and much shorter in voxels."""
    coarsest = max(range(len(spacing)), key=lambda axis: spacing[axis])
    voxels = [middle for _, middle, _ in fingerprint["size_range"]]
    shortest_other = min(side for axis, side in enumerate(voxels) if axis != coarsest)
    is_coarse = spacing[coarsest] >= MIN_THICK_RATIO * min(spacing)
    return coarsest if is_coarse and MIN_THICK_RATIO * voxels[coarsest] < shortest_other else None
