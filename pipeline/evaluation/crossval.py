"""Cross-validation: a model for each fold, each case predicted by the model that never saw it."""

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml

from pipeline.bundle import Bundle
from pipeline.data.datalist import columns_of, datalist_sha256
from pipeline.evaluation.cases import Row, outcomes, score_names, summarise_scores
from pipeline.evaluation.groups import check_metric
from pipeline.evaluation.one_case import predict_case
from pipeline.evaluation.resumable_training import is_trained, train_or_resume
from pipeline.evaluation.shown_cases import ShownCase, best_median_worst, shown_case
from pipeline.evaluation.summarise import Groups, compare_groups_of
from pipeline.evaluation.summary import (
    SUMMARY,
    CrossvalSummary,
    EvaluationSummary,
    read_summary,
)
from pipeline.evaluation.volumes import (
    VOLUMES,
    StructureVolume,
    read_volumes,
    volume_agreements,
)
from pipeline.files import as_csv, shown, write_json, write_text
from pipeline.inference.operating_point import LabelOperatingPoint, OperatingPoint, SelectedBy
from pipeline.inference.trained_model import TrainedModel, save_model
from pipeline.jobs.job import Job
from pipeline.progress import Stages
from pipeline.tracking.store import CASES, MODEL

ENSEMBLE = "ensemble"


class Folds(NamedTuple):
    """What is cross-validated, and where.

    Attributes:
        bundle: with the overlays and overrides of an experiment.
        data: the folders of the folds.
        out: where models, evaluations and the summary go.
        tracking: folder of the tracking store.
        parent: id of the run that the folds' runs belong to.
        metric: by which groups are compared.
        held_out: the cohort whose validation and test splits no fold takes apart; None: the folds
            took all splits.
    """

    bundle: Bundle
    data: Sequence[Path]
    out: Path
    tracking: Path
    parent: str
    metric: str = "iou"
    held_out: Path | None = None

    def folder(self, fold: int) -> Path:
        """Where a fold's model and evaluation are."""
        return self.out / f"fold_{fold}"

    def evaluation(self, fold: int) -> Path:
        """Where a fold's evaluation is."""
        return self.folder(fold) / "eval"


def run_folds(folds: Folds) -> list[Row]:
    """Train and evaluate every fold that is not done, and return all out-of-fold rows.

    A fold that was interrupted in training goes on from its last whole epoch.

    Raises:
        ValueError: a bundle run failed, its own message stands above; or there is no such metric.
    """
    rows: list[Row] = []
    stages = Stages(len(folds.data))
    for job in fold_jobs(folds):
        stages.begin(f"{job.name}, {shown(folds.folder(job.number))}", job.is_done())
        job.do()
        own = json.loads((folds.evaluation(job.number) / CASES).read_text("utf-8"))
        rows += [{**row, "fold": job.number} for row in own]
        check_metric(rows, folds.metric)
    return rows


def fold_jobs(folds: Folds) -> list[Job]:
    """Return the job of each fold: to train its model, and to evaluate it."""
    return [
        Job(i, f"fold {i}", partial(_run_fold, folds, i), partial(_is_done, folds, i))
        for i in range(len(folds.data))
    ]


def _run_fold(folds: Folds, fold: int) -> None:
    folder = folds.folder(fold)
    if not is_trained(folder):
        train_or_resume(_bundle(folds, fold).for_training(), folder, folds.parent)
    if not _is_evaluated(folds, fold):
        _bundle(folds, fold, output_dir=folds.evaluation(fold)).start("evaluating")


def _is_done(folds: Folds, fold: int) -> bool:
    return is_trained(folds.folder(fold)) and _is_evaluated(folds, fold)


def _is_evaluated(folds: Folds, fold: int) -> bool:
    return (folds.evaluation(fold) / CASES).is_file()


def _bundle(folds: Folds, fold: int, **places: Path) -> Bundle:
    """Return the bundle of a fold, with the places of its runs."""
    places |= {
        "dataset_dir": folds.data[fold],
        "models_dir": folds.folder(fold),
        "tracking_dir": folds.tracking,
    }
    return folds.bundle.with_places({key: str(path.resolve()) for key, path in places.items()})


def summarise_folds(folds: Folds, rows: Sequence[Row], groups: Groups) -> CrossvalSummary:
    """Put the out-of-fold rows together, and write them as tables, and ``summary.json``.

    Each case was predicted by one model that never saw it, at the operating point of that model's
    own validation. Models of several folds share training cases, so the interval over patients
    speaks of patients, not of another training.

    Raises:
        ValueError: a case that was tested twice.
    """
    columns = {
        "fold",
        *(
            name
            for data in folds.data
            for case_columns in columns_of(str(data), "test").values()
            for name in case_columns
        ),
    }
    names = score_names(rows, columns)
    evaluations = [read_summary(folds.evaluation(i) / SUMMARY) for i in range(len(folds.data))]
    if len({row["image"] for row in rows}) < len(rows):
        raise ValueError(f"{folds.out}: a case was tested twice; its folds changed; begin anew")
    by_fold = [[row for row in rows if row["fold"] == i] for i in range(len(folds.data))]
    summary = CrossvalSummary(
        split="out of fold",
        bundle=folds.bundle.name,
        folds=len(folds.data),
        threshold_metric=evaluations[0].threshold_metric,
        chosen_thresholds=[t for one in evaluations for t in one.chosen_thresholds],
        baselines=_joint_baselines(evaluations),
        test=summarise_scores(rows, names),
        outcomes=outcomes(rows),
        volumes=volume_agreements(joint_volumes(folds)),
        by_fold=[
            {name: round(float(np.mean([row[name] for row in some])), 6) for name in names}
            | {"n": len(some)}
            for some in by_fold
        ],
        **dict(compare_groups_of(rows, groups)),
    )
    write_text(folds.out / "cases.csv", as_csv(rows))
    write_text(folds.out / VOLUMES, as_csv([own._asdict() for own in joint_volumes(folds)]))
    write_json(folds.out / CASES, rows)
    write_summary(folds, summary)
    return summary


