"""Trainings for the tests of faults: starting them, and comparing what they leave."""

import json
import multiprocessing.connection
import threading
from collections.abc import Sequence
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import torch
from mlflow import MlflowClient
from mlflow.entities import Run

from tests.faults.launcher import Fault, Gate, command

LIMIT_SECONDS = 120
"""Of a command that takes two."""
EPOCHS, STEPS = 3, 2
NAME = "mine"
SETTINGS = (
    "network_def#features=[4,4,8,8,8]", "patch=[32,32]", "window=[64,64]", "batch_size=2",
    f"steps_per_epoch={STEPS}", f"max_epochs={EPOCHS}", "val_interval=1", "threads=1",
    "key_metric=loss", "learning_rate=0.001",
)  # fmt: skip
"""At this rate the second epoch is better than the first, and the third worse, by a wide margin."""
STATES = ("network", "optimizer", "lr_scheduler", "trainer")


class Outcome(NamedTuple):
    """How a command ended: negative codes are signals, as in ``subprocess``."""

    code: int
    text: str

    def ends_with(self, *codes: int) -> "Outcome":
        assert self.code in codes, self.text
        return self

    @property
    def error(self) -> str:
        """The one line of a user's error."""
        lines = [line for line in self.text.splitlines() if line.startswith("error: ")]
        assert self.code == 1, self.text
        assert "Traceback" not in self.text, self.text
        assert len(lines) == 1, self.text
        return lines[0].removeprefix("error: ")


class Started(NamedTuple):
    """A command that runs."""

    process: BaseProcess
    output: Path

    def end(self) -> Outcome:
        """Wait for its end."""
        self.process.join(LIMIT_SECONDS)
        text = self.output.read_text() if self.output.exists() else ""
        assert self.process.exitcode is not None, f"still runs:\n{text}"
        return Outcome(self.process.exitcode, text)

    def reach(self, gate: Gate) -> None:
        """Wait until it stands at a gate, which it may end without."""
        watch = threading.Thread(target=self._give_up_when_ended, args=(gate,), daemon=True)
        watch.start()
        assert gate.reached.wait(LIMIT_SECONDS), self.output.read_text()
        assert self.process.is_alive(), self.output.read_text()

    def _give_up_when_ended(self, gate: Gate) -> None:
        multiprocessing.connection.wait([self.process.sentinel], LIMIT_SECONDS)
        gate.reached.set()

    def kill(self) -> Outcome:
        self.process.kill()
        return self.end()

    def descendants(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)


class Commands:
    """Starts ``unet-school`` commands in forked processes."""

    def __init__(self, context: ForkServerContext, root: Path) -> None:
        self.context, self.root = context, root
        self.started: list[Started] = []

    def gate(self) -> Gate:
        return Gate(self.context.Event(), self.context.Event())

    def start(
        self,
        *arguments: Any,
        faults: Sequence[Fault] = (),
        gates: dict[str, Gate] | None = None,
        target: Any = command,
        **environment: str,
    ) -> Started:
        output = self.root / f"output_{len(self.started)}.txt"
        words = [str(argument) for argument in arguments]
        process = self.context.Process(
            target=target, args=(words, str(output), tuple(faults), gates, environment)
        )
        process.start()
        self.started.append(Started(process, output))
        return self.started[-1]

    def kill_all(self) -> None:
        for one in self.started:
            if one.process.is_alive():
                for child in one.descendants():
                    child.kill()
                one.process.kill()
                one.process.join(LIMIT_SECONDS)


