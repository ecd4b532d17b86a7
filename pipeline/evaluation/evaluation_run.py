"""The evaluation run: selection on validation, scores on test, a report, all in MLflow."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from pipeline.data.datalist import images_among, read_datalist
from pipeline.data.label_numbers import LabelNumbers, labels_overlap
from pipeline.evaluation.cases import Case, Row, Scoring, table
from pipeline.evaluation.classes import CLASSES, class_rows
from pipeline.evaluation.engine_trials import KeptScore, engine_lines, try_engines
from pipeline.evaluation.learnt import learn
from pipeline.evaluation.outer_contour import OuterScore, outer_scores
from pipeline.evaluation.overlays import overlay
from pipeline.evaluation.predictions import SplitPredictions
from pipeline.evaluation.reference import ReferenceEvaluation, compare_with_reference
from pipeline.evaluation.report import Report, write_report
from pipeline.evaluation.review import lowest_expected, lowest_true, review_score
from pipeline.evaluation.selection import OperatingPointSearch, Selection, select
from pipeline.evaluation.summarise import (
    Groups,
    baselines,
    compare_groups_of,
    names_of_scores,
    summarise_cases,
)
from pipeline.evaluation.summary import (
    GIVEN,
    SUMMARY,
    EvaluatedModel,
    EvaluationSummary,
    Execution,
    summary_text,
)
from pipeline.evaluation.verdict import verdict
from pipeline.evaluation.volumes import (
    VOLUMES,
    StructureVolume,
    measure_case,
    structure_volumes,
    volume_agreements,
)
from pipeline.files import as_csv, atomic, shown, write_json, write_text
from pipeline.inference.engine import PLAIN
from pipeline.inference.operating_point import LabelOperatingPoint, OperatingPoint
from pipeline.inference.outer_contour import OuterContour
from pipeline.inference.trained_model import ModelRecord, TrainedModel
from pipeline.metrics.overlap import METRICS
from pipeline.metrics.segments import PARTITION_METRICS
from pipeline.plain_text import plain_lines
from pipeline.progress import count
from pipeline.provenance import versions
from pipeline.tracking.next_command import crossval_command, print_next_run
from pipeline.tracking.run import Run
from pipeline.tracking.store import CASES, REPORT
from pipeline.tracking.training_scores import record_with_training

IMAGE_FIELDS = {"trained_on", "chosen_on", "hashes"}
"""Fields of a model's record that list images."""
OUTER_MISSED = 0.05
"""Share of a structure's pixels that its outer contour may miss."""


