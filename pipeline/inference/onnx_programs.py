"""Programs of ONNX Runtime, in float32; it is an extra."""

import logging
import warnings

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray

from pipeline.inference.compiled_network import Program, Shape

ERRORS_ALONE = 3
"""ONNX Runtime's level of its log."""


def compile_by_onnxruntime(network: torch.nn.Module, shape: Shape) -> Program:
    """Return the program of a network in evaluation, with as many threads as PyTorch has."""
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = torch.get_num_threads()
    settings.log_severity_level = ERRORS_ALONE
    session = onnxruntime.InferenceSession(
        onnx_graph(network, shape), settings, providers=["CPUExecutionProvider"]
    )
    name = session.get_inputs()[0].name

    def program(images: NDArray[np.float32]) -> NDArray[np.float32]:
        logits: NDArray[np.float32] = session.run(None, {name: images})[0]
        return logits

    return program


def onnx_graph(network: torch.nn.Module, shape: Shape) -> bytes:
    """Return a network as an ONNX graph, for windows of one shape."""
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        graph = torch.onnx.export(network, (torch.zeros(shape),), dynamo=True, verbose=False)
    assert graph is not None  # it is only where a file is asked for
    return graph.model_proto.SerializeToString()
