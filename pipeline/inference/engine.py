"""What computes the predictions of a network: PyTorch or another library, and in which numbers."""

from collections.abc import Iterator, Sequence
from copy import deepcopy
from importlib.util import find_spec
from typing import Any, Literal

import torch
from pydantic import BaseModel, ConfigDict

from pipeline.inference.compiled_network import CompiledNetwork, Compiler
from pipeline.inference.int8_program import Int8Program
from pipeline.layout import on_device
from pipeline.networks import locates
from pipeline.precision import BFLOAT16, FLOAT32, computes_in_bfloat16, in_bfloat16

Engine = Literal[
    "float32", "bfloat16", "onnxruntime", "openvino", "openvino_bfloat16", "openvino_int8"
]  # fmt: skip
"""``float32`` and ``bfloat16`` are PyTorch's; where no numbers are named, they are float32."""
INT8: Engine = "openvino_int8"
"""Integers of 8 bits, whose scales an evaluation calibrates on training images."""
PLAIN: Engine = "float32"
"""The engine of trainings and of all reported scores."""
AUTO = "auto"
"""The fastest engine that the evaluation accepted and that this machine has."""
KeptScoreName = Literal["dice", "f1", "pq", "v_rand_thinned"]
"""What an engine must keep: Dice of pixels, F1 or PQ of instances, V_rand of segments."""
KEPT_SCORES: dict[KeptScoreName, str] = {
    "dice": "Dice", "f1": "F1 of instances", "pq": "PQ of instances",
    "v_rand_thinned": "V_rand of segments",
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
        program_sha256: hash of the program that the evaluation made, of ``openvino_int8``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    engine: Engine
    seconds: float | None
    loss: ScoreLoss | None = None
    accepted: bool = False
    reason: str = ""
    program_sha256: str | None = None


def has_openvino() -> bool:
    """Whether OpenVINO is installed, which is an extra."""
    return find_spec("openvino") is not None


def has_onnxruntime() -> bool:
    """Whether ONNX Runtime is installed, and what writes graphs for it: an extra."""
    return all(map(find_spec, ("onnx", "onnxscript", "onnxruntime")))


def can_quantise() -> bool:
    """Whether NNCF is installed, which quantises a network for OpenVINO: an extra."""
    return has_openvino() and find_spec("nncf") is not None


def usable_engines(device: torch.device | str, int8: bool = False) -> Iterator[Engine]:
    """Yield the engines that a machine has.

    An engine in bfloat16 is one only of a device that computes in it, and OpenVINO and ONNX Runtime
    only of a CPU, where they are installed.

    Args:
        device: where the network computes.
        int8: whether there is a quantised program of the network, or it can be made.

    Example:
        >>> "float32" in set(usable_engines("cpu"))
        True
    """
    in_bfloat16 = computes_in_bfloat16(device)
    on_cpu = torch.device(device).type == "cpu"
    by_openvino = on_cpu and has_openvino()
    yield PLAIN
    if in_bfloat16:
        yield "bfloat16"
    if on_cpu and has_onnxruntime():
        yield "onnxruntime"
    if by_openvino:
        yield "openvino"
    if by_openvino and in_bfloat16:
        yield "openvino_bfloat16"
    if by_openvino and int8:
        yield INT8


def chosen_engine(
    asked: str, trials: Sequence[EngineTrial], device: torch.device | str, int8: bool = False
) -> Engine:
    """Return the engine that an inference uses.

    Args:
        asked: name of an engine, or ``auto``.
        trials: of the model's evaluation, the fastest first; without any, ``auto`` is float32.
        device: where the inference computes.
        int8: whether the quantised program of the evaluation is at hand.

    Raises:
        ValueError: the asked engine is not usable on this machine.

    Example:
        >>> chosen_engine("auto", [], "cpu")
        'float32'
    """
    usable = list(usable_engines(device, int8))
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
    if asked == "onnxruntime" and not has_onnxruntime():
        return '; ONNX Runtime comes with: pip install "unet-school[export]"'
    if asked == INT8:
        return "; an evaluation on this machine makes the program of openvino_int8"
    return ""


def in_engine(
    network: torch.nn.Module,
    engine: Engine,
    device: torch.device | str,
    int8: Int8Program | None = None,
) -> torch.nn.Module:
    """Return a network whose predictions an engine computes.

    Args:
        network: with its weights, on the device.
        engine: one of :func:`usable_engines`.
        device: where the network is.
        int8: the quantised program of the network, for ``openvino_int8``.
    """
    if engine == PLAIN:
        return network
    if engine == "bfloat16":
        return AutocastNetwork(on_device(deepcopy(network), device, BFLOAT16), device)
    return _compiled(network, _compiler(engine, int8))


def _compiled(network: torch.nn.Module, compiler: Compiler) -> torch.nn.Module:
    """Compile a network; of one that locates first, its parts.

    A compiler follows one image, and would crop every other one where it cropped that.
    """
    if not locates(network):
        return CompiledNetwork(network, compiler)
    changed = deepcopy(network)
    for name, part in changed.named_children():
        setattr(changed, name, _compiled(part, compiler))
    return changed


def _compiler(engine: Engine, int8: Int8Program | None) -> Compiler:
    """Return what compiles networks for an engine; each is a module of an extra."""
    if engine == "onnxruntime":
        from pipeline.inference.onnx_programs import compile_by_onnxruntime

        return compile_by_onnxruntime
    if int8 is not None:
        from pipeline.inference.int8_compiler import int8_compiler

        return int8_compiler(int8.content)
    from pipeline.inference.openvino_programs import openvino_compiler

    return openvino_compiler(BFLOAT16 if engine.endswith(BFLOAT16) else FLOAT32)


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
