"""The head of a model card: YAML that the Hugging Face Hub reads."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from pipeline.sharing.licence import WeightsLicence, weights_licences

TASK = "image-segmentation"
"""Identifier of the task on the Hub."""


def front_matter(metadata: Mapping[str, Any], evaluation: Mapping[str, Any], licence: str) -> str:
    """Write the head of a card, without the lines of dashes around it.

    A licence with an SPDX identifier is named by it. Of another one the Hub wants a name and, where
    there is one, a page; it takes no path but LICENSE, which is that of the code.

    Args:
        metadata: the bundle's metadata.
        evaluation: the result of :func:`pipeline.sharing.evaluation.shared_evaluation`.
        licence: the text on the data's licence.
    """
    licences = weights_licences(licence)
    scores = {
        name: row["mean"]
        for name, row in evaluation["test"].items()
        if row["mean"] is not None and math.isfinite(row["mean"])
    }
    public = [_slug(own.title) for own in licences if own.cohort]
    head = {
        **_licence(licences),
        "library_name": "monai",
        "pipeline_tag": TASK,
        "tags": ["monai", "medical", *_modalities(metadata)],
        **({"datasets": list(dict.fromkeys(public))} if public else {}),
        "metrics": list(scores),
        "model-index": [
            {"name": metadata["name"], "results": [_result(metadata, evaluation, licences, scores)]}
        ],
    }
    return yaml.safe_dump(head, sort_keys=False, width=math.inf)


def _licence(licences: Sequence[WeightsLicence]) -> dict[str, str]:
    first, *others = licences
    if first.spdx and not others:
        return {"license": first.spdx.lower()}
    name = "-and-".join(_slug(own.title) for own in licences)
    link = {"license_link": first.page} if first.page and not others else {}
    return {"license": "other", "license_name": name, **link}


def _result(
    metadata: Mapping[str, Any],
    evaluation: Mapping[str, Any],
    licences: Sequence[WeightsLicence],
    scores: Mapping[str, float],
) -> dict[str, Any]:
    """Return the scores on the test split, which is of the cohort that trained last."""
    cohort = licences[0]
    kind = _slug(cohort.title) if cohort.cohort else "private"
    dataset = {"type": kind, "name": cohort.title}
    return {
        "task": {"type": TASK, "name": metadata["task"]},
        "dataset": {**dataset, "split": evaluation["split"]},
        "metrics": [
            {"type": name, "name": f"mean {name} over images", "value": value, "verified": False}
            for name, value in scores.items()
        ],
    }


def _modalities(metadata: Mapping[str, Any]) -> list[str]:
    inputs = metadata["network_data_format"]["inputs"].values()
    return sorted({_slug(channel["modality"]) for channel in inputs if channel.get("modality")})


def _slug(text: str) -> str:
    """Return a text as an identifier.

    Example:
        >>> _slug("images of the sender's own")
        'images-of-the-sender-s-own'
    """
    return re.sub(r"[^a-z0-9.]+", "-", text.lower()).strip("-.") or "other"
