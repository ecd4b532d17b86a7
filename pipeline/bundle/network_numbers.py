"""The size of the network that configs describe, without memory for its weights."""

from collections.abc import Sequence
from pathlib import Path

import torch
from monai.bundle import ConfigParser

from pipeline.bundle.config_files import ConfigFiles


def network_numbers(configs: Sequence[Path]) -> int:
    """Count the numbers in a network: its parameters, and the running statistics of batch norm.

    This is Keras's "total parameters".

    Args:
        configs: of a run, laid over each other; the network is their ``network_def``.
    """
    parser = ConfigParser(ConfigFiles.load_config_files([str(path) for path in configs]))
    with torch.device("meta"):
        network = parser.get_parsed_content("network_def")
    state = network.state_dict().values()
    return sum(values.numel() for values in state if values.is_floating_point())
