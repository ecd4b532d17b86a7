"""The machine: devices, cores, threads, what else loads it, bf16, memory."""

import math
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import torch

from pipeline.data.memory import available_memory
from pipeline.doctor.check import Check, size
from pipeline.precision import bfloat16_instructions
from pipeline.progress import count

SAMPLE_SECONDS = 0.5
"""How long the load of the machine is measured."""
BUSY_PERCENT = 25
"""Of a core, from which on a process is named."""
NAMED_PROCESSES = 3
MEMORY_BYTES = 2**30
"""A training of a small network, with PyTorch, MONAI and MLflow, takes as much."""
CPU_QUOTA = Path("/sys/fs/cgroup/cpu.max")
"""Where Linux says how much of the processor a container may take."""


def machine_checks() -> Iterator[Check]:
    """Check the devices, the cores, the threads, the load, bf16 and the memory."""
    yield device()
    cores = usable_cores()
    yield threads(torch.get_num_threads(), cores)
    yield load(busy_processes(), cores)
    yield bf16(bfloat16_instructions())
    yield memory(available_memory())


def device() -> Check:
    """Say what trainings compute on, and whether a graphics card is left out."""
    if torch.cuda.is_available():
        names = [
            f"{torch.cuda.get_device_name(number)}, {size(torch.cuda.mem_get_info(number)[0])} free"
            for number in range(torch.cuda.device_count())
        ]
        return Check("device", "; ".join(names))
    if shutil.which("nvidia-smi"):
        built = "is built without CUDA" if torch.version.cuda is None else "cannot use its driver"
        remedy = "install PyTorch for it, see https://pytorch.org/get-started/locally"
        return Check("device", f"cpu: there is a graphics card, but torch {built}", "slow", remedy)
    return Check("device", "cpu: there is no graphics card that PyTorch can use")


def usable_cores() -> int:
    """Return the number of cores that this process may use."""
    process = psutil.Process()
    # not on macOS, which binds no process to a core
    cores = len(process.cpu_affinity()) if hasattr(process, "cpu_affinity") else psutil.cpu_count()
    return max(1, min(cores or 1, _quota()))


def threads(number: int, cores: int) -> Check:
    """Compare the threads of PyTorch with the cores."""
    value = f"{number}, on {count(cores, 'core')}"
    remedy = f"give a run --set threads={cores}, or set OMP_NUM_THREADS={cores}"
    if number > cores:
        return Check("threads", f"{value}: they wait for each other", "slow", remedy)
    if number < cores:
        return Check("threads", f"{value}: the others are left to other programs", "note", remedy)
    return Check("threads", value)


def busy_processes() -> list[tuple[str, float]]:
    """Return the name and the share of a core, in percent, of each other process that is busy."""
    list(psutil.process_iter(["cpu_percent"]))
    time.sleep(SAMPLE_SECONDS)
    busy = [
        (f"{process.info['name']} ({process.pid})", float(process.info["cpu_percent"] or 0))
        for process in psutil.process_iter(["cpu_percent", "name"])
        if process.pid and process.pid != psutil.Process().pid  # 0 is the idle one of Windows
    ]
    return sorted((one for one in busy if one[1] >= BUSY_PERCENT), key=lambda one: -one[1])


def load(busy: list[tuple[str, float]], cores: int) -> Check:
    """Say what else computes on the machine.

    Args:
        busy: name and percent of a core of other processes, the busiest first.
        cores: that this process may use.
    """
    if not busy:
        return Check("load", "nothing else computes here")
    names = ", ".join(f"{name} {percent:.0f} %" for name, percent in busy[:NAMED_PROCESSES])
    more = len(busy) - NAMED_PROCESSES
    value = f"of a core: {names}" + (f" and {more} more" if more > 0 else "")
    if sum(percent for _, percent in busy) < 50 * cores:
        return Check("load", value)
    return Check("load", value, "slow", "wait until they end: a training shares the cores")


def bf16(instructions: list[str] | None) -> Check:
    """Say whether the processor multiplies in bf16, by what it says of itself.

    Args:
        instructions: of the processor, by PyTorch's names; None: not known.
    """
    if instructions is None:
        return Check("bf16", "not known: this version of torch does not say", "note")
    if instructions:
        return Check("bf16", f"in hardware ({', '.join(instructions)})")
    return Check(
        "bf16", "not in hardware", "note", "compute in float32: bf16 would be emulated, and slower"
    )


def memory(free: int) -> Check:
    """Say how much memory is free, of the machine, its container and the process's limit."""
    if free < MEMORY_BYTES:
        remedy = f"end other programs: a small training takes {size(MEMORY_BYTES)}"
        return Check("memory", f"{size(free)} free", "fails", remedy)
    return Check("memory", f"{size(free)} free")


def _quota() -> int:
    """The cores of a container's share of the time, a part of one counted as one."""
    try:
        quota, period = CPU_QUOTA.read_text("utf-8").split()
        return math.ceil(int(quota) / int(period))
    except (OSError, ValueError):  # there is none, or it is "max"
        return sys.maxsize
