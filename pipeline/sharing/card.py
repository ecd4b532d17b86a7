"""The model card: what a receiver reads first, written from the evaluation alone."""

from collections.abc import Mapping
from importlib.resources import files
from typing import Any

import jinja2

NO_COLUMN = {"mean", "low", "high", "n", "patients", "enough"}


def model_card(
    metadata: Mapping[str, Any],
    evaluation: Mapping[str, Any],
    fingerprint: Mapping[str, Any],
    licence: str,
    exports: Mapping[str, Any],
) -> str:
    """Write the card as Markdown.

    Args:
        metadata: of the bundle.
        evaluation: as :func:`pipeline.sharing.evaluation.shared_evaluation` gives it.
        fingerprint: of the training cohort, by :func:`pipeline.data.drift.told_cohort`.
        licence: of the data, in words.
        exports: largest difference of each exported format from the network; empty: none was made.
    """
    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["number"] = _number
    text = files("pipeline.sharing").joinpath("card.md.jinja").read_text("utf-8")
    helpers = {"told": _told, "count_of": _count_of}
    page = environment.from_string(text).render(
        metadata=metadata,
        evaluation=evaluation,
        fingerprint=fingerprint,
        licence=licence.strip(),
        exports=exports,
        **helpers,
    )
    return page.rstrip("\n") + "\n"


def _number(value: Any) -> str:
    if value is None or isinstance(value, jinja2.Undefined):
        return "–"
    return f"{value:.4f}" if abs(value) <= 1 else f"{value:.4g}"


def _told(group: Mapping[str, Any]) -> str:
    values = [f"{name} {value}" for name, value in group.items() if name not in NO_COLUMN]
    return ", ".join(values) or "all"


def _count_of(evaluation: Mapping[str, Any]) -> int:
    return max(int(row["n"]) for row in evaluation["test"].values())
