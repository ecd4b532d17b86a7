"""The forward pass of each network against the limit of this processor.

The limit of an operation is the longer of two times: its arithmetic at the speed of a large matrix
product, and its bytes (input, output and weights) at the speed of a large copy (Williams et al.,
"Roofline", 2009). A network's limit is the sum over its operations, each taken alone; engines that
join operations move fewer bytes, and can be faster than it. Both speeds are measured in turns with
the networks::

    python benchmarks/roofline.py [--networks membranes volumes] [--rounds 5]
"""

import argparse
import statistics
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from engines import BUNDLES, VOLUMES, network_of
from markdown import print_header, print_row
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry
from turns import clock, ratio, take_turns

from pipeline.inference.engine import FLOAT32, Engine, in_engine
from pipeline.precision import BFLOAT16, computes_in_bfloat16

SIDE = 2048
"""Sides of the matrices of the product."""
COPIED = 2**28
"""Bytes that are copied, more than a cache holds."""
TYPES = {FLOAT32: torch.float32, BFLOAT16: torch.bfloat16}


class Operation(NamedTuple):
    """What an operation of PyTorch computes and moves."""

    flop: float
    numbers: float


class Operations(TorchDispatchMode):
    """Records the operations within; views of a tensor move nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.all: list[Operation] = []

    def __torch_dispatch__(
        self,
        function: Any,
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> object:
        """Do an operation, and record it."""
        result = function(*args, **(kwargs or {}))
        count = flop_registry.get(function.overloadpacket)
        flop = count(*args, **(kwargs or {}), out_val=result) if count else 0
        tensors = [t for t in tree_leaves((args, kwargs, result)) if isinstance(t, torch.Tensor)]
        if not function.is_view:
            self.all.append(Operation(flop, sum(tensor.numel() for tensor in tensors)))
        return result


def operations_of(network: torch.nn.Module, images: torch.Tensor) -> list[Operation]:
    """Return the operations of a network's forward pass."""
    with torch.no_grad(), Operations() as operations:
        network(images)
    return operations.all


def limit(
    operations: Sequence[Operation], flop_a_second: float, bytes_a_second: float, size: int
) -> float:
    """Return the seconds that operations take at least, with numbers of a size in bytes."""
    return sum(
        max(operation.flop / flop_a_second, operation.numbers * size / bytes_a_second)
        for operation in operations
    )


def product(precision: Engine) -> Callable[[], object]:
    """Return the product of two large matrices."""
    matrix = torch.rand(SIDE, SIDE).to(TYPES[precision])
    return lambda: matrix @ matrix


def show(name: str, precision: Engine, rounds: int) -> None:
    """Print a row: the seconds of a pass, its limit, and the part of it that is reached."""
    network, _, images = network_of(name)
    operations = operations_of(network, images)
    computed = in_engine(network, precision, "cpu").eval()
    source = torch.ones(COPIED // 4)
    target = torch.empty_like(source)
    ways = {
        "network": lambda: computed(images),
        "product": product(precision),
        "copy": lambda: target.copy_(source),
    }
    with torch.inference_mode():
        for call in ways.values():
            call()
        times = take_turns({way: partial(clock, call) for way, call in ways.items()}, rounds)
    limits = [
        limit(operations, 2 * SIDE**3 / product_seconds, 2 * COPIED / copy_seconds, size)
        for product_seconds, copy_seconds in zip(times["product"], times["copy"], strict=True)
        for size in [TYPES[precision].itemsize]
    ]
    gflop_a_second = 2e-9 * SIDE**3 / statistics.median(times["product"])
    gigabytes_a_second = 2e-9 * COPIED / statistics.median(times["copy"])
    medians = [1000 * statistics.median(seconds) for seconds in (times["network"], limits)]
    speeds = gflop_a_second, gigabytes_a_second
    print_row(f"`{name}`", precision, *speeds, *medians, ratio(limits, times["network"]))


def main() -> None:
    bundles = sorted(path.name for path in BUNDLES.iterdir() if path.is_dir())
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", nargs="+", default=[*bundles, VOLUMES])
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    precisions: list[Engine] = [FLOAT32, *([BFLOAT16] if computes_in_bfloat16("cpu") else [])]
    print_header(
        "network", "precision", "GFLOP/s", "GB/s", "a pass, ms", "limit, ms", "part of the limit"
    )
    for name in options.networks:
        for precision in precisions:
            show(name, precision, options.rounds)


if __name__ == "__main__":
    main()
