"""A training step with threads that sleep while they wait, against threads that stay awake.

OpenMP's threads wait for each other after every layer. By default libgomp, which PyTorch's wheels
bring, lets them ask again and again, which takes the processor from another process. Each way is
measured alone and beside a process that does the same; the ratio to the default is taken round by
round::

    python benchmarks/shared_processor.py [--rounds 3] [--seconds 20] [--threads 2]
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from functools import partial

import torch
from markdown import print_header, print_row
from turns import ratio, take_turns

from pipeline.networks import UNet

WAYS = {
    "default": {},
    "OMP_WAIT_POLICY=PASSIVE": {"OMP_WAIT_POLICY": "PASSIVE"},
    "GOMP_SPINCOUNT=1000": {"GOMP_SPINCOUNT": "1000"},
}
VARIABLES = {name for way in WAYS.values() for name in way}
PLACES = {"alone": 1, "beside another": 2}
"""Number of processes that compute at the same time."""
BATCH = (4, 1, 192, 192)


def measure(seconds: float) -> float:
    """Return the median seconds of a step in this process; the first two warm up."""
    network = UNet(spatial_dims=2, in_channels=1, out_channels=1, features=[16, 32, 64, 128, 256])
    optimizer = torch.optim.Adam(network.parameters())
    images, steps = torch.rand(BATCH), []
    ends = time.perf_counter() + seconds
    while time.perf_counter() < ends or len(steps) < 3:
        began = time.perf_counter()
        network(images).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()
        steps.append(time.perf_counter() - began)
    return statistics.median(steps[2:])


def step_of(way: str, processes: int, threads: int, seconds: float) -> float:
    """Return the seconds of a step, the mean over processes that compute at the same time."""
    kept = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    own = {**kept, **WAYS[way], "OMP_NUM_THREADS": str(threads)}
    command = [sys.executable, __file__, "--measured", "--seconds", str(seconds)]
    started = [
        subprocess.Popen(command, env=own, stdout=subprocess.PIPE, text=True)
        for _ in range(processes)
    ]
    return statistics.mean(float(one.communicate()[0].splitlines()[-1]) for one in started)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--measured", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measured:
        print(measure(options.seconds))
        return
    default, *others = WAYS
    print_header(f"processes of {options.threads} threads", f"{default}, s", *others)
    for place, processes in PLACES.items():
        measures = {
            way: partial(step_of, way, processes, options.threads, options.seconds) for way in WAYS
        }
        times = take_turns(measures, options.rounds)
        speeds = [ratio(times[default], times[way]) for way in others]
        print_row(place, statistics.median(times[default]), *speeds)


if __name__ == "__main__":
    main()
