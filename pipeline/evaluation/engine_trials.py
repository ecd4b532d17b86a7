"""Measuring the engines of a machine on validation: how fast each is, and what it loses of Dice."""

import math
import statistics
import time
from collections.abc import Hashable, Iterator, Sequence

import numpy as np
import torch

from pipeline.data.datalist import load_split
from pipeline.errors import error_line
from pipeline.evaluation.cases import Case, Scoring
from pipeline.evaluation.predictions import SplitPredictions
from pipeline.inference.engine import AUTO, PLAIN, DiceLoss, Engine, EngineTrial, usable_engines
from pipeline.inference.trained_model import TrainedModel
from pipeline.metrics.overlap import count, dice
from pipeline.metrics.statistics import bootstrap_interval, patients_of

MAX_DICE_LOSS = 1e-3
"""What an engine may lose of Dice: the upper end of the interval of its mean loss."""
MIN_SPEED = 1.1
"""Speed against float32 from which on an engine is worth a trial."""
ROUNDS = 3
"""How often a case is predicted to measure the time, after once to warm up."""


def try_engines(
    predictions: SplitPredictions, model: TrainedModel, scoring: Scoring, asked: str
) -> list[EngineTrial]:
    """Measure the engines of this machine, and return them, the fastest first.

    Each is timed on the first validation case. Those that are faster than float32 are scored on all
    validation cases. One is accepted if the 95 % interval of its mean loss of Dice against float32
    ends below :data:`MAX_DICE_LOSS`. Inference uses the fastest accepted one that a machine has;
    the scores of an evaluation are always those of float32.

    Args:
        predictions: of the model, with the selected test-time augmentation.
        model: that is evaluated.
        scoring: turns probabilities into masks.
        asked: ``auto``, or the only engine that is tried.
    """
    engines = [one for one in usable_engines(model.device) if asked in (AUTO, one)]
    if not set(engines) - {PLAIN}:
        return []
    timed = list(_timed(predictions, model, [PLAIN, *engines]))
    timed.sort(key=lambda trial: math.inf if trial.seconds is None else trial.seconds)
    speeds = _speeds(timed)
    scores: Sequence[float] | None = None
    trials: list[EngineTrial] = []
    for trial in timed:
        if speeds[trial.engine] >= MIN_SPEED:
            scores = scores or _dice(predictions, model, scoring, PLAIN)[0]
            trial = _scored(predictions, model, scoring, trial, scores)
        trials.append(trial)
    return trials


def _timed(
    predictions: SplitPredictions, model: TrainedModel, engines: Sequence[Engine]
) -> Iterator[EngineTrial]:
    """Yield each engine once, with its seconds or with the reason why it cannot compute."""
    entry = load_split(predictions.dataset_dir, "validation")[0]
    images = predictions.preprocessing(dict(entry))["image"][None].to(model.device)
    for engine in dict.fromkeys(engines):
        try:
            seconds = _seconds(predictions, model.network_in(engine), images)
        except Exception as error:  # of a compiler, which may raise any
            reason = error_line(error) or f"{type(error).__name__}: {error}".splitlines()[0]
            yield EngineTrial(engine=engine, seconds=None, reason=reason)
        else:
            yield EngineTrial(engine=engine, seconds=seconds)


def _speeds(trials: Sequence[EngineTrial]) -> dict[str, float]:
    """Return the speed of each engine against float32; 0 of one that cannot compute."""
    seconds = {trial.engine: trial.seconds or math.inf for trial in trials}
    return {engine: seconds[PLAIN] / own for engine, own in seconds.items()}


def _seconds(
    predictions: SplitPredictions, network: torch.nn.Module, images: torch.Tensor
) -> float:
    network.eval()
    seconds = []
    for _ in range(1 + ROUNDS):
        began = time.perf_counter()
        with torch.inference_mode():
            predictions.inferer(images, network).cpu()
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds[1:])


def _scored(
    predictions: SplitPredictions,
    model: TrainedModel,
    scoring: Scoring,
    trial: EngineTrial,
    plain: Sequence[float],
) -> EngineTrial:
    own, patients = _dice(predictions, model, scoring, trial.engine)
    mean, low, high, *_ = bootstrap_interval(np.subtract(plain, own), patients)
    loss = DiceLoss(mean=mean, low=low, high=high)
    if high is None:
        reason = "one patient in validation, which gives no interval"
    else:
        reason = "" if high <= MAX_DICE_LOSS else f"may lose more than {MAX_DICE_LOSS:g} of Dice"
    return trial.model_copy(update={"loss": loss, "accepted": not reason, "reason": reason})


def _dice(
    predictions: SplitPredictions, model: TrainedModel, scoring: Scoring, engine: Engine
) -> tuple[list[float], list[Hashable]]:
    """Return the Dice of each validation case, the mean over labels, and its patient."""
    cases = predictions.computed_by(model.network_in(engine)).cases("validation")
    return (
        [_mean_dice(case, scoring) for case in cases],
        patients_of([case.columns for case in cases]),
    )


def _mean_dice(case: Case, scoring: Scoring) -> float:
    pairs = zip(scoring.masks_of(case)[0], case.truth, strict=True)
    return float(np.mean([dice(count(torch.from_numpy(mask), truth)) for mask, truth in pairs]))


def engine_lines(trials: Sequence[EngineTrial]) -> list[str]:
    """Return the lines that an evaluation prints of its engines."""
    if not trials:
        return []
    speeds = _speeds(trials)
    lines = ["engines of inference, seconds for the first validation case, loss of Dice"]
    used = next((trial.engine for trial in trials if trial.accepted), PLAIN)
    for trial in trials:
        time_text = "" if trial.seconds is None else f"{trial.seconds:.3f} s"
        verdict = "used by infer" if trial.engine == used else trial.reason
        loss = "" if trial.loss is None else f"{trial.loss.mean:+.5f}{_interval(trial.loss)}"
        lines.append(
            f"  {trial.engine:18} {time_text:>9} {speeds[trial.engine]:6.2f} x  {loss:32} "
            f"{verdict}".rstrip()
        )
    return lines


def _interval(loss: DiceLoss) -> str:
    return "" if loss.low is None else f" ({loss.low:+.5f} to {loss.high:+.5f})"
