"""The model's component of a bill of materials: weights, licence and model card."""

from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.evaluation.groups import SIGNIFICANT
from pipeline.sharing.card import group_name, interval_unit
from pipeline.sharing.licence import LICENCE, weights_licences
from pipeline.sharing.unpack import SAFE_WEIGHTS

MODEL, CODE, DATA = "model", "code", "training-data"
"""References of the bill's own components."""
NOT_CLINICAL = "Not for clinical use: the model is not a medical device"
USERS = "Researchers, and hospitals that evaluate it on their own patients first"
OTHER_IMAGES = (
    "Images that differ from the training images (device, window, size, disease) may be segmented "
    "worse"
)


def model_component(
    metadata: Mapping[str, Any],
    evaluation: Mapping[str, Any],
    config: Mapping[str, Any],
    licence: str,
    hashes: Mapping[str, str],
) -> dict[str, Any]:
    """Return the component of the model.

    Args:
        metadata: the bundle's metadata.
        evaluation: the result of :func:`pipeline.sharing.evaluation.shared_evaluation`.
        config: the config of the training, whole.
        licence: the text on the data's licence.
        hashes: SHA-256 of each file of the package, by path.
    """
    files = [path for path in sorted(hashes) if path.startswith("models/")]
    return {
        "type": "machine-learning-model",
        "bom-ref": MODEL,
        "name": evaluation["model"]["bundle"],
        "version": metadata["version"],
        "description": metadata["description"],
        "authors": [{"name": metadata["authors"]}] if metadata["authors"] else [],
        "copyright": metadata["copyright"],
        "hashes": _sha256(hashes[SAFE_WEIGHTS]),
        "licenses": licences_of(licence),
        "externalReferences": [
            {"type": "model-card", "url": "docs/README.md"},
            {"type": "license", "url": LICENCE},
        ],
        "components": [
            {"type": "file", "bom-ref": path, "name": path, "hashes": _sha256(hashes[path])}
            for path in files
        ],
        "properties": properties(values_sha256=evaluation["model"]["sha256"]),
        "modelCard": {
            "modelParameters": _parameters(metadata, config),
            "quantitativeAnalysis": {"performanceMetrics": list(_metrics(evaluation))},
            "considerations": _considerations(metadata, evaluation),
            "properties": properties(confidence_interval=f"95 % over {interval_unit(evaluation)}"),
        },
    }


def licences_of(licence: str) -> list[dict[str, Any]]:
    """Return the licences of weights or images: SPDX identifiers, or names with the whole text.

    The text stands once, under the first of the names.

    Args:
        licence: the text on the data's licence.

    Example:
        >>> licences_of("Weights: trained on 2018 Data Science Bowl, CC0: free.")
        [{'license': {'id': 'CC0-1.0'}}]
    """
    text = {"text": {"contentType": "text/plain", "content": licence}}
    licences: list[dict[str, Any]] = []
    for own in weights_licences(licence):
        if own.spdx:
            licences.append({"license": {"id": own.spdx}})
        else:
            licences.append({"license": {"name": own.images, **text}})
            text = {}
    return licences


def properties(**values: str) -> list[dict[str, str]]:
    """Return what CycloneDX has no field for, under the project's own names.

    Example:
        >>> properties(build="2.13.0+cpu")
        [{'name': 'unet-school:build', 'value': '2.13.0+cpu'}]
    """
    return [{"name": f"unet-school:{name}", "value": value} for name, value in values.items()]


def _parameters(metadata: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    formats = metadata["network_data_format"]
    return {
        "approach": {"type": "supervised"},
        "task": metadata["task"],
        "architectureFamily": "convolutional neural network",
        "modelArchitecture": config["network_def"]["_target_"].split(".")[-1],
        "datasets": [{"ref": DATA}],
        "inputs": [{"format": _format(*item)} for item in formats["inputs"].items()],
        "outputs": [{"format": _format(*item)} for item in formats["outputs"].items()],
    }


def _format(name: str, tensor: Mapping[str, Any]) -> str:
    """Say what a network takes or gives.

    Example:
        >>> tensor = {"type": "image", "num_channels": 1, "spatial_shape": [64, 64]}
        >>> _format("pred", tensor | {"dtype": "float32"})
        'pred: image, 1 x 64 x 64, float32'
    """
    sides = " x ".join(map(str, (tensor["num_channels"], *tensor["spatial_shape"])))
    words = (tensor["type"], tensor.get("modality"), sides, tensor["dtype"])
    return f"{name}: {', '.join(word for word in words if word)}"


def _metrics(evaluation: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the scores on the test split: of all images, then of each group."""
    for name, row in evaluation["test"].items():
        yield {"type": name, **_score(row)}
    for group in (*evaluation["groups"], *evaluation["age_bins"]):
        yield {
            "type": evaluation["group_metric"],
            "slice": group_name(group),
            **_score(group),
        }


def _score(row: Mapping[str, Any]) -> dict[str, Any]:
    bounds = {"lowerBound": row["low"], "upperBound": row["high"]}
    interval = {name: str(bound) for name, bound in bounds.items() if bound is not None}
    return {"value": str(row["mean"]), **({"confidenceInterval": interval} if interval else {})}


def _considerations(metadata: Mapping[str, Any], evaluation: Mapping[str, Any]) -> dict[str, Any]:
    seed = evaluation["evaluation"]["seed"]
    outcomes = [f"On test images, {name}: {n}" for name, n in evaluation["outcomes"].items()]
    unequal = [gap for gap in evaluation["gaps"] if gap["p"] < SIGNIFICANT]
    return {
        "users": [USERS],
        "useCases": [metadata["intended_use"]],
        "technicalLimitations": [
            OTHER_IMAGES,
            f"Scores of one training, with seed {seed}; another seed may give others",
            *outcomes,
        ],
        "ethicalConsiderations": [
            {
                "name": NOT_CLINICAL,
                "mitigationStrategy": "Evaluate it on your own patients; a person checks each mask",
            },
            {
                "name": "Groups of patients may be segmented differently well",
                "mitigationStrategy": "Compare the groups' scores; groups left out because they "
                f"are too small: {evaluation['groups_left_out']}",
            },
        ],
        "fairnessAssessments": [_unequal(gap, evaluation["group_metric"]) for gap in unequal],
    }


def _unequal(gap: Mapping[str, Any], metric: str) -> dict[str, str]:
    """Return the group that is segmented worse than another one, and by how much."""
    first, second, difference = gap["first"], gap["second"], gap["difference"]
    worse, better = (first, second) if difference < 0 else (second, first)
    return {
        "groupAtRisk": f"{gap['column']} {worse}",
        "harms": f"{metric} lower by {abs(difference):.4f} than of {gap['column']} {better}",
    }


def _sha256(digest: str) -> list[dict[str, str]]:
    return [{"alg": "SHA-256", "content": digest}]
