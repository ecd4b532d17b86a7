"""Quantising a network to integers of 8 bits by NNCF, and its program by OpenVINO; an extra."""

import contextlib
import io
import logging
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

import nncf
import numpy as np
import openvino
import torch
from numpy.typing import NDArray

from pipeline.inference.compiled_network import Compiler, Program, Shape
from pipeline.inference.openvino_programs import openvino_compiler, openvino_model, program_of
from pipeline.precision import FLOAT32

GRAPH, WEIGHTS = "program.xml", "program.bin"


def quantise(network: torch.nn.Module, windows: Sequence[torch.Tensor]) -> bytes:
    """Return a network whose convolutions multiply integers of 8 bits.

    The range of each feature map is that in the windows: symmetric for weights, which have a scale
    for each channel, and asymmetric for feature maps.

    Args:
        network: in evaluation, on the CPU.
        windows: of training images as they pass the network, ``(1, C, *spatial)`` each.

    Raises:
        ValueError: no windows, or windows of several shapes, for which there is no one program.
    """
    shapes = {tuple(window.shape) for window in windows}
    if len(shapes) != 1:
        listed = ", ".join(map(str, sorted(shapes))) or "no windows"
        raise ValueError(f"windows of one shape are expected, found {listed}")
    nncf.set_log_level(logging.ERROR)
    with contextlib.redirect_stdout(io.StringIO()):  # its own bars of progress
        quantised = nncf.quantize(
            openvino_model(network, shapes.pop()),
            nncf.Dataset([window.numpy(force=True) for window in windows]),
            preset=nncf.QuantizationPreset.MIXED,
            subset_size=len(windows),
        )
    return _serialised(quantised)


def int8_compiler(content: bytes) -> Compiler:
    """Return what "compiles" a network whose quantised program is at hand.

    Windows of other sides than those of the program pass the network itself, by OpenVINO in
    float32: an image smaller than the window is rare, and its result is the more exact one.

    Args:
        content: of :func:`quantise`.
    """
    model = _parsed(content)
    single = tuple(model.inputs[0].shape)
    one_window = program_of(model, FLOAT32)
    in_float32 = openvino_compiler(FLOAT32)

    def windows_in_turn(images: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.concatenate([np.array(one_window(image[None])) for image in images])

    def compile_network(network: torch.nn.Module, shape: Shape) -> Program:
        fits = shape[1:] == single[1:]
        return windows_in_turn if fits else in_float32(network, shape)

    return compile_network


def _serialised(model: openvino.Model) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        graph, weights = Path(folder, GRAPH), Path(folder, WEIGHTS)
        openvino.serialize(model, graph, weights)
        content = io.BytesIO()
        with zipfile.ZipFile(content, "w") as file:
            file.write(graph, GRAPH)
            file.write(weights, WEIGHTS)
    return content.getvalue()


def _parsed(content: bytes) -> openvino.Model:
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        return openvino.Core().read_model(file.read(GRAPH), file.read(WEIGHTS))
