"""Device and free memory of the machine that trains."""

from typing import NamedTuple

import psutil
import torch


class Machine(NamedTuple):
    """Machine that training will run on.

    Attributes:
        device: ``cpu`` or ``cuda``.
        memory: free memory of the device, bytes.
    """

    device: str
    memory: int


def machine_at_hand() -> Machine:
    """Return this machine: the graphics card if there is one, else the CPU with its memory."""
    if torch.cuda.is_available():
        return Machine("cuda", torch.cuda.mem_get_info()[0])
    return Machine("cpu", psutil.virtual_memory().available)
