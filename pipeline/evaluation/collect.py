"""Running an evaluator and keeping what it says of each image."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Engine, Events
from monai.engines import Evaluator
from monai.utils import convert_to_tensor

from pipeline.evaluation.cases import Case

CELLS = "instances"
"""The key under which an entry holds the numbers of its true cells, where they are told apart."""


def collect_cases(
    evaluator: Evaluator, columns: Mapping[str, Mapping[str, Any]] | None = None
) -> list[Case]:
    """Run an evaluator over its data and return one case for each image.

    Args:
        evaluator: its output holds image, logits and label.
        columns: what is known of each case, by the path of its image.

    Raises:
        ValueError: no image has any foreground; every score would be of empty masks.
    """
    cases: list[Case] = []

    def add(engine: Engine) -> None:
        for output, entry in zip(engine.state.output, engine.state.batch, strict=True):
            case = _case(output, entry)
            cases.append(case._replace(columns=(columns or {}).get(case.path, {})))

    with evaluator.add_event_handler(Events.ITERATION_COMPLETED, add):
        evaluator.run()
    if not any(bool(case.truth.any()) for case in cases):
        raise ValueError(
            f"{cases[0].name} and {len(cases) - 1} more: no foreground in any mask, so there is "
            "nothing to score; are these the right masks?"
        )
    return cases


def _case(output: dict[str, Any], entry: dict[str, Any]) -> Case:
    path = output["image"].meta["filename_or_obj"]
    image, logits, truth = (_plain(output[key]) for key in ("image", "pred", "label"))
    cells = entry.get(CELLS)  # a path still, where the config does not load them
    cells = _plain(cells)[0].long() if isinstance(cells, torch.Tensor) else None
    pixels = output["image"].pixdim.tolist() if image.ndim == 4 else None
    spacing = tuple(map(float, pixels)) if pixels else None  # a flat image's format tells none
    probability = logits.float().sigmoid()
    return Case(Path(path).name, image[0], probability, truth, cells, spacing, path)


def _plain(image: Any) -> torch.Tensor:
    """On the CPU and without meta data."""
    plain: torch.Tensor = convert_to_tensor(image, track_meta=False).cpu()
    return plain