class Site:
    """Folders of one cohort's trainings."""

    def __init__(self, root: Path, data: Path, bundle: Path, commands: Commands) -> None:
        self.root, self.data, self.bundle, self.commands = root, data, bundle, commands
        self.models, self.tracking, self.name = root / "models", root / "mlruns", NAME
        self.uri = f"sqlite:///{self.tracking / 'mlflow.db'}"

    @property
    def folder(self) -> Path:
        return self.models / self.name

    @property
    def state(self) -> Path:
        return self.folder / "last.pt"

    def begin(self, *settings: str, **more: Any) -> Started:
        """Start a training."""
        return self.commands.start(
            "train", self.bundle, "--data", self.data, "--tracking", self.tracking, "--set",
            *SETTINGS, f"models_dir={self.models}", f"run_name={self.name}", *settings, **more,
        )  # fmt: skip

    def train(self, *settings: str, **more: Any) -> Outcome:
        """Train to the end."""
        return self.begin(*settings, **more).end()

    def resume(self, *arguments: str, run: Any = None, **more: Any) -> Outcome:
        """Go on with the training, by nothing but its folder."""
        words = ("train", self.bundle, "--resume", run or self.folder, *arguments)
        return self.commands.start(*words, **more).end()

    def client(self) -> MlflowClient:
        return MlflowClient(self.uri)

    def runs(self) -> list[Run]:
        client = self.client()
        experiments = [one.experiment_id for one in client.search_experiments()]
        return list(client.search_runs(experiments, order_by=["attributes.start_time"]))

    def curves(self, run: Run) -> dict[str, list[tuple[int, float]]]:
        client, id = self.client(), run.info.run_id
        return {
            name: sorted((p.step, p.value) for p in client.get_metric_history(id, name))
            for name in run.data.metrics
            if name != "minutes" and not name.startswith("system/")  # what a clock says
        }

    def artifacts(self, run: Run) -> set[str]:
        return {file.path for file in self.client().list_artifacts(run.info.run_id)}

    def lines(self) -> list[dict[str, Any]]:
        """What stands in ``metrics.jsonl``."""
        return [json.loads(line) for line in (self.folder / "metrics.jsonl").open()]


def tensors(path: Path) -> Any:
    return torch.load(path, map_location="cpu", weights_only=True)


def differences(a: Any, b: Any, path: str = "") -> list[str]:
    """Return where two states differ: tensors by every bit, all else by value."""
    if isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor):
        return [] if torch.equal(a, b) else [path]
    if isinstance(a, dict) and isinstance(b, dict):
        if a.keys() != b.keys():
            return [f"{path}: {sorted(map(str, a.keys() ^ b.keys()))}"]
        return [d for key in a for d in differences(a[key], b[key], f"{path}/{key}")]
    if isinstance(a, list | tuple) and isinstance(b, list | tuple) and len(a) == len(b):
        return [
            d for i, (x, y) in enumerate(zip(a, b, strict=True))
            for d in differences(x, y, f"{path}/{i}")
        ]  # fmt: skip
    return [] if a == b else [f"{path}: {a!r}, {b!r}"]


def assert_trained_alike(site: Site, whole: Site) -> None:
    """Network, optimiser, scheduler and best model are, bit for bit, those of another training."""
    one, other = tensors(site.state), tensors(whole.state)
    assert not differences(*({k: s[k] for k in STATES} for s in (one, other)))
    for where in ("models", "folder"):
        best = (tensors(getattr(s, where) / "model.pt") for s in (site, whole))
        assert not differences(*best)
    records = [json.loads((s.models / "model.json").read_text()) for s in (site, whole)]
    for key in ("epoch", "key_metric_value", "trained_on", "chosen_on", "sha256"):
        assert records[0][key] == records[1][key], key


def assert_recorded_once(site: Site, whole: Site) -> Run:
    """One finished MLflow run, every epoch in it once, and the files of an uninterrupted one."""
    (run,) = [run for run in site.runs() if run.info.run_name == site.name]
    (expected,) = [run for run in whole.runs() if run.info.run_name == whole.name]
    assert run.info.status == "FINISHED"
    assert site.curves(run) == whole.curves(expected)
    assert site.artifacts(run) == whole.artifacts(expected)
    assert json.loads((site.models / "model.json").read_text())["mlflow_run_id"] == run.info.run_id
    return run


def assert_nothing_left_over(site: Site) -> None:
    """No temporary file, no lock that is held, and the mark of a training that is done."""
    names = {path.name for path in site.folder.iterdir()}
    assert "finished.json" in names
    assert not [name for name in names if name.startswith(".")]


def assert_all_kept(site: Site, whole: Site) -> None:
    """All three."""
    assert_trained_alike(site, whole)
    assert_recorded_once(site, whole)
    assert_nothing_left_over(site)