def write_summary(folds: Folds, summary: CrossvalSummary) -> None:
    """Write ``summary.json`` of all folds."""
    write_text(folds.out / SUMMARY, summary.model_dump_json(indent=2) + "\n")


def joint_volumes(folds: Folds) -> list[StructureVolume]:
    """Return the sizes of the structures of all folds' cases."""
    places = range(len(folds.data))
    return [own for i in places for own in read_volumes(folds.evaluation(i) / VOLUMES)]


def _joint_baselines(evaluations: Sequence[EvaluationSummary]) -> dict[str, dict[str, float]]:
    """Return the means over all cases of those that every fold has."""
    first, *others = evaluations
    weights = [next(iter(one.test.values())).n for one in evaluations]
    return {
        name: {
            metric: float(
                np.average([one.baselines[name][metric] for one in evaluations], weights=weights)
            )
            for metric in scores
        }
        for name, scores in first.baselines.items()
        if all(name in one.baselines for one in others)
    }


def extreme_cases(folds: Folds, rows: Sequence[Row]) -> list[ShownCase]:
    """Draw the best, the median and the worst case, each by the model that never saw it.

    Args:
        folds: that are all evaluated.
        rows: of all folds, in their order.
    """
    return [_drawn(folds, rows, place, title) for place, title in best_median_worst(rows).items()]


def _drawn(folds: Folds, rows: Sequence[Row], place: int, title: str) -> ShownCase:
    fold = rows[place]["fold"]
    before = sum(row["fold"] == fold for row in rows[:place])
    case, scoring, labels = predict_case(_bundle(folds, fold), before)
    return shown_case(title, rows[place], case, scoring, labels)


def write_ensemble(folds: Folds) -> Path:
    """Write the folds' networks as one model, and the overlay by which it is run.

    Its record holds the union of what the folds trained on and were chosen by, so that no image
    that any of them saw is taken for a test image; its threshold is the mean of theirs, and its
    post-processing that of most.
    """
    folder = folds.out / ENSEMBLE
    models = [TrainedModel(folds.folder(i) / MODEL) for i in range(len(folds.data))]
    weights = {
        f"members.{i}.{key}": value
        for i, model in enumerate(models)
        for key, value in model.weights.items()
    }
    records = [model.record for model in models]
    trained_on = {digest for record in records for digest in record.trained_on}
    chosen_on = {digest for record in records for digest in record.chosen_on}
    save_model(
        folder / MODEL,
        weights,
        bundle=records[0].bundle,
        run_name=folds.out.name,
        mlflow_run_id=folds.parent,
        datalist_sha256=datalist_sha256(str(folds.held_out)) if folds.held_out else "",
        members_sha256=[record.sha256 for record in records],
        trained_on=sorted(trained_on),
        chosen_on=sorted(chosen_on - trained_on),
        hashes=sorted({kind for record in records for kind in record.hashes}),
        operating_point=_joint_operating_point([model.operating_point for model in models]),
    )
    return _write_overlay(folds, folder)


def _joint_operating_point(points: Sequence[OperatingPoint]) -> OperatingPoint:
    names = dict.fromkeys(name for point in points for name in point.by_label)
    of_labels = {name: _joint_label([point.of_label(name) for point in points]) for name in names}
    return OperatingPoint(
        threshold=float(np.mean([point.threshold for point in points])),
        tta_versions=max(point.tta_versions for point in points),
        postprocessing=_most_frequent([point.postprocessing for point in points]),
        by_label=of_labels,
        instances=_most_frequent([point.instances for point in points]),
        selected_by=SelectedBy(metric="mean of the folds' thresholds", split="validation"),
    )


def _joint_label(points: Sequence[LabelOperatingPoint]) -> LabelOperatingPoint:
    return LabelOperatingPoint(
        threshold=float(np.mean([point.threshold for point in points])),
        postprocessing=_most_frequent([point.postprocessing for point in points]),
    )


def _most_frequent(values: Sequence[Any]) -> Any:
    return max(values, key=values.count)


def _write_overlay(folds: Folds, folder: Path) -> Path:
    overrides = {
        key: value
        for key, value in folds.bundle.for_training().overrides.items()
        if not key.startswith("network_def")
    }
    members = [folds.bundle.config("training")["network_def"]] * len(folds.data)
    overlay = {
        **overrides,
        "models_dir": str(folder.resolve()),
        "network_def": {"_target_": "pipeline.networks.Ensemble", "members": members},
    }
    path = folder / f"{ENSEMBLE}.yaml"
    write_text(
        path,
        "# Overlay: the mean probability of the folds' networks. It follows\n"
        + "".join(f"#   {file}\n" for file in folds.bundle.files("training"))
        + yaml.dump(overlay, Dumper=_WithoutAliases, sort_keys=False),
    )
    return path


class _WithoutAliases(yaml.SafeDumper):
    """MONAI reads each member by itself; YAML's aliases would make them one."""

    def ignore_aliases(self, data: Any) -> bool:
        return True
