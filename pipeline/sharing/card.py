"""The model card: the first page that a receiver reads, written from the evaluation only."""

from collections.abc import Mapping
from importlib.resources import files
from typing import Any

import jinja2
from markupsafe import Markup

from pipeline.metrics.statistics import independent_unit
from pipeline.plain_text import markdown_text
from pipeline.sharing.front_matter import front_matter

STATISTIC_KEYS = {"mean", "low", "high", "n", "patients", "enough"}
"""Keys of a group that hold statistics, not the value of a column."""
MAX_VALUE_CHARACTERS = 2000
"""Length at which a description is cut."""
MAX_LICENCE_LINES = 200
"""Number of lines at which a licence is cut; ``docs/data_license.txt`` has all of it."""


def model_card(
    metadata: Mapping[str, Any],
    evaluation: Mapping[str, Any],
    fingerprint: Mapping[str, Any],
    licence: str,
    exports: Mapping[str, Any],
) -> str:
    """Write the card as Markdown, with a head for the Hugging Face Hub.

    Every value is text of one line, whatever its author wrote: it can add no heading, no table, no
    link and no HTML. A value that is made for another place, as JSON, is ``Markup`` and kept.

    Args:
        metadata: the bundle's metadata.
        evaluation: the result of :func:`pipeline.sharing.evaluation.shared_evaluation`.
        fingerprint: the training cohort, by :func:`pipeline.data.drift.describe_cohort`.
        licence: the text on the data's licence.
        exports: the largest difference of each exported format from the network; empty: none was
            exported.
    """
    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True, finalize=_as_text
    )
    environment.filters["number"] = _number
    text = files("pipeline.sharing").joinpath("card.md.jinja").read_text("utf-8")
    helpers = {"group_name": group_name, "image_count": _image_count, "patients_in": _patients_in}
    page = environment.from_string(
        text
    ).render(
        front_matter=Markup(front_matter(metadata, evaluation, licence)),  # YAML, not Markdown
        metadata=metadata,
        evaluation=evaluation,
        fingerprint=fingerprint,
        licence=licence.strip().splitlines()[:MAX_LICENCE_LINES],
        exports=exports,
        unit=interval_unit(evaluation),
        **helpers,
    )
    return page.rstrip("\n") + "\n"


def _as_text(value: Any) -> Any:
    return value if isinstance(value, Markup) else markdown_text(value, MAX_VALUE_CHARACTERS)


def _number(value: Any) -> str:
    if value is None or isinstance(value, jinja2.Undefined):
        return "–"
    return f"{value:.4f}" if abs(value) <= 1 else f"{value:.4g}"


def group_name(group: Mapping[str, Any]) -> str:
    """Return the values of the columns that make a group.

    Example:
        >>> group_name({"sex": "f", "mean": 0.9, "n": 12})
        'sex f'
    """
    values = [f"{name} {value}" for name, value in group.items() if name not in STATISTIC_KEYS]
    return ", ".join(values) or "all"


def interval_unit(evaluation: Mapping[str, Any]) -> str:
    """Return over what the intervals of an evaluation are."""
    first = next(iter(evaluation["test"].values()))
    return independent_unit(first["n"], first["patients"])


def _patients_in(fingerprint: Mapping[str, Any]) -> bool:
    """Return whether images of a cohort are known to be of one patient."""
    return independent_unit(fingerprint["images"], fingerprint["patients"]) == "patients"


def _image_count(evaluation: Mapping[str, Any]) -> int:
    return max(int(row["n"]) for row in evaluation["test"].values())
