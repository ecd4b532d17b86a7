"""A network whose predictions OpenVINO computes."""

import contextlib
import io
import warnings
from typing import Any

import numpy as np
import openvino
import torch

from pipeline.precision import BFLOAT16, Precision

HINTS = {BFLOAT16: "bf16"}
MAX_SHAPES = 4
"""Shapes of windows whose programs are kept; each takes about the memory of the network."""


class OpenVinoNetwork(torch.nn.Module):
    """A network in evaluation, compiled by OpenVINO for each shape of its windows.

    OpenVINO joins convolutions with the norms and activations after them, and lays out feature maps
    as the processor reads them best. A program for one fixed shape is faster than one for any.

    Args:
        network: on the CPU, with its weights.
        precision: that the processor computes in.
    """

    def __init__(self, network: torch.nn.Module, precision: Precision) -> None:
        super().__init__()
        self.network, self.hint = network, HINTS.get(precision, "f32")
        self.programs: dict[tuple[int, ...], Any] = {}

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the logits of images ``(B, C, *spatial)``."""
        program = self._program(tuple(images.shape))
        # a copy, since the next call writes to the same memory
        return torch.from_numpy(np.array(program(images.numpy(force=True))[0]))

    def _program(self, shape: tuple[int, ...]) -> Any:
        if shape not in self.programs:
            if len(self.programs) == MAX_SHAPES:
                self.programs.pop(next(iter(self.programs)))
            self.programs[shape] = self._compile(shape)
        return self.programs[shape]

    def _compile(self, shape: tuple[int, ...]) -> Any:
        settings = {
            "INFERENCE_PRECISION_HINT": self.hint,
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            "PERFORMANCE_HINT": "LATENCY",
        }
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")  # of torch's tracing, about shapes that are fixed here
            model = openvino.convert_model(
                self.network.eval(), example_input=torch.zeros(shape), input=[list(shape)]
            )
        return openvino.Core().compile_model(model, "CPU", settings)
