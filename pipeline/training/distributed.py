"""Training in several processes, each with its own share of every step."""

import os
from collections.abc import Iterator

import torch
import torch.distributed as dist
from torch.distributed.rendezvous import rendezvous
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import Sampler

from pipeline.bundle.restarted import RESTARTS


def join() -> torch.device:
    """Join the group of processes that ``torchrun`` started, and return this one's device.

    GPUs talk by NCCL, processes without them by Gloo.

    Raises:
        ValueError: not started by ``torchrun``, or more processes than GPUs.
    """
    if "LOCAL_RANK" not in os.environ:
        raise ValueError(
            "multi_gpu.yaml: started as one process; expected torchrun --standalone "
            "--nproc_per_node 2 -m monai.bundle run training …"
        )
    rank, gpus = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
    if gpus and rank >= gpus:
        raise ValueError(f"--nproc_per_node: found more than the {gpus} GPUs of this machine")
    device = torch.device("cuda", rank) if gpus else torch.device("cpu")
    if gpus:
        torch.cuda.set_device(device)
    if not dist.is_initialized():
        _meet("nccl" if gpus else "gloo")
    return device


def _meet(backend: str) -> None:
    """Form the group of all processes.

    The store in which they tell each other their addresses outlives a restart, and holds those of
    lost processes, so each start has keys of its own.
    """
    store, rank, processes = next(rendezvous("env://"))
    own = dist.PrefixStore(f"start {os.environ.get(RESTARTS, '0')}", store)
    dist.init_process_group(backend, store=own, rank=rank, world_size=processes)


def replicated(network: torch.nn.Module, device: torch.device) -> DistributedDataParallel:
    """Return a network whose gradients are the mean over all processes.

    Batch norms on GPUs take their moments over the images of all processes; without GPUs, where
    torch has none that do, each process takes its own.
    """
    on_device = network.to(device)
    if device.type == "cpu":
        return DistributedDataParallel(on_device)
    synchronised = torch.nn.SyncBatchNorm.convert_sync_batchnorm(on_device)
    return DistributedDataParallel(synchronised, device_ids=[device])


class Share(Sampler[int]):
    """One process's share of what a sampler draws: every n-th, from its rank on.

    All processes must draw the same, which :class:`pipeline.training.SeedEachEpoch` sees to. From
    there on each is seeded for itself, so that dropout differs.

    Args:
        sampler: draws for all processes together.

    Example:
        >>> list(Share(range(4)))  # one process alone has all
        [0, 1, 2, 3]
    """

    def __init__(self, sampler: Sampler[int]) -> None:
        self.sampler = sampler
        several = dist.is_initialized()
        self.rank = dist.get_rank() if several else 0
        self.processes = dist.get_world_size() if several else 1

    def __iter__(self) -> Iterator[int]:
        drawn = list(self.sampler)
        torch.manual_seed(torch.initial_seed() + self.rank)
        return iter(drawn[self.rank :: self.processes])

    def __len__(self) -> int:
        total = len(self.sampler)  # type: ignore[arg-type]  # samplers have a length or cannot be shared
        return len(range(self.rank, total, self.processes))


def processes() -> int:
    """How many ``torchrun`` started; 1 without it."""
    return int(os.environ.get("WORLD_SIZE", "1"))
