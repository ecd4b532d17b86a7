"""Running an evaluator and keeping what it says of each image."""

from pathlib import Path
from typing import Any

from ignite.engine import Engine, Events
from monai.engines import Evaluator
from monai.utils import convert_to_tensor

from pipeline.evaluation.cases import Case


def collect_cases(evaluator: Evaluator) -> list[Case]:
    """Run an evaluator over its data and return one case for each image."""
    cases: list[Case] = []

    def add(engine: Engine) -> None:
        cases.extend(_case(item) for item in engine.state.output)

    with evaluator.add_event_handler(Events.ITERATION_COMPLETED, add):
        evaluator.run()
    return cases


def _case(item: dict[str, Any]) -> Case:
    name = Path(item["image"].meta["filename_or_obj"]).name
    image, logits, truth = (
        convert_to_tensor(item[key][0], track_meta=False) for key in ("image", "pred", "label")
    )
    return Case(name, image.cpu(), logits.float().sigmoid().cpu(), truth.cpu())
