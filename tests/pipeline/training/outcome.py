"""What a training leaves, for the tests that compare trainings."""

from pathlib import Path

import torch

from pipeline.inference.trained_model import read_checkpoint


def folder_of(workflow):
    """Return the folder of a training."""
    return Path(workflow.parser.get_parsed_content("output_dir"))


def train(workflow):
    """Run a training and return its folder."""
    workflow.run()
    return folder_of(workflow)


def weights(folder):
    """Return the network's weights after the last epoch."""
    return read_checkpoint(folder / "last.pt")["network"]


def equal(a, b):
    """Return whether two sets of weights are the same, bit by bit."""
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)
