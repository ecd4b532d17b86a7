"""What the machine at hand can hold."""

from typing import NamedTuple

import psutil
import torch


class Machine(NamedTuple):
    """Where training will run.

    Attributes:
        device: ``cpu`` or ``cuda``.
        memory: bytes that are free on it.
    """

    device: str
    memory: int


def machine_at_hand() -> Machine:
    """Look at the graphics card, or at the computer's own memory."""
    if torch.cuda.is_available():
        return Machine("cuda", torch.cuda.mem_get_info()[0])
    return Machine("cpu", psutil.virtual_memory().available)
