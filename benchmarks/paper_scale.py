"""What a training step of every experiment costs at paper scale, without a GPU.

Of each: the numbers in the network, the steps of the training, the arithmetic of a step (counted
without computing it), and the CPU seconds of a step on one thread. A step is forward, backward and
update of the experiment's own network with its own patch; one image is timed, and its seconds are
multiplied by the batch size, so that no step needs more memory than a laptop has. Loss, data and
augmentation are left out. Seconds are of the process, so that other programs on the machine
lengthen the benchmark, not its figures.

All is counted first. The table is written to ``docs/results/paper_scale_steps.json`` after each
timing, and ``docs/results.md`` estimates the hours on a GPU from it. Experiments of one network and
patch share a timing. What the file holds is not measured again; delete it to begin anew::

    OMP_NUM_THREADS=1 python benchmarks/paper_scale.py [--root .]
"""

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from monai.bundle import ConfigParser
from torch.utils.flop_counter import FlopCounterMode

from pipeline.files import write_json
from pipeline.papers.configs import OneScaleError, experiment_bundle
from pipeline.papers.paper import paper_names, read_paper
from pipeline.papers.paper_scale import STEPS_FILE
from pipeline.provenance import hardware, versions


def experiments(root: Path) -> Iterator[tuple[str, ConfigParser]]:
    """Yield the config of every experiment that has paper scale."""
    for paper in map(read_paper, paper_names()):
        for experiment in paper.experiments:
            try:
                bundle = experiment_bundle(root, paper, experiment, "paper")
            except OneScaleError:
                continue
            yield f"{paper.name}/{experiment.name}", ConfigParser(bundle.config("training"))


def step(network: torch.nn.Module, images: torch.Tensor) -> None:
    """Forward and backward; of a network with several heads the mean of all is the loss."""
    heads = network(images)
    heads = heads if isinstance(heads, (list, tuple)) else [heads]
    sum(head.mean() for head in heads).backward()


def network_of(config: ConfigParser) -> torch.nn.Module:
    """Return a new network of a config, in training."""
    network: torch.nn.Module = ConfigParser(config.config).get_parsed_content("network_def")
    return network.train()


def shape_of(config: ConfigParser) -> list[int]:
    return [1, config.get_parsed_content("in_channels"), *config.get_parsed_content("patch")]


def gflop_of(config: ConfigParser) -> float:
    with torch.device("meta"):
        network, images = network_of(config), torch.empty(shape_of(config))
    with FlopCounterMode(display=False) as counter:
        step(network, images)
    return float(counter.get_total_flops()) / 1e9


def cpu_seconds_of(config: ConfigParser) -> float:
    network, images = network_of(config), torch.rand(shape_of(config))
    optimizer = torch.optim.Adam(network.parameters())
    began = time.process_time()
    step(network, images)
    optimizer.step()
    return time.process_time() - began


def costs(config: ConfigParser) -> dict[str, Any]:
    knobs = ("max_epochs", "steps_per_epoch", "batch_size", "patch")
    epochs, steps, batch_size, patch = map(config.get_parsed_content, knobs)
    with torch.device("meta"):
        network = network_of(config)
    return {
        "parameters": sum(weights.numel() for weights in network.parameters()),
        "steps": epochs * steps,
        "batch_size": batch_size,
        "patch": patch,
        "gflop_per_step": round(gflop_of(config) * batch_size, 2),
    }


def same_network(config: ConfigParser) -> str:
    """Return a text that is equal for two configs whose steps cost the same for an image."""
    return json.dumps([config.config["network_def"], shape_of(config)], sort_keys=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, default=Path())
    root = parser.parse_args().root
    file = root / "docs" / "results" / STEPS_FILE
    torch.set_num_threads(1)
    content: dict[str, Any] = {
        "hardware": hardware(), "threads": 1, "torch": versions()["torch"], "images_timed": 1
    }  # fmt: skip
    configs = dict(experiments(root))
    recorded = json.loads(file.read_text("utf-8"))["experiments"] if file.is_file() else {}
    rows = {name: recorded.get(name) or costs(config) for name, config in configs.items()}
    write_json(file, {**content, "experiments": rows})
    seconds = {
        same_network(configs[name]): row["cpu_seconds_per_step"] / row["batch_size"]
        for name, row in rows.items()
        if "cpu_seconds_per_step" in row
    }
    for name, row in sorted(rows.items(), key=lambda item: item[1]["gflop_per_step"]):
        if "cpu_seconds_per_step" not in row:
            network = same_network(configs[name])
            seconds[network] = seconds.get(network) or cpu_seconds_of(configs[name])
            row["cpu_seconds_per_step"] = round(seconds[network] * row["batch_size"], 2)
            write_json(file, {**content, "experiments": rows})
            print(name, row, flush=True)


if __name__ == "__main__":
    main()
