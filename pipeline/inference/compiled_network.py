"""A network that another library than PyTorch compiles, for each shape of its windows."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

Shape = tuple[int, ...]
Program = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""Returns the logits of windows ``(B, C, *spatial)``, perhaps in memory that its next call uses."""
Compiler = Callable[[torch.nn.Module, Shape], Program]
"""Makes a program of a network in evaluation, for windows of one shape."""
MAX_SHAPES = 4
"""Shapes of windows whose programs are kept; each takes about the memory of the network."""


class CompiledNetwork(torch.nn.Module):
    """A network in evaluation whose predictions a program computes.

    A program for one fixed shape is faster than one for any.

    Args:
        network: on the CPU, with its weights.
        compiler: of a library.
    """

    def __init__(self, network: torch.nn.Module, compiler: Compiler) -> None:
        super().__init__()
        self.network, self.compiler = network, compiler
        self.programs: dict[Shape, Program] = {}

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the logits of images ``(B, C, *spatial)``."""
        program = self._program(tuple(images.shape))
        # a copy, since the next call may write to the same memory
        return torch.from_numpy(np.array(program(images.numpy(force=True))))

    def _program(self, shape: Shape) -> Program:
        if shape not in self.programs:
            if len(self.programs) == MAX_SHAPES:
                self.programs.pop(next(iter(self.programs)))
            self.programs[shape] = self.compiler(self.network.eval(), shape)
        return self.programs[shape]
