"""How long a training of paper scale would take, from the costs of its steps."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from pipeline.progress import count

STEPS_FILE = "paper_scale_steps.json"
"""File of the costs of a step, which ``benchmarks/paper_scale.py`` writes beside the records."""
ANCHOR = "unet_school_isbi/unet"
"""The experiment of which a paper says how long its card took."""
ANCHOR_HOURS = 5.0
"""U-Net School, section IV.A: 10 epochs of 2000 steps in 5 hours on a GTX 1060."""


class StepCosts(NamedTuple):
    """What the steps of an experiment cost at paper scale.

    Attributes:
        steps: steps of the training.
        gflop_per_step: arithmetic of a step, in 1e9 operations.
        cpu_seconds_per_step: seconds of a step on one thread of a CPU; None: not timed yet.
    """

    steps: int
    gflop_per_step: float
    cpu_seconds_per_step: float | None = None


def read_step_costs(results: Path) -> dict[str, StepCosts]:
    """Return the costs of each ``PAPER/EXPERIMENT``; empty: the benchmark was not run."""
    file = results / STEPS_FILE
    if not file.is_file():
        return {}
    rows = json.loads(file.read_text("utf-8"))["experiments"]
    return {
        name: StepCosts(**{field: row.get(field) for field in StepCosts._fields})
        for name, row in rows.items()
    }


def gpu_hours(costs: Mapping[str, StepCosts], name: str) -> float | None:
    """Estimate the hours of a training on the card of :data:`ANCHOR_HOURS`; None: not known.

    Example:
        >>> costs = {ANCHOR: StepCosts(20000, 2000.0, 60.0), "a/b": StepCosts(1000, 4000.0, 99.0)}
        >>> gpu_hours(costs, "a/b")
        0.5
    """
    if name not in costs or ANCHOR not in costs:
        return None
    return ANCHOR_HOURS * _gflop(costs[name]) / _gflop(costs[ANCHOR])


def cpu_hours(costs: Mapping[str, StepCosts], name: str) -> float | None:
    """Return the hours of the steps of a training on one thread of a CPU; None: not timed.

    Example:
        >>> cpu_hours({"a/b": StepCosts(1000, 4000.0, 36.0)}, "a/b")
        10.0
    """
    seconds = costs[name].cpu_seconds_per_step if name in costs else None
    return None if seconds is None else costs[name].steps * seconds / 3600


def hours_text(hours: float) -> str:
    """Return hours as a text: below two hours in minutes, from two days on in days.

    Example:
        >>> hours_text(0.2), hours_text(7.69), hours_text(90.4)
        ('12 minutes', '7.7 hours', '4 days')
    """
    if hours >= 48:
        return count(round(hours / 24), "day")
    return f"{hours:.2g} hours" if hours >= 2 else count(max(1, round(hours * 60)), "minute")


def gflop_per_second(costs: Mapping[str, StepCosts]) -> float:
    """Return the rate of the card of :data:`ANCHOR_HOURS`."""
    return _gflop(costs[ANCHOR]) / (ANCHOR_HOURS * 3600)


def _gflop(costs: StepCosts) -> float:
    return costs.steps * costs.gflop_per_step
