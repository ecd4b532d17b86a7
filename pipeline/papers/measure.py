"""What the papers measure and an evaluation does not: validation scores, heads, epochs, 8 bits."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from monai.engines import Evaluator
from numpy.typing import NDArray
from skimage.io import imread
from skimage.transform import resize

from pipeline.data.datalist import read_datalist
from pipeline.data.files import write_json
from pipeline.evaluation.cases import Case
from pipeline.evaluation.isbi import THRESHOLDS, IsbiCurve
from pipeline.evaluation.overlap import METRICS, SOFT, count
from pipeline.networks import UNetPlusPlus
from pipeline.networks.weights import load_weights, read_checkpoint
from pipeline.training.choose import curve_of
from pipeline.training.collect import collect_cases
from pipeline.training.tracking import Tracking, training_run

MEASURES = "measures.json"
HALF = 0.5


def measure(
    validator: Evaluator,
    tester: Evaluator,
    dataset_dir: str,
    folder: str,
    epochs: str,
    isbi: bool = False,
    tracking: Tracking | None = None,
    model: str = "",
) -> None:
    """Measure a trained network in the papers' further ways, and write ``measures.json``.

    For each image of validation and test: IoU, Dice and accuracy at 1/2, soft IoU and soft Dice,
    the accuracy of the answer "foreground everywhere" (which is its IoU, too), the share of pixels
    whose 8-bit values are exactly the label's (:func:`exact_8_bit`), and for each head of a UNet++
    the accuracy at the threshold that is best on validation; the scores of the ISBI 2012 challenge,
    each at the threshold that is best for it on validation. For each epoch whose weights were kept
    the accuracy on both splits.

    Args:
        validator: over the validation split, with the network's weights.
        tester: over the test split, with the same network.
        dataset_dir: of the cohort.
        folder: where to write.
        epochs: folder of the weights of each epoch; it may be absent.
        isbi: whether the challenge's scores are wanted.
        tracking: for the training accuracy of each epoch, which the training recorded.
        model: the weights, whose record names that training.
    """
    labels = _labels(dataset_dir)
    engines = {"validation": validator, "test": tester}
    cases = {split: collect_cases(engine) for split, engine in engines.items()}
    rows = {
        split: [{"image": case.name, **_scores(case, labels[case.name])} for case in some]
        for split, some in cases.items()
    }
    further = _heads(validator, tester)
    if isbi:
        further |= challenge_scores(cases["validation"], cases["test"])
    for name, values in further.items():
        for row, value in zip(rows["test"], values, strict=True):
            row[name] = value
    found = _by_epoch(validator, tester, Path(epochs))
    if found and tracking is not None:
        history = dict(tracking.history(training_run(model)).get("train_accuracy", ()))
        of_epochs = found["curves"]["epoch"]
        found["curves"]["train_accuracy"] = [_rounded(history.get(epoch)) for epoch in of_epochs]
    write_json(Path(folder) / MEASURES, {"rows": rows, **found})


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
    validation for that measure; the challenge itself takes the best on test.
    """
    curves = IsbiCurve(), IsbiCurve()
    for curve, cases in zip(curves, (validation, test), strict=True):
        for case in cases:
            curve.add(case.probability[0].numpy(), case.truth[0].numpy() != 0)
    chosen = {
        name: int(np.flatnonzero(found["threshold"] == THRESHOLDS)[0])
        for name, found in curves[0].best().items()
    }
    return {
        f"{name}_by_validation": [row[index][name] for row in curves[1].rows]
        for name, index in chosen.items()
    }


def _grey(values: NDArray[Any]) -> NDArray[np.uint8]:
    return (values * 255.0).round().astype(np.uint8)


def _labels(dataset_dir: str) -> dict[str, NDArray[np.bool_]]:
    """The label of each image as its file has it, before the bundle's preprocessing."""
    datalist = read_datalist(dataset_dir)
    return {
        Path(entry["image"]).name: imread(entry["label"]) != 0
        for split in ("validation", "test")
        for entry in datalist.entries(split)
    }


def _scores(case: Case, label: NDArray[np.bool_]) -> dict[str, float]:
    counts = count(case.probability >= HALF, case.truth)
    return {
        **{f"{name}_at_half": metric(counts) for name, metric in METRICS.items()},
        **{name: metric(case.probability, case.truth) for name, metric in SOFT.items()},
        "foreground_everywhere": float((case.truth != 0).float().mean()),
        **exact_8_bit(case.probability[0].numpy(), label),
    }


def _heads(validator: Evaluator, tester: Evaluator) -> dict[str, list[float]]:
    network = validator.network
    if not isinstance(network, UNetPlusPlus) or not network.deep_supervision:
        return {}
    found = {}
    usual = network.evaluation_head
    try:
        for head in range(1, network.depth + 1):
            network.evaluation_head = head
            threshold = curve_of(collect_cases(validator), "accuracy", None).best("accuracy")
            found[f"accuracy_head_{head}"] = _accuracies(collect_cases(tester), threshold)
    finally:
        network.evaluation_head = usual
    return found


def _by_epoch(validator: Evaluator, tester: Evaluator, folder: Path) -> dict[str, Any]:
    """Accuracy against epoch, and what is chosen of all epochs and thresholds by either split."""
    files = sorted(folder.glob("epoch=*.pt"), key=_epoch)
    if not files:
        return {}
    network = validator.network
    best = {name: values.clone() for name, values in network.state_dict().items()}
    of_epochs, halves = [], []
    try:
        for file in files:
            load_weights(network, read_checkpoint(file), file)
            both = [collect_cases(engine) for engine in (validator, tester)]
            of_both = (curve_of(cases, "accuracy", None) for cases in both)
            of_epochs.append([curve.values("accuracy") for curve in of_both])
            halves.append([np.mean(_accuracies(cases, HALF)) for cases in both])
    finally:
        network.load_state_dict(best)
    validation, test = np.array(of_epochs).swapaxes(0, 1)  # each (epochs, thresholds)
    scalars = {}
    for split, accuracy in (("validation", validation), ("test", test)):
        epoch, level = np.unravel_index(accuracy.argmax(), accuracy.shape)
        scalars[f"accuracy_chosen_on_{split}"] = float(test[epoch, level])
        scalars[f"epoch_chosen_on_{split}"] = _epoch(files[int(epoch)])
        scalars[f"level_chosen_on_{split}"] = int(level)
    curves = {
        "epoch": [_epoch(file) for file in files],
        **{
            f"{split}_accuracy": np.round(values, 4).tolist()
            for split, values in zip(("validation", "test"), zip(*halves, strict=True), strict=True)
        },
    }
    return {"scalars": scalars, "curves": curves}


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _accuracies(cases: Sequence[Case], threshold: float) -> list[float]:
    return [METRICS["accuracy"](count(c.probability >= threshold, c.truth)) for c in cases]


def _epoch(file: Path) -> int:
    return int(file.stem.removeprefix("epoch="))
