"""The one intensity window of CT, where a value means the same in every scan."""

from collections.abc import Mapping
from typing import Any, NamedTuple

AIR_HU = -500
"""Hounsfield units; a cohort of unknown modality whose images reach this or below is CT."""
MIN_WIDTH_HU = 1.0


class CtWindow(NamedTuple):
    """Window and normalisation of CT, as nnU-Net's.

    Attributes:
        low: lower end, Hounsfield units.
        high: upper end.
        mean: value that is subtracted.
        deviation: value by which the difference is divided.
        inside: whether they are those of the voxels inside the masks.
    """

    low: float
    high: float
    mean: float
    deviation: float
    inside: bool


def is_ct(fingerprint: Mapping[str, Any]) -> bool:
    """Return whether images are CT: by their modality; if it is unknown, by their values.

    Example:
        >>> values = {"0.5": [-1024, -1000, -990]}
        >>> is_ct({"intensity_percentiles": values}), is_ct({"modality": "MR"})
        (True, False)
    """
    modality = fingerprint.get("modality")
    if modality:
        return bool(modality == "CT")
    return bool(fingerprint["intensity_percentiles"]["0.5"][1] <= AIR_HU)


def ct_window(fingerprint: Mapping[str, Any]) -> CtWindow:
    """Return the window of the voxels inside the masks; without any, of all voxels.

    Example:
        >>> ct_window({"foreground_intensities": {
        ...     "0.5": -100.0, "99.5": 200.0, "mean": 40.0, "deviation": 30.0}}).low
        -100.0
    """
    inside = fingerprint.get("foreground_intensities")
    if inside and inside["99.5"] - inside["0.5"] >= MIN_WIDTH_HU and inside["deviation"] > 0:
        return CtWindow(inside["0.5"], inside["99.5"], inside["mean"], inside["deviation"], True)
    low, high = (fingerprint["intensity_percentiles"][key][1] for key in ("0.5", "99.5"))
    return CtWindow(low, high, (low + high) / 2, max((high - low) / 2, MIN_WIDTH_HU), False)