def evaluate(
    run: Run,
    model: TrainedModel,
    predictions: SplitPredictions,
    search: OperatingPointSearch,
    labels: LabelNumbers | None = None,
    groups: Groups | None = None,
    isbi: bool = False,
    reference: ReferenceEvaluation | None = None,
    engine: str = PLAIN,
    surface_tolerance: float | None = None,
    outer_missed: float = OUTER_MISSED,
) -> None:
    """Select on validation, score the test split, and write the result.

    Writes ``cases.csv`` (one row an image), ``cases.json``, ``volumes.csv`` (one row a structure of
    an image), of several labels ``classes.csv`` (one row a label), ``summary.json``, ``overlays/``
    and ``report.html`` to the run's folder, stores the operating point with the model, and records
    all of it in a child of the MLflow run that trained the model.

    Args:
        run: of this evaluation.
        model: that is evaluated.
        predictions: of the model, for every split.
        search: what is selected on validation, and by which metric.
        labels: names of the network's labels, with their numbers; those that share one may overlap.
        groups: by what the cases are grouped, if at all.
        isbi: whether the metrics of the ISBI 2012 challenge are wanted.
        reference: of a received bundle, whose scores are put beside these.
        engine: which engines of inference are measured on validation: ``auto``, all of this
            machine; or one of them.
        surface_tolerance: of the surface Dice, mm; None: it is not measured.
        outer_missed: share of a structure's pixels that its outer contour may miss, in expectation.

    Raises:
        ValueError: a test image that the model was trained on, an unknown metric, instances to
            separate where none are labelled.
    """
    run.parent = model.record.mlflow_run_id
    with run.recorded():
        refuse_trained_on(model.path, model.record, run.dataset_dir)
        if "bytes" in model.record.hashes:
            print(
                f"{model.path}: its record has hashes of files, not of pixels; a training image "
                "that was saved anew is not recognised; train again for a full check"
            )
        print(_begin_line(run, model, search), flush=True)
        history = run.history(model.record.mlflow_run_id)
        names = list(labels or ()) if len(labels or ()) > 1 else []
        selection = select(predictions, search, model, names)
        overlapping = labels_overlap(labels or {})
        scoring = Scoring(
            selection.operating_point, names, isbi, overlapping, surface_tolerance,
            partition=search.metric in PARTITION_METRICS,
        )  # fmt: skip
        kept = KeptScore.of(search.metric, scoring)
        learnt = learn(search, selection, model, scoring, list(labels or ()), outer_missed)
        engines = try_engines(predictions, model, kept, selection.cases, engine)
        selection = selection._replace(cases=())  # which need not be in memory with those of test
        cases = predictions.cases("test")
        rows = table(cases, scoring)
        measured = [measure_case(case, scoring) for case in cases]
        estimates = learnt.expected_dice
        expected = [lowest_expected(case, scoring, estimates, list(labels or ())) for case in cases]
        volumes = structure_volumes(measured, list(labels or ()))
        summary = EvaluationSummary(
            **_selected(search, selection, model),
            **summarise_cases(cases, rows, scoring, measured),
            volumes=volume_agreements(volumes),
            **dict(compare_groups_of(rows, groups or Groups())),
            baselines=baselines(cases, run.dataset_dir),
            engines=engines,
            outer=learnt.outer,
            outer_test=_outer_test(cases, learnt.outer, selection, list(labels or ())),
            review=review_score(expected, [lowest_true(row, names) for row in rows]),
            model=_evaluated(model),
            evaluation=Execution(**run.executed()),
            versions=versions(),
        )
        if reference is not None:
            comparison = compare_with_reference(reference, summary.test, run.dataset_dir)
            summary = summary.model_copy(update={"reference": comparison})
        _write(run.folder, cases, rows, summary, scoring, volumes)
        model.store(_to_store(search, selection, model), engines, **vars(learnt))
        crossval = crossval_command(run, model.record.run_name)
        report = Report(
            summary, rows, names_of_scores(cases, rows), cases, selection.curve, history, scoring,
            list(labels or ()), crossval, volumes,
        )  # fmt: skip
        write_report(run.folder / REPORT, report)
        print(plain_lines("\n".join(summary_text(summary))))
        print(plain_lines("\n".join(engine_lines(engines))), end="\n" * bool(engines))
        for remark in verdict(summary, crossval):
            print(f"verdict     {plain_lines(remark.line())}")
        _record(run, summary, model.record.epoch)
        print(f"report      {shown(run.folder / REPORT)}")
        print(f"MLflow run  {run.where()}")
    evaluation = f"evaluation={run.folder.resolve()}"
    print_next_run(run, "explain", model.record.run_name, model.path, evaluation)


def _begin_line(run: Run, model: TrainedModel, search: OperatingPointSearch) -> str:
    datalist = read_datalist(run.dataset_dir)
    sizes = {split: len(datalist.listed(split)) for split in ("validation", "test")}
    return (
        f"evaluating {shown(model.path)} of {model.record.run_name}: operating point by "
        f"{search.metric} of {count(sizes['validation'], 'validation case')}, then "
        f"{count(sizes['test'], 'test case')}, on {run.device}"
    )


def refuse_trained_on(model: Path, record: ModelRecord, dataset_dir: str) -> None:
    """Refuse test images that the model was trained or chosen by, whatever their name and format.

    Raises:
        ValueError: there is one, or the model's record does not say what it was trained on.
    """
    if not record.trained_on:
        raise ValueError(f"{model}: its record does not say what it was trained on; train it again")
    for seen, how in ((record.trained_on, "trained on it"), (record.chosen_on, "chosen by it")):
        for name in images_among(dataset_dir, "test", seen):
            raise ValueError(
                f"{name}: of the test split, and the model was {how}; evaluate on images "
                "that it never saw, or train on this split"
            )


