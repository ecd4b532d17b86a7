"""Images a second of several processes of ``torchrun`` on one machine against one of them.

Each process takes training steps of the U-Net of ``bundles/membranes`` with its own batch on one
thread, and shares the gradients. Efficiency is the images a second of all over those of one, over
the number of processes; each number runs once a round::

    python benchmarks/scaling.py [--processes 1 2] [--rounds 5] [--steps 5]
"""

import argparse
import os
import statistics
import subprocess
import sys
from functools import partial
from pathlib import Path

import torch
from markdown import print_header, print_row
from turns import clock, ratio, take_turns

from pipeline.bundle import Bundle
from pipeline.training.distributed import join, replicated

BUNDLE = Path(__file__).parents[1] / "bundles" / "membranes"


def measured_step(steps: int) -> float:
    """Return the median seconds of a step, in one of the processes; the first two warm up."""
    torch.set_num_threads(1)
    device = join()
    settings = {"device": str(device), "precision": "float32"}
    get = Bundle(BUNDLE, (), settings).parser("training").get_parsed_content
    network = replicated(get("network_def"), device)
    loss, optimizer = get("loss"), torch.optim.Adam(network.parameters(), get("learning_rate"))
    shape = get("batch_size"), get("in_channels"), *get("patch")
    images = torch.rand(shape)
    truth = torch.rand(shape[0], len(get("labels")), *shape[2:]).round()

    def step() -> None:
        loss(network(images), truth).backward()
        optimizer.step()
        optimizer.zero_grad()

    times = [clock(step) for _ in range(steps + 2)]
    return statistics.median(times[2:])


def step_of(processes: int, steps: int) -> float:
    """Return the seconds of a step of several processes."""
    command = [
        *(sys.executable, "-W", "ignore", "-m", "torch.distributed.run", "--standalone"),
        *("--nproc_per_node", str(processes), __file__, "--measured", "--steps", str(steps)),
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--processes", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--measured", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measured:
        seconds = measured_step(options.steps)
        if os.environ["RANK"] == "0":
            print(seconds)
        return
    ways = {str(n): partial(step_of, n, options.steps) for n in options.processes}
    times = take_turns(ways, options.rounds)
    first = str(options.processes[0])
    print_header("processes", "a step, s", "efficiency")
    for processes, seconds in times.items():
        print_row(processes, statistics.median(seconds), ratio(times[first], seconds))


if __name__ == "__main__":
    main()
