"""What predictions were made with, as their report says it."""

from collections.abc import Mapping
from typing import Any

from pipeline.bundle.received import ReceivedRecord
from pipeline.inference.engine import PLAIN
from pipeline.inference.operating_point import OperatingPoint
from pipeline.inference.trained_model import TrainedModel

IN_BITS = {8: "8 bits, 255 is 1", 32: "float32; PNG 16 bits, 65535 is 1"}
"""What the report says of the numbers in the probability maps."""


def made_with(
    model: TrainedModel,
    point: OperatingPoint,
    bits: int | None,
    more: Mapping[str, Any],
    received: ReceivedRecord | None,
) -> dict[str, Any]:
    """Return the settings on which predictions depend: model, operating point, engine, ….

    Args:
        model: that infers.
        point: how probabilities became masks.
        bits: of the probability maps; None: none are written.
        more: further settings, which replace those of the same name.
        received: from whom the bundle is; None: it is an own one.
    """
    archive = {"received_archive_sha256": received.archive_sha256} if received else {}
    return {
        "model": str(model.path),
        "model_sha256": model.record.sha256,
        **point.model_dump(),
        "probabilities": None if bits is None else IN_BITS[bits],
        "engine": PLAIN,
        **more,
        **archive,
    }


def threshold_source(model: TrainedModel, point: OperatingPoint) -> str:
    """Return where the threshold comes from."""
    if point.selected_by is not None:
        return f"chosen by {point.selected_by.metric} on {point.selected_by.split}"
    if model.record.operating_point is None and point.threshold == model.default.threshold:
        return "none was chosen for these weights"
    return "given"