def _to_store(
    search: OperatingPointSearch, selection: Selection, model: TrainedModel
) -> OperatingPoint:
    """What was selected; a threshold that was given for this evaluation stays out of it."""
    selected, before = selection.operating_point, model.operating_point
    if search.threshold is None:
        return selected
    by_label = {
        name: LabelOperatingPoint(
            threshold=before.of_label(name).threshold,
            postprocessing=selected.of_label(name).postprocessing,
        )
        for name in dict.fromkeys((*before.by_label, *selected.by_label))
    }
    return selected.model_copy(update={"threshold": before.threshold, "by_label": by_label})


def _outer_test(
    cases: Sequence[Case], outer: OuterContour | None, selection: Selection, labels: Sequence[str]
) -> list[OuterScore]:
    """Score the outer contours, of the probabilities that they were calibrated on."""
    if outer is None or outer.tta_versions != selection.operating_point.tta_versions:
        return []
    return outer_scores(cases, outer, labels)


def _selected(
    search: OperatingPointSearch, selection: Selection, model: TrainedModel
) -> dict[str, Any]:
    source = f"chosen by {search.metric} on validation"
    if search.threshold is not None:
        source = GIVEN
    elif search.as_stored and model.record.operating_point is not None:
        source = "as the model was evaluated before"
    return {
        "split": "test",
        "operating_point": selection.operating_point,
        "threshold_metric": search.metric,
        "threshold_source": source,
        "trials_on_validation": selection.trials,
    }


def _evaluated(model: TrainedModel) -> EvaluatedModel:
    record = model.record
    fields = record.model_dump(
        exclude={
            *IMAGE_FIELDS,
            "device",
            "operating_point",
            "members_sha256",
            "output_weights",
            "engines",
            "expected_dice",
            "outer",
            "validation_values",
        }
    )
    return EvaluatedModel(
        path=str(model.path),
        trained_images=len(record.trained_on),
        validation_images=len(record.chosen_on),
        **fields,
    )


def _write(
    folder: Path,
    cases: Sequence[Case],
    rows: Sequence[Row],
    summary: EvaluationSummary,
    scoring: Scoring,
    volumes: Sequence[StructureVolume],
) -> None:
    for case in cases:
        masks = torch.from_numpy(scoring.masks_of(case)[0])
        picture = overlay(case.image, case.probability, case.truth, masks)
        with atomic(folder / "overlays" / f"{Path(case.name).stem}.png") as temporary:
            Image.fromarray(picture).save(temporary)
    write_text(folder / "cases.csv", as_csv(rows))
    write_json(folder / CASES, rows)
    write_text(folder / VOLUMES, as_csv([volume._asdict() for volume in volumes]))
    if scoring.labels:
        write_text(folder / CLASSES, as_csv(class_rows(summary, scoring.labels)))
    write_text(folder / SUMMARY, summary.model_dump_json(indent=2) + "\n")


def _volume_metrics(summary: EvaluationSummary) -> Iterator[tuple[str, float]]:
    for volume in summary.volumes:
        ending = f"_{volume.structure}" if len(summary.volumes) > 1 else ""
        values = {"bias": volume.bias, "low": volume.low, "high": volume.high}
        for name, value in values.items():
            if value is not None:
                yield f"volume_{name}_{volume.unit}{ending}", value


def _record(run: Run, summary: EvaluationSummary, epoch: int | None) -> None:
    scores = {name: score.mean for name, score in summary.test.items()}
    for name in METRICS:
        low, high = summary.test[name].low, summary.test[name].high
        scores |= {} if low is None or high is None else {f"{name}_low": low, f"{name}_high": high}
    scores |= summary.test_pooled | dict(_volume_metrics(summary))
    scores = {f"test_{name}": value for name, value in scores.items()}
    run.log_metrics(scores)
    run.log_metrics({"threshold": summary.operating_point.threshold})
    run.log_folder(run.folder)
    record_with_training(run, epoch, scores, REPORT)
