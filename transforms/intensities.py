"""Check of the range of intensities."""

import torch


def check_intensities(image: torch.Tensor, maximum: float, remedy: str) -> None:
    """Refuse values outside 0 to ``maximum`` and NaN; ``remedy`` ends the message."""
    low, high = (float(v) for v in torch.aminmax(image))
    if not (low >= 0 and high <= maximum):
        raise ValueError(
            f"intensities from {low:g} to {high:g}; expected 0 to {maximum:g}; {remedy}"
        )
