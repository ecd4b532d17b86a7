import os
import subprocess
import sys

import pytest

from tests.conftest import ROOT

TRAINING = """
import sys
import torch
from pipeline.imports import import_monai

if sys.argv[1] == "deferred":
    import_monai()

def trained(compiled):
    torch.manual_seed(0)
    network = torch.nn.Linear(3, 1)
    optimizer = torch.optim.Adam(network.parameters())

    def step(images):
        optimizer.zero_grad()
        network(images).square().mean().backward()
        optimizer.step()

    take = torch.compile(step, backend="eager") if compiled else step
    for images in torch.linspace(-1, 1, 24).reshape(4, 2, 3):
        take(images)
    return network.weight.detach().sum().item()

print("sympy" in sys.modules, trained(False), "sympy" in sys.modules)
print(trained(True), "sympy" in sys.modules)
"""


def output(kind: str) -> list[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-W", "ignore", "-c", TRAINING, kind]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.fixture(scope="module")
def usual() -> list[str]:
    return output("usual")


def test_an_optimiser_trains_without_the_compiler_and_a_compiled_step_with_it(usual):
    before, weights, after, compiled, at_the_end = output("deferred")
    assert [before, after, at_the_end] == ["False", "False", "True"]
    assert [weights, compiled] == [usual[1], usual[3]]


def test_pytorchs_optimisers_import_the_compiler_where_nothing_stands_in(usual):
    assert [usual[0], usual[2]] == ["False", "True"]
