"""What a command imports: nothing that takes long and that it does not need."""

import os
import shutil
import subprocess
import sys

import pytest

from tests.conftest import ROOT

MEMBRANES = str(ROOT / "bundles" / "membranes")
PROBE = """
import os, sys
from pipeline.deferred import DeferredModule

def executed(*_):
    print("executed", *(n for n, m in sys.modules.items() if not isinstance(m, DeferredModule)))

def first_step(*_):
    executed()
    sys.stdout.flush()
    os._exit(0)

if "train" in sys.argv:
    from torch.optim.optimizer import register_optimizer_step_post_hook
    register_optimizer_step_post_hook(first_step)
from pipeline import cli
code = cli.main(sys.argv[1:])
executed()
raise SystemExit(code)
"""
"""Does a command, a training up to its first step, and prints the modules that were executed."""
UNUSED = {"scipy.signal", "sklearn", "tensorboard", "transformers", "umap"}
"""Modules that no run needs."""


def executed(*words):
    """Return the modules that a process of a command has executed at its end."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-W", "ignore", "-c", PROBE, *map(str, words)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (line,) = (line for line in done.stdout.splitlines() if line.startswith("executed "))
    return set(line.split()[1:])


def test_a_check_of_a_cohort_needs_neither_monai_nor_pytorch(phantom, tmp_path):
    cohort = shutil.copytree(phantom, tmp_path / "cohort")  # a check writes into it
    modules = executed("data", "check", cohort)
    assert "pipeline.data.readers" in modules
    assert set() == modules & {*UNUSED, "monai", "torch", "mlflow", "matplotlib", "pandas"}


def test_a_training_up_to_its_first_step(phantom, small, tmp_path):
    settings = [f"{key}={value}" for key, value in small.items()]
    places = ["--data", phantom, "--tracking", tmp_path / "mlruns"]
    models = f"models_dir={tmp_path / 'models'}"
    modules = executed("train", MEMBRANES, *places, "--set", *settings, models)
    assert "pipeline.training.engines" in modules
    unused = {"matplotlib", "scipy.stats", "skimage.morphology", "sympy", "torch._dynamo"}
    assert set() == modules & {*UNUSED, *unused}


@pytest.mark.parametrize(
    ("verb", "unused"),
    [
        ("infer", {"matplotlib", "torch._dynamo", "sympy", "scipy.stats"}),
        ("evaluate", {"torch._dynamo"}),
    ],
)
def test_a_trained_model_is_used(verb, unused, site, phantom, tmp_path):
    places = ["--data", phantom, "--tracking", site / "mlruns", "--out", tmp_path / "out"]
    (run,) = (folder.name for folder in (site / "models").iterdir() if folder.is_dir())
    modules = executed(verb, MEMBRANES, *places, "--run", run, "--set", "engine=float32")
    assert "pipeline.inference.trained_model" in modules
    assert set() == modules & {*UNUSED, *unused}
