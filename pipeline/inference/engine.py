"""What computes the predictions of a network: PyTorch or OpenVINO, in float32 or bfloat16."""

from collections.abc import Iterator, Sequence
from copy import deepcopy
from importlib.util import find_spec
from typing import Any, Literal

import torch
from pydantic import BaseModel, ConfigDict

from pipeline.layout import on_device
from pipeline.precision import BFLOAT16, FLOAT32, computes_in_bfloat16, in_bfloat16

Engine = Literal["float32", "bfloat16", "openvino", "openvino_bfloat16"]
"""``float32`` and ``bfloat16`` are PyTorch's; ``openvino`` computes in float32."""
PLAIN: Engine = "float32"
"""The engine of trainings and of all reported scores."""
AUTO = "auto"
"""The fastest engine that the evaluation accepted and that this machine has."""
KeptScoreName = Literal["dice", "f1", "pq"]
"""What an engine must keep: Dice of pixels, or F1 or panoptic quality of instances."""
KEPT_SCORES: dict[KeptScoreName, str] = {
    "dice": "Dice", "f1": "F1 of instances", "pq": "PQ of instances"
}  # fmt: skip
"""Their names in words."""


class ScoreLoss(BaseModel):
    """What an engine loses of the score of float32, over the validation cases.

    Attributes:
        score: ``dice`` of pixels, or ``f1`` or ``pq`` of instances.
        mean: score of float32 less that of the engine.
        low: end of the 95 % interval of the mean, over patients; None of a single patient.
        high: other end.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    score: KeptScoreName = "dice"
    mean: float
    low: float | None
    high: float | None

    @property
    def name(self) -> str:
        """The score as a reader knows it.

        Example:
            >>> ScoreLoss(score="pq", mean=0.0, low=0.0, high=0.0).name
            'PQ of instances'
        """
        return KEPT_SCORES[self.score]


class EngineTrial(BaseModel):
    """An engine as an evaluation measured it.

    Attributes:
        engine: its name.
        seconds: that the network takes for a case; None: it cannot compute this network.
        loss: of the score; None of float32 itself, and of an engine that was not scored.
        accepted: whether inference may use it.
        reason: why not.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    engine: Engine
    seconds: float | None
    loss: ScoreLoss | None = None
    accepted: bool = False
    reason: str = ""


def has_openvino() -> bool:
    """Whether OpenVINO is installed, which is an extra."""
    return find_spec("openvino") is not None


def usable_engines(device: torch.device | str) -> Iterator[Engine]:
    """Yield the engines that a machine has.

    An engine in bfloat16 is one only of a device that computes in it, and OpenVINO only of a CPU,
    where it is installed.

    Example:
        >>> "float32" in set(usable_engines("cpu"))
        True
    """
    in_bfloat16 = computes_in_bfloat16(device)
    by_openvino = torch.device(device).type == "cpu" and has_openvino()
    yield PLAIN
    if in_bfloat16:
        yield "bfloat16"
    if by_openvino:
        yield "openvino"
    if by_openvino and in_bfloat16:
        yield "openvino_bfloat16"


def chosen_engine(asked: str, trials: Sequence[EngineTrial], device: torch.device | str) -> Engine:
    """Return the engine that an inference uses.

    Args:
        asked: name of an engine, or ``auto``.
        trials: of the model's evaluation, the fastest first; without any, ``auto`` is float32.
        device: where the inference computes.

    Raises:
        ValueError: the asked engine is not usable on this machine.

    Example:
        >>> chosen_engine("auto", [], "cpu")
        'float32'
    """
    usable = list(usable_engines(device))
    if asked == AUTO:
        accepted = [trial.engine for trial in trials if trial.accepted]  # the fastest first
        return next((engine for engine in accepted if engine in usable), PLAIN)
    for engine in usable:
        if engine == asked:
            return engine
    raise ValueError(
        f"engine {asked}: not usable here; expected one of {', '.join([AUTO, *usable])}"
        + (_remedy(asked))
    )


def engine_remark(used: str, trials: Sequence[EngineTrial]) -> str:
    """Return a line if an evaluation accepted a faster engine than the one that is used.

    Example:
        >>> trial = EngineTrial(engine="bfloat16", seconds=0.1, accepted=True)
        >>> engine_remark("float32", [trial])
        'computed by float32; the evaluation accepted bfloat16, which is faster'
        >>> engine_remark("bfloat16", [trial])
        ''
    """
    fastest = next((trial.engine for trial in trials if trial.accepted), used)
    if fastest == used:
        return ""
    return (
        f"computed by {used}; the evaluation accepted {fastest}, which is faster{_remedy(fastest)}"
    )


def _remedy(asked: str) -> str:
    if asked.startswith("openvino") and not has_openvino():
        return '; OpenVINO comes with: pip install "unet-school[fast]"'
    return ""


def in_engine(
    network: torch.nn.Module, engine: Engine, device: torch.device | str
) -> torch.nn.Module:
    """Return a network whose predictions an engine computes.

    Args:
        network: with its weights, on the device.
        engine: one of :func:`usable_engines`.
        device: where the network is.
    """
    precision = BFLOAT16 if engine.endswith(BFLOAT16) else FLOAT32
    if engine.startswith("openvino"):
        from pipeline.inference.openvino_network import OpenVinoNetwork  # an extra

        return OpenVinoNetwork(network, precision)
    if engine == PLAIN:
        return network
    return AutocastNetwork(on_device(deepcopy(network), device, precision), device)


class AutocastNetwork(torch.nn.Module):
    """A network that computes in bfloat16; what it returns is float32.

    Args:
        network: with its weights, on the device.
        device: where the network is.
    """

    def __init__(self, network: torch.nn.Module, device: torch.device | str) -> None:
        super().__init__()
        self.network, self.device = network, device

    def forward(self, images: torch.Tensor) -> Any:
        """Return the logits of images ``(B, C, *spatial)``, in float32."""
        return in_bfloat16(self.network, self.device, images)
