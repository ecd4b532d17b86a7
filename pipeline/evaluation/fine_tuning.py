"""After a model was fine-tuned: it and the fine-tuned one, scored on each test split at hand."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from pipeline.bundle import Bundle
from pipeline.bundle.received import contained
from pipeline.data.datalist import image_hashes
from pipeline.evaluation.comparison import Comparison, compare
from pipeline.evaluation.reference import MeanInterval
from pipeline.files import write_text
from pipeline.inference.trained_model import is_pretrained, read_record
from pipeline.metrics.statistics import independent_unit
from pipeline.tracking.run import Run
from pipeline.tracking.store import CASES

INITIAL, FINE_TUNED = "initial", "fine_tuned"
COMPARISON = "fine_tuning.json"

Tables = Mapping[str, list[dict[str, Any]]]
"""The per-image table of both models."""


class FineTuningScore(BaseModel):
    """The initial and the fine-tuned model on one test split.

    Attributes:
        initial: mean of the metric of the initial model.
        fine_tuned: mean of the metric of the fine-tuned model.
        difference: of the fine-tuned less the initial one, per image, with its interval.
        p: probability of such a difference by chance; None of too few patients.
    """

    initial: float
    fine_tuned: float
    difference: MeanInterval
    p: float | None


class FineTuningComparison(BaseModel):
    """Both models on the own test split, and on the reference cohort's where that is at hand."""

    metric: str
    own: FineTuningScore
    reference: FineTuningScore | None = None


def check_fine_tuning(init_from: str | None, dataset_dir: str, reference_dir: str | None) -> None:
    """Refuse, before a training and not after it, test images that would have been seen.

    Args:
        init_from: weights that the training begins from; None: it begins from none.
        dataset_dir: the own cohort.
        reference_dir: the cohort that the initial weights were evaluated on, or None where it is
            not at hand.

    Raises:
        FileNotFoundError: no such cohort.
        ValueError: a test image that one of the models was trained or chosen by.
    """
    if init_from is None:
        return
    # the page of an evaluation, and Matplotlib with it, is nothing for the start of a training
    from pipeline.evaluation.evaluation_run import refuse_trained_on

    record = read_record(Path(init_from))
    refuse_trained_on(Path(init_from), record, dataset_dir)
    if reference_dir is None:
        return
    if record.output_weights:
        raise ValueError(
            f"reference_dir: {init_from} was pretrained on images alone, so that it has no scores "
            "to compare with; leave reference_dir out"
        )
    refuse_trained_on(Path(init_from), record, reference_dir)
    tested = image_hashes(reference_dir, "test")
    for split in ("training", "validation"):
        for digest, name in image_hashes(dataset_dir, split).items():
            if digest in tested:
                raise ValueError(
                    f"{name}: of the own {split} split, and of the reference test split; leave "
                    "reference_dir out, or split anew"
                )


def compare_fine_tuning(
    run: Run,
    bundle: str,
    init_from: str | None,
    model: str,
    reference_dir: str | None,
    metric: str = "dice",
) -> None:
    """Evaluate the initial and the fine-tuned model on the own test split and on the reference's.

    Each evaluation is a run of its own, with its report, below the training's folder. The initial
    model keeps the operating point of its own evaluation; that of the fine-tuned one is selected on
    the own validation split, and kept for the reference. What fine-tuning gained and what it cost
    is printed, and written to ``fine_tuning.json``.

    Args:
        run: the training.
        bundle: folder of the bundle.
        init_from: weights that the training began from; nothing is done where it began from none,
            or from some that were pretrained on images alone, which segment nothing.
        model: weights that it led to.
        reference_dir: the cohort that the initial weights were evaluated on, or None where it is
            not at hand.
        metric: of the per-image table, by which the two are compared.

    Raises:
        ValueError: an evaluation stopped; its own message stands above.
    """
    if init_from is None or is_pretrained(Path(init_from)):
        return
    cohorts = {"own": run.dataset_dir, "reference": reference_dir}
    scores = {
        name: _score(run, bundle, {INITIAL: init_from, FINE_TUNED: model}, name, cohort, metric)
        for name, cohort in cohorts.items()
        if cohort is not None
    }
    comparison = FineTuningComparison(metric=metric, **scores)
    write_text(run.folder / COMPARISON, comparison.model_dump_json(indent=2) + "\n")
    print("\n".join(_table(comparison)))
    print(f"comparison  {run.folder / COMPARISON}")


def _score(
    run: Run, bundle: str, models: Mapping[str, str], name: str, cohort: str, metric: str
) -> FineTuningScore:
    tables = {}
    for kind, model in models.items():
        out = run.folder / f"{kind}_on_{name}"
        print(f"\n{kind.replace('_', '-')} model on the test split, {name}", flush=True)
        settings = {
            "dataset_dir": str(contained(cohort, "--reference_dir").resolve()),
            "model": str(contained(model, "--model").resolve()),
            "output_dir": str(out.resolve()),
            "tracking_dir": str(run.store),
            "as_stored": True,
        }
        Bundle(contained(bundle, "bundle"), overrides=settings).start("evaluating")
        tables[kind] = json.loads((out / CASES).read_text("utf-8"))
    (comparison,) = compare(tables, metric)
    return _of(tables, comparison, metric)


def _of(tables: Tables, comparison: Comparison, metric: str) -> FineTuningScore:
    means = {name: sum(row[metric] for row in rows) / len(rows) for name, rows in tables.items()}
    difference = MeanInterval(**comparison.difference._asdict())
    return FineTuningScore(**means, difference=difference, p=comparison.p)


def _table(comparison: FineTuningComparison) -> list[str]:
    lines = [
        f"\n{f'{comparison.metric}, test split':18}{'initial':>10}{'fine-tuned':>12}{'gain':>10}  "
        "95 % interval"
    ]
    scores = {"own": comparison.own, "reference": comparison.reference}
    for name, score in scores.items():
        if score is None:
            continue
        gain = score.difference
        ends = "too few to judge"
        if gain.low is not None:
            ends = f"{gain.low:+.4f} to {gain.high:+.4f}"
        means = f"{score.initial:10.4f}{score.fine_tuned:12.4f}{gain.mean:+10.4f}"
        patients = independent_unit(gain.n, gain.patients) == "patients"
        counts = f"images {gain.n}" + (f", patients {gain.patients}" if patients else "")
        lines.append(f"{name:18}{means}  {ends} ({counts})")
    return lines
