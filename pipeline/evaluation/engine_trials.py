"""Measuring the engines of a machine on validation: how fast each is, what its score loses."""

import math
import statistics
import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch

from pipeline.errors import reason_line
from pipeline.evaluation.cases import Case, Scoring, partitions
from pipeline.evaluation.predictions import SplitPredictions
from pipeline.inference.engine import (
    AUTO,
    INT8,
    KEPT_SCORES,
    PLAIN,
    Engine,
    EngineTrial,
    KeptScoreName,
    ScoreLoss,
    can_quantise,
    usable_engines,
)
from pipeline.inference.trained_model import TrainedModel
from pipeline.metrics.overlap import count, dice
from pipeline.metrics.segments import PARTITION_METRICS, segment_score
from pipeline.metrics.statistics import bootstrap_interval, patients_of

MAX_SCORE_LOSS = 1e-3
"""What an engine may lose of the score: the upper end of the interval of its mean loss."""
MIN_SPEED = 1.1
"""Speed against float32 from which on an engine is worth a trial."""
CALIBRATION_IMAGES = 8
"""Training images whose windows give the scales of integers."""
ROUNDS = 3
"""How often a case is predicted to measure the time, after once to warm up."""


class KeptScore(NamedTuple):
    """The score that an engine must keep.

    Attributes:
        name: ``f1`` or ``pq`` of instances, ``v_rand_thinned`` of segments, or ``dice`` of pixels.
        scoring: turns probabilities into masks and instances.
    """

    name: KeptScoreName
    scoring: Scoring

    @classmethod
    def of(cls, metric: str, scoring: Scoring) -> "KeptScore":
        """Return the score of a bundle whose threshold is chosen by a metric.

        Example:
            >>> from pipeline.inference.operating_point import OperatingPoint
            >>> scoring = Scoring(OperatingPoint())
            >>> KeptScore.of("pq", scoring).name, KeptScore.of("iou", scoring).name
            ('pq', 'dice')
        """
        return cls(next((name for name in KEPT_SCORES if name == metric), "dice"), scoring)

    def of_case(self, case: Case) -> float:
        """Return the score of a case; of several labels the mean over them."""
        masks, instances = self.scoring.masks_of(case)
        if self.name in PARTITION_METRICS or (instances is not None and self.name != "dice"):
            return segment_score(self.name, *partitions(case, masks[0], instances))
        pairs = zip(masks, case.truth, strict=True)
        return float(np.mean([dice(count(torch.from_numpy(mask), truth)) for mask, truth in pairs]))


def try_engines(
    predictions: SplitPredictions,
    model: TrainedModel,
    score: KeptScore,
    cases: Sequence[Case],
    asked: str,
) -> list[EngineTrial]:
    """Measure the engines of this machine, and return them, the fastest first.

    Each is timed on the first validation case. Those that are faster than float32 are scored on all
    validation cases. One is accepted if the 95 % interval of its mean loss of score against float32
    ends below :data:`MAX_SCORE_LOSS`. Inference uses the fastest accepted one that a machine has;
    the scores of an evaluation are always those of float32.

    Args:
        predictions: of the model, with the selected test-time augmentation.
        model: that is evaluated.
        score: that an engine must keep.
        cases: of validation, as float32 predicts them.
        asked: ``auto``, or the only engine that is tried.
    """
    engines = list(_tried(model.device, asked))
    if not set(engines) - {PLAIN}:
        return []
    timed = list(_timed(predictions, model, [PLAIN, *engines]))
    timed.sort(key=lambda trial: math.inf if trial.seconds is None else trial.seconds)
    speeds = _speeds(timed)
    if all(speed < MIN_SPEED for speed in speeds.values()):
        return timed
    plain = [score.of_case(case) for case in cases]
    return [
        trial
        if speeds[trial.engine] < MIN_SPEED
        else _scored(predictions.computed_by(model.network_in(trial.engine)), score, trial, plain)
        for trial in timed
    ]


def _tried(device: torch.device, asked: str) -> Iterator[Engine]:
    """Yield the engines that are asked for.

    ONNX Runtime was slower than OpenVINO for every network that was measured, and takes longest to
    compile: where both are installed, it is tried only by its name.
    """
    usable = list(usable_engines(device, int8=can_quantise()))
    for engine in usable:
        is_second = engine == "onnxruntime" and "openvino" in usable
        if asked == engine or (asked == AUTO and not is_second):
            yield engine


def _timed(
    predictions: SplitPredictions, model: TrainedModel, engines: Sequence[Engine]
) -> Iterator[EngineTrial]:
    """Yield each engine once, with its seconds or with the reason why it cannot compute."""
    images = predictions.data("validation")[0]["image"][None].to(model.device)
    for engine in dict.fromkeys(engines):
        program = None
        try:
            if engine == INT8:
                program = model.quantise(predictions.windows("training", CALIBRATION_IMAGES)).sha256
            seconds = _seconds(predictions, model.network_in(engine), images)
        except Exception as error:  # of a compiler, which may raise any
            reason = reason_line(error)
            yield EngineTrial(engine=engine, seconds=None, reason=reason)
        else:
            yield EngineTrial(engine=engine, seconds=seconds, program_sha256=program)


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
    predictions: SplitPredictions, score: KeptScore, trial: EngineTrial, plain: Sequence[float]
) -> EngineTrial:
    """Return a trial with what the score loses against that of float32, and the judgement."""
    cases = predictions.cases("validation")
    own = [score.of_case(case) for case in cases]
    patients = patients_of([case.columns for case in cases])
    mean, low, high, *_ = bootstrap_interval(np.subtract(plain, own), patients)
    loss = ScoreLoss(score=score.name, mean=mean, low=low, high=high)
    if high is None:
        reason = "one patient in validation, which gives no interval"
    elif high > MAX_SCORE_LOSS:
        reason = f"may lose more than {MAX_SCORE_LOSS:g} of {loss.name}"
    else:
        reason = ""
    return trial.model_copy(update={"loss": loss, "accepted": not reason, "reason": reason})


def engine_lines(trials: Sequence[EngineTrial]) -> list[str]:
    """Return the lines that an evaluation prints of its engines."""
    if not trials:
        return []
    speeds = _speeds(trials)
    lines = ["engines of inference, seconds for the first validation case, loss of score"]
    used = next((trial.engine for trial in trials if trial.accepted), PLAIN)
    for trial in trials:
        time_text = "" if trial.seconds is None else f"{trial.seconds:.3f} s"
        verdict = "used by infer" if trial.engine == used else trial.reason
        loss = (
            ""
            if trial.loss is None
            else f"{trial.loss.mean:+.5f}{_interval(trial.loss)} of {trial.loss.name}"
        )
        lines.append(
            f"  {trial.engine:18} {time_text:>9} {speeds[trial.engine]:6.2f} x  {loss:48} "
            f"{verdict}".rstrip()
        )
    return lines


def _interval(loss: ScoreLoss) -> str:
    return "" if loss.low is None else f" ({loss.low:+.5f} to {loss.high:+.5f})"
