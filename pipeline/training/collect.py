"""Running an evaluator and keeping what it says of each image."""

from pathlib import Path
from typing import Any

import torch
from ignite.engine import Engine, Events
from monai.engines import Evaluator
from monai.utils import convert_to_tensor

from pipeline.evaluation.cases import Case

CELLS = "instances"
"""The key under which an entry holds the numbers of its true cells, where they are told apart."""


def collect_cases(evaluator: Evaluator) -> list[Case]:
    """Run an evaluator over its data and return one case for each image."""
    cases: list[Case] = []

    def add(engine: Engine) -> None:
        cases.extend(map(_case, engine.state.output, engine.state.batch))

    with evaluator.add_event_handler(Events.ITERATION_COMPLETED, add):
        evaluator.run()
    return cases


def _case(output: dict[str, Any], entry: dict[str, Any]) -> Case:
    name = Path(output["image"].meta["filename_or_obj"]).name
    image, logits, truth = (_plain(output[key]) for key in ("image", "pred", "label"))
    cells = entry.get(CELLS)  # a path still, where the config does not load them
    cells = _plain(cells)[0].long() if isinstance(cells, torch.Tensor) else None
    return Case(name, image[0], logits.float().sigmoid(), truth, cells)


def _plain(image: Any) -> torch.Tensor:
    """On the CPU and without meta data."""
    plain: torch.Tensor = convert_to_tensor(image, track_meta=False).cpu()
    return plain
