"""The papers' further measures, which an evaluation lacks: validation, heads, epochs, 8 bits."""

from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import label as connected_components
from skimage.io import imread
from skimage.transform import resize

from pipeline.data.datalist import read_datalist
from pipeline.evaluation.cases import Case
from pipeline.evaluation.predictions import SplitPredictions
from pipeline.evaluation.selection import FLOORS, curve_of
from pipeline.evaluation.summarise import mean_training_mask
from pipeline.files import write_json
from pipeline.inference import TrainedModel, WatershedInstances
from pipeline.metrics.isbi import THRESHOLDS, IsbiCurve
from pipeline.metrics.overlap import METRICS, SOFT, count
from pipeline.metrics.rand import rand_scores
from pipeline.networks import UNetPlusPlus
from pipeline.papers.epochs import (
    HALF_THRESHOLD,
    by_epoch,
    epoch_scores,
    scores_at,
    training_curves,
)
from pipeline.tracking.run import Run

MEASURES = "measures.json"


def measure(
    run: Run,
    model: TrainedModel,
    predictions: SplitPredictions,
    epochs: str,
    isbi: bool = False,
    metric: str = "accuracy",
    with_training: bool = False,
    with_curves: bool = False,
) -> None:
    """Take the papers' further measures of a trained network, and write ``measures.json``.

    For each image of a split:

    - IoU, Dice and accuracy at the threshold 1/2, soft IoU and soft Dice;
    - the accuracy of the answer "foreground everywhere", which is also its IoU;
    - IoU and Dice of the mean training mask, if all images have one size;
    - the share of pixels whose 8-bit values equal the label's (:func:`exact_8_bit`);
    - on test, for each head of a UNet++, the accuracy at the threshold that is best on validation;
    - on test, the scores of the ISBI 2012 challenge, each at its best threshold on validation.

    For each epoch: the metric on validation and test, if the weights of the epoch were kept, and
    the metric and loss that the training recorded. Of the last epoch and of the epoch whose weights
    were kept: the loss and all scores that the training recorded.

    Args:
        run: run of the evaluation; the file is written to its folder.
        model: trained model to measure.
        predictions: predictions of the model for every split.
        epochs: folder of the weights of each epoch; it may be absent.
        isbi: whether to add the challenge's scores.
        metric: metric of the curves over epochs: ``accuracy``, ``iou`` or ``dice``.
        with_training: whether to measure the training images, too.
        with_curves: whether to add what the training recorded for each epoch.
    """
    splits = [*(["training"] if with_training else []), "validation", "test"]
    cases = {split: predictions.cases(split) for split in splits}
    rows = {split: _rows(of_split, run.dataset_dir, split) for split, of_split in cases.items()}
    further = _head_accuracies(predictions)
    if isbi:
        further |= challenge_scores(cases["validation"], cases["test"])
    for name, values in further.items():
        for row, value in zip(rows["test"], values, strict=True):
            row[name] = value
    content = by_epoch(predictions, Path(epochs), metric)
    if with_curves:
        of_epochs = content.get("curves", {})
        history = run.history(model.record.mlflow_run_id)
        recorded = training_curves(history, metric, of_epochs.get("epoch", ()))
        content["curves"] = {**recorded, **of_epochs}
        recorded_scores = epoch_scores(history, model.record.epoch)
        content["scalars"] = {**recorded_scores, **content.get("scalars", {})}
    write_json(run.folder / MEASURES, {"rows": rows, **content})


def exact_8_bit(probability: NDArray[np.floating], label: NDArray[np.bool_]) -> dict[str, float]:
    """Return the share of pixels whose probability, as a value of 0 to 255, equals the label's.

    The label's values are 0 and 255. Liu, Shi and Chen, Table I: their program compared grey values
    before any threshold. If the label has another size, they resize the prediction, or the label.
    They do not say how; here the prediction is resized linearly and the label by nearest neighbour.

    Args:
        probability: ``(H, W)``.
        label: label of the file, of the same or another size.

    Example:
        >>> exact_8_bit(np.array([[0.0, 0.999, 0.9]]), np.array([[False, True, True]]))
        {'exact_8_bit': 0.6666666666666666}
    """
    predicted, true = _as_8_bit(probability), _as_8_bit(label)
    if predicted.shape == true.shape:
        return {"exact_8_bit": float((predicted == true).mean())}
    unchanged = {"preserve_range": True, "anti_aliasing": False, "mode": "edge"}
    resized_prediction = resize(predicted, true.shape, order=1, **unchanged)
    resized_label = resize(true, predicted.shape, order=0, **unchanged)
    return {
        "exact_8_bit_prediction_resized": float((resized_prediction.round() == true).mean()),
        "exact_8_bit_label_resized": float((predicted == resized_label).mean()),
    }


