"""The evaluation run: threshold on validation, numbers on test, a report, all in MLflow."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from monai.engines import Evaluator
from PIL import Image

from pipeline.data.files import atomic, write_json
from pipeline.evaluation.baselines import best_intensity_threshold, constant_answer
from pipeline.evaluation.cases import Case, as_csv, summary, table
from pipeline.evaluation.instances import CELL_METRICS, CellsOf, per_hundred_touching
from pipeline.evaluation.overlap import METRICS
from pipeline.evaluation.overlays import overlay, stretched
from pipeline.evaluation.report import Report, write_report
from pipeline.evaluation.threshold import CellCurve, Curve, ThresholdCurve
from pipeline.inference.model import read_record, store_threshold
from pipeline.provenance import versions
from pipeline.training.collect import collect_cases
from pipeline.training.tracking import Tracking


def evaluate(
    validator: Evaluator,
    tester: Evaluator,
    tracking: Tracking,
    model: str,
    folder: str,
    threshold_metric: str = "accuracy",
    threshold: float | None = None,
    find_cells: CellsOf | None = None,
    labels: Sequence[str] = (),
) -> None:
    """Choose the threshold on validation, score the test split, and write what was found.

    Writes ``cases.csv`` (one row an image), ``summary.json``, ``overlays/`` and ``report.html`` to
    ``folder``, stores the threshold beside the model, and records all of it in a child of the
    MLflow run that trained the model.

    Args:
        validator: over the validation split; its cases choose the threshold.
        tester: over the test split.
        tracking: the run of this evaluation.
        model: the weights that both engines use.
        folder: where to write.
        threshold_metric: what the threshold is chosen by: ``iou``, ``dice`` or ``accuracy`` of
            pixels, ``f1`` or ``pq`` of cells.
        threshold: a given one, which is then neither searched nor stored.
        find_cells: finds the predicted cells, which are then compared with the true ones.
        labels: names of the network's labels, where it has several.

    Raises:
        ValueError: an unknown metric, or cells to find where none are labelled.
    """
    known = (*METRICS, *CELL_METRICS) if find_cells else tuple(METRICS)
    if threshold_metric not in known:
        raise ValueError(f"threshold_metric {threshold_metric}: expected one of {', '.join(known)}")
    with tracking.recorded():
        curve = _curve(collect_cases(validator), threshold_metric, find_cells)
        chosen = curve.best(threshold_metric) if threshold is None else threshold
        cases = collect_cases(tester)
        rows = table(cases, chosen, find_cells, labels)
        source = f"chosen by {threshold_metric} on validation" if threshold is None else "given"
        found = {
            "threshold": chosen,
            "threshold_source": source,
            "threshold_metric": threshold_metric,
            **_summary(cases, rows, model),
        }
        _write(Path(folder), cases, rows, found, chosen)
        if threshold is None:
            store_threshold(
                Path(model), chosen, {"metric": threshold_metric, "split": "validation"}
            )
        history = tracking.history(found["model"].get("mlflow_run_id"))
        write_report(Path(folder) / "report.html", Report(found, rows, cases, curve, history))
        _record(tracking, Path(folder), found)
        print(_short_table(found, Path(folder), tracking))


def _curve(cases: list[Case], metric: str, find_cells: CellsOf | None) -> Curve:
    if find_cells is None or metric in METRICS:
        pixels = ThresholdCurve()
        for case in cases:
            for probability, truth in zip(case.probability, case.truth, strict=True):
                pixels.add(probability, truth)
        return pixels
    cells = CellCurve(find_cells)
    for case in cases:
        cells.add(case.probability[0], case.true_cells())
    return cells


def _summary(cases: list[Case], rows: list[dict[str, Any]], model: str) -> dict[str, Any]:
    # no threshold notices that a normalised image is stretched
    pairs = [(255 * stretched(case.image), truth) for case in cases for truth in case.truth]
    _, intensity = best_intensity_threshold(pairs)
    return {
        "split": "test",
        "test": summary(rows),
        "test_pooled": per_hundred_touching(rows) if "touching" in rows[0] else {},
        "baselines": {
            "all foreground": constant_answer(pairs),
            "best intensity threshold, chosen on test": {"accuracy": intensity},
        },
        "model": {"path": model, **read_record(Path(model))},
        "versions": versions(),
    }


def _write(
    folder: Path,
    cases: list[Case],
    rows: list[dict[str, Any]],
    found: dict[str, Any],
    threshold: float,
) -> None:
    for case in cases:
        picture = overlay(case.image, case.probability, case.truth, threshold)
        with atomic(folder / "overlays" / f"{Path(case.name).stem}.png") as temporary:
            Image.fromarray(picture).save(temporary)
    with atomic(folder / "cases.csv") as temporary:
        temporary.write_text(as_csv(rows), "utf-8")
    write_json(folder / "summary.json", found)


def _record(tracking: Tracking, folder: Path, found: dict[str, Any]) -> None:
    tracking.log_metrics({f"test_{name}": row["mean"] for name, row in found["test"].items()})
    tracking.log_metrics({f"test_{name}": value for name, value in found["test_pooled"].items()})
    tracking.log_metrics({"threshold": found["threshold"]})
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            inside = path.parent.relative_to(folder)
            tracking.log_artifact(path, None if inside == Path() else str(inside))


def _short_table(found: dict[str, Any], folder: Path, tracking: Tracking) -> str:
    first = next(iter(found["test"].values()))
    threshold = f"{found['threshold']:.3f}, {found['threshold_source']}"
    lines = [f"test, {first['n']} images, threshold {threshold}"]
    lines.append(f"{'':42}" + "".join(f"{name:>10}" for name in METRICS))
    means = {name: row["mean"] for name, row in found["test"].items()}
    for title, values in {"this model": means, **found["baselines"]}.items():
        cells = (f"{values[name]:10.4f}" if name in values else f"{'':10}" for name in METRICS)
        lines.append(f"{title:<42}" + "".join(cells))
    if found["test_pooled"]:
        told = [f"{name} {means[name]:.4f}" for name in ("f1", "pq", "v_rand")]
        told += [f"{k.replace('_', ' ')} {v:.1f}" for k, v in found["test_pooled"].items()]
        lines.append("cells       " + ", ".join(told))
    lines.append(f"report      {folder / 'report.html'}")
    lines.append(f"MLflow run  {tracking.run_name} in experiment {tracking.experiment}")
    return "\n".join(lines)
