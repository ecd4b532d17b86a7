"""Programs of OpenVINO, in float32 or bfloat16; it is an extra.

OpenVINO joins convolutions with the norms and activations after them, and lays out feature maps as
the processor reads them best.
"""

import contextlib
import io
import warnings
from typing import Any

import numpy as np
import openvino
import torch
from numpy.typing import NDArray

from pipeline.inference.compiled_network import Compiler, Program, Shape
from pipeline.precision import BFLOAT16, Precision

HINTS = {BFLOAT16: "bf16"}


def openvino_compiler(precision: Precision) -> Compiler:
    """Return what compiles a network for the CPU.

    Args:
        precision: that the processor computes in.
    """

    def compile_network(network: torch.nn.Module, shape: Shape) -> Program:
        return program_of(openvino_model(network, shape), precision)

    return compile_network


def openvino_model(network: torch.nn.Module, shape: Shape) -> openvino.Model:
    """Return a network in evaluation as OpenVINO's graph, for windows of one shape."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")  # of torch's tracing, about shapes that are fixed here
        return openvino.convert_model(
            network, example_input=torch.zeros(shape), input=[list(shape)]
        )


def program_of(model: openvino.Model, precision: Precision) -> Program:
    """Return the program of a graph, with as many threads as PyTorch has."""
    settings: dict[str, Any] = {
        "INFERENCE_PRECISION_HINT": HINTS.get(precision, "f32"),
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "PERFORMANCE_HINT": "LATENCY",
        "ENABLE_CPU_PINNING": False,  # a core of its own may be another process's busy one
    }
    compiled = openvino.Core().compile_model(model, "CPU", settings)

    def program(images: NDArray[np.float32]) -> NDArray[np.float32]:
        logits: NDArray[np.float32] = compiled(images)[0]
        return logits

    return program