def challenge_scores(validation: Sequence[Case], test: Sequence[Case]) -> dict[str, list[float]]:
    """Score each test slice by the challenge's measures, ``NAME_by_validation``.

    Segments are the connected components of the mask at a threshold. For each measure it is the one
    of eleven thresholds that is best on validation; the challenge itself takes the best on test.
    The Rand error is also measured for a watershed, whose components at a threshold grow down to a
    floor, both best on validation. It separates cells without making them smaller.
    """
    curves = IsbiCurve(), IsbiCurve()
    for curve, cases in zip(curves, (validation, test), strict=True):
        for case in cases:
            curve.add(case.probability[0].numpy(), case.truth[0].numpy() != 0)
    chosen = {
        name: int(np.flatnonzero(best["threshold"] == THRESHOLDS)[0])
        for name, best in curves[0].best().items()
    }
    scores = {
        f"{name}_by_validation": [row[index][name] for row in curves[1].rows]
        for name, index in chosen.items()
    }
    slices = _with_segments(validation)
    floor, threshold = min(
        product(FLOORS, THRESHOLDS[1:]),
        key=lambda setting: np.mean(_watershed_errors(slices, *setting)),
    )
    errors = _watershed_errors(_with_segments(test), floor, threshold)
    return {**scores, "rand_error_watershed_by_validation": errors}


def _with_segments(cases: Sequence[Case]) -> list[tuple[NDArray[Any], NDArray[Any]]]:
    """Return the probability of each slice, and its true segments."""
    return [
        (case.probability[0].numpy(), connected_components(case.truth[0].numpy() != 0)[0])
        for case in cases
    ]


def _watershed_errors(
    slices: Sequence[tuple[NDArray[Any], NDArray[Any]]], floor: float, threshold: float
) -> list[float]:
    """Return the Rand error of each slice with the instances of a watershed."""
    watershed = WatershedInstances(floor)
    return [
        1 - rand_scores(truth, watershed(probability, threshold)).v_rand
        for probability, truth in slices
    ]


def _as_8_bit(values: NDArray[Any]) -> NDArray[np.uint8]:
    return (values * 255.0).round().astype(np.uint8)


def _rows(cases: Sequence[Case], dataset_dir: str, split: str) -> list[dict[str, Any]]:
    """Score each image, and add its patient if the datalist has one."""
    entries = {Path(entry.image).name: entry for entry in read_datalist(dataset_dir).entries(split)}
    mean = mean_training_mask(cases, dataset_dir)
    rows = []
    for case in cases:
        entry = entries[case.name]
        label = imread(entry.label) != 0  # of the file, before the bundle's preprocessing
        row = {"image": case.name, "patient": entry.columns.get("patient"), **_scores(case, label)}
        if mean is not None:
            counts = count(mean, case.truth[0])
            row |= {f"mean_mask_{name}": METRICS[name](counts) for name in ("iou", "dice")}
        rows.append(row)
    return rows


def _scores(case: Case, label: NDArray[np.bool_]) -> dict[str, float]:
    counts = count(case.probability >= HALF_THRESHOLD, case.truth)
    return {
        **{f"{name}_at_half": metric(counts) for name, metric in METRICS.items()},
        **{name: metric(case.probability, case.truth) for name, metric in SOFT.items()},
        "foreground_everywhere": float((case.truth != 0).float().mean()),
        **exact_8_bit(case.probability[0].numpy(), label),
    }


def _head_accuracies(predictions: SplitPredictions) -> dict[str, list[float]]:
    """Return the test accuracies of each head of a UNet++ with deep supervision."""
    network = predictions.network
    if not isinstance(network, UNetPlusPlus) or not network.deep_supervision:
        return {}
    scores = {}
    evaluation_head = network.evaluation_head
    try:
        for head in range(1, network.depth + 1):
            network.evaluation_head = head
            threshold = curve_of(predictions.cases("validation"), "accuracy", None).best("accuracy")
            test = predictions.cases("test")
            scores[f"accuracy_head_{head}"] = scores_at(test, threshold, "accuracy")
    finally:
        network.evaluation_head = evaluation_head
    return scores
