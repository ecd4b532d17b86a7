"""What the papers measure and an evaluation does not: validation scores, heads, epochs, 8 bits."""

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
from pipeline.files import write_json
from pipeline.evaluation.cases import Case
from pipeline.metrics.isbi import THRESHOLDS, IsbiCurve
from pipeline.metrics.overlap import METRICS, SOFT, count
from pipeline.metrics.rand import agreement
from pipeline.inference import TrainedModel, WatershedInstances
from pipeline.networks import UNetPlusPlus
from pipeline.papers.epochs import HALF, by_epoch, scores_at, training_curves
from pipeline.evaluation.selection import FLOORS, curve_of
from pipeline.evaluation.predictions import SplitPredictions
from pipeline.evaluation.summarise import mean_training_mask
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
    """Measure a trained network in the papers' further ways, and write ``measures.json``.

    For each image of a split: IoU, Dice and accuracy at 1/2, soft IoU and soft Dice, the accuracy
    of the answer "foreground everywhere" (which is its IoU, too), IoU and Dice of the mean training
    mask where all images are of one size, the share of pixels whose 8-bit values are exactly the
    label's (:func:`exact_8_bit`), and for each head of a UNet++ the accuracy at the threshold that
    is best on validation; the scores of the ISBI 2012 challenge, each at the threshold that is best
    for it on validation. For each epoch the metric on both splits where its weights were kept, and
    what the training recorded of it.

    Args:
        run: the evaluation; the file is written to its folder.
        model: that is measured.
        predictions: of the model, for every split.
        epochs: folder of the weights of each epoch; it may be absent.
        isbi: whether the challenge's scores are wanted.
        metric: that is followed over epochs: ``accuracy``, ``iou`` or ``dice``.
        with_training: whether the training images are measured, too.
        with_curves: whether what the training recorded of each epoch is wanted.
    """
    splits = [*(["training"] if with_training else []), "validation", "test"]
    cases = {split: predictions.cases(split) for split in splits}
    rows = {split: _rows(some, run.dataset_dir, split) for split, some in cases.items()}
    further = _heads(predictions)
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
        if of_epochs:
            last = {f"training_{metric}_of_the_last_epoch": recorded[f"train_{metric}"][-1]}
            content["scalars"] = {**content["scalars"], **last}
    write_json(run.folder / MEASURES, {"rows": rows, **content})


def exact_8_bit(probability: NDArray[np.floating], label: NDArray[np.bool_]) -> dict[str, float]:
    """Share of pixels whose probability, as a value of 0 to 255, is the label's 0 or 255.

    Liu, Shi and Chen, Table I: their program compared grey values before any threshold. Where the
    label is of another size they resize the prediction, or the label; here linearly and to the
    nearest pixel. (They do not say how.)

    Args:
        probability: ``(H, W)``.
        label: of the file, of the same or another size.

    Example:
        >>> exact_8_bit(np.array([[0.0, 0.999, 0.9]]), np.array([[False, True, True]]))
        {'exact_8_bit': 0.6666666666666666}
    """
    grey, wanted = _grey(probability), _grey(label)
    if grey.shape == wanted.shape:
        return {"exact_8_bit": float((grey == wanted).mean())}
    as_is = {"preserve_range": True, "anti_aliasing": False, "mode": "edge"}
    larger = resize(grey, wanted.shape, order=1, **as_is)
    smaller = resize(wanted, grey.shape, order=0, **as_is)
    return {
        "exact_8_bit_prediction_resized": float((larger.round() == wanted).mean()),
        "exact_8_bit_label_resized": float((grey == smaller).mean()),
    }


def challenge_scores(validation: Sequence[Case], test: Sequence[Case]) -> dict[str, list[float]]:
    """Score each test slice by the challenge's measures, ``NAME_by_validation``.

    Segments are the components of the mask at a threshold, one of eleven, which is the best on
    validation for that measure; the challenge itself takes the best on test. The Rand error is told
    of a watershed, too: components at a threshold grow down to a floor, both best on validation, so
    that cells can be parted without making them smaller.
    """
    curves = IsbiCurve(), IsbiCurve()
    for curve, cases in zip(curves, (validation, test), strict=True):
        for case in cases:
            curve.add(case.probability[0].numpy(), case.truth[0].numpy() != 0)
    chosen = {
        name: int(np.flatnonzero(found["threshold"] == THRESHOLDS)[0])
        for name, found in curves[0].best().items()
    }
    scores = {
        f"{name}_by_validation": [row[index][name] for row in curves[1].rows]
        for name, index in chosen.items()
    }
    ways = list(product(FLOORS, THRESHOLDS[1:]))
    known, asked = _with_segments(validation), _with_segments(test)
    best = min(ways, key=lambda way: np.mean(_watershed_errors(known, *way)))
    return {**scores, "rand_error_watershed_by_validation": _watershed_errors(asked, *best)}


def _with_segments(cases: Sequence[Case]) -> list[tuple[NDArray[Any], NDArray[Any]]]:
    """The probability of each slice, and its true segments."""
    return [
        (case.probability[0].numpy(), connected_components(case.truth[0].numpy() != 0)[0])
        for case in cases
    ]


def _watershed_errors(
    slices: Sequence[tuple[NDArray[Any], NDArray[Any]]], floor: float, threshold: float
) -> list[float]:
    """The Rand error of each slice whose cells are found by a watershed."""
    find = WatershedInstances(floor)
    return [1 - agreement(truth, find(each, threshold)).v_rand for each, truth in slices]


def _grey(values: NDArray[Any]) -> NDArray[np.uint8]:
    return (values * 255.0).round().astype(np.uint8)


def _rows(cases: Sequence[Case], dataset_dir: str, split: str) -> list[dict[str, Any]]:
    """Score each image, and name its patient where that is known."""
    entries = {
        Path(entry["image"]).name: entry for entry in read_datalist(dataset_dir).entries(split)
    }
    mean = mean_training_mask(cases, dataset_dir)
    rows = []
    for case in cases:
        entry = entries[case.name]
        label = imread(entry["label"]) != 0  # of the file, before the bundle's preprocessing
        row = {"image": case.name, "patient": entry.get("patient"), **_scores(case, label)}
        if mean is not None:
            counts = count(mean, case.truth[0])
            row |= {f"mean_mask_{name}": METRICS[name](counts) for name in ("iou", "dice")}
        rows.append(row)
    return rows


def _scores(case: Case, label: NDArray[np.bool_]) -> dict[str, float]:
    counts = count(case.probability >= HALF, case.truth)
    return {
        **{f"{name}_at_half": metric(counts) for name, metric in METRICS.items()},
        **{name: metric(case.probability, case.truth) for name, metric in SOFT.items()},
        "foreground_everywhere": float((case.truth != 0).float().mean()),
        **exact_8_bit(case.probability[0].numpy(), label),
    }


def _heads(predictions: SplitPredictions) -> dict[str, list[float]]:
    network = predictions.network
    if not isinstance(network, UNetPlusPlus) or not network.deep_supervision:
        return {}
    scores = {}
    usual = network.evaluation_head
    try:
        for head in range(1, network.depth + 1):
            network.evaluation_head = head
            threshold = curve_of(predictions.cases("validation"), "accuracy", None).best("accuracy")
            test = predictions.cases("test")
            scores[f"accuracy_head_{head}"] = scores_at(test, threshold, "accuracy")
    finally:
        network.evaluation_head = usual
    return scores
