"""The explanation run: what a model looks at, what it knows of the images, and what is spare."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from monai.transforms import Compose

from pipeline.files import atomic, write_json
from pipeline.evaluation.cases import as_csv, lower_is_better
from pipeline.data.columns import check_list
from pipeline.evaluation.groups import check_metric
from pipeline.explanation.extremes import extremes
from pipeline.explanation.latent import check_clusters
from pipeline.explanation.pictures import as_png
from pipeline.explanation.section import write_with_section
from pipeline.inference.mirrored import Mirrored
from pipeline.inference.trained_model import TrainedModel
from pipeline.networks import UNet, bottleneck_of, check_feature_names
from pipeline.explanation.case_explanation import CaseExplainer, CaseSettings, Explained, explain_cases
from pipeline.explanation.latent_explanation import LatentSettings, explain_latent
from pipeline.explanation.images import Images
from pipeline.tracking.store import find_evaluation
from pipeline.evaluation.summarise import Groups
from pipeline.tracking.run import Run


def explain(
    run: Run,
    model: TrainedModel,
    preprocessing: Compose,
    cases: CaseSettings,
    latent: LatentSettings,
    groups: Groups | None = None,
    evaluation: str | None = None,
) -> None:
    """Explain a model by the best and worst images of its evaluation, and by all images together.

    Writes pictures, tables, ``explanation.json`` and the evaluation's report with one more section
    to the run's folder, and records all of it in a child of the MLflow run that trained the model.

    Args:
        run: of this explanation.
        model: that is explained, with its network.
        preprocessing: of an entry of the datalist, its image and label.
        cases: how single images are explained.
        latent: how the images are clustered.
        groups: columns of the datalist, and the metric that best and worst are judged by.
        evaluation: folder of an evaluation or of a cross-validation; None: the newest evaluation of
            this model in the tracking store.

    Raises:
        ValueError: an unknown layer, an occlusion or clusters that cannot be, no evaluation, or a
            metric that it lacks.
        FileNotFoundError: the folder holds no evaluation.
    """
    run.parent = model.record.mlflow_run_id
    with run.recorded():
        groups = groups or Groups()
        network = whole(model.network.eval())
        images = Images(run.dataset_dir, preprocessing)
        explainer = CaseExplainer(network, cases)
        check_feature_names(network, [latent.layer or bottleneck_of(network)])
        check_clusters(len(images), latent.clusters)
        rows, page = find_evaluation(run, model.record.mlflow_run_id, model.path, evaluation)
        check_metric(rows, groups.metric)
        columns, without = group_columns(groups.columns, rows, images.columns())
        in_cohort = [row for row in rows if row["image"] in images]
        if not in_cohort:
            raise ValueError(
                f"{run.dataset_dir}: holds no image of the evaluation; give its cohort"
            )
        chosen = extremes(in_cohort, columns, groups.metric, lower_is_better(groups.metric))
        of_all = explain_latent(network, images, columns, latent)
        of_cases = explain_cases(explainer, images, chosen, groups.metric)
        found = {
            "model": str(model.path),
            "metric": groups.metric,
            "columns": columns,
            "without_groups": without,
            "evaluated": {"images": len(rows), "in this cohort": len(in_cohort)},
            **of_cases.found,
            **of_all.found,
        }
        out = run.folder
        written = _write(out, found, (of_cases, of_all))
        pictures = [path for path in written if path.suffix == ".png"]
        write_with_section(out / "report.html", page, found, pictures)
        _record(run, [*written, out / "report.html"], found)
        print(_told(found, out, run))


def whole(network: torch.nn.Module) -> torch.nn.Module:
    """Return a network that answers for every pixel: one of unpadded convolutions is mirrored."""
    if isinstance(network, UNet) and network.padding == "valid":
        return Mirrored(network)
    return network


def group_columns(
    wanted: Sequence[str], rows: Sequence[Mapping[str, Any]], known: Sequence[Mapping[str, Any]]
) -> tuple[list[str], str]:
    """Return the columns that every image has, and in words what is left out.

    Raises:
        ValueError: one word in place of a list.

    Example:
        >>> rows = [{"sex": "male"}, {"sex": "female"}]
        >>> group_columns(["sex", "age"], rows, rows)
        (['sex'], 'without groups by age: not every image has it; columns: sex')
    """
    check_list("group_columns", wanted)
    lacking = [
        name
        for name in wanted
        if any(row.get(name) is None for row in rows) or any(row.get(name) is None for row in known)
    ]
    kept = [name for name in wanted if name not in lacking]
    if lacking:
        there = sorted({name for row in known for name in row} - {"image", "split", "patient"})
        return kept, (
            f"without groups by {', '.join(lacking)}: not every image has it; "
            f"columns: {', '.join(there) or 'none'}"
        )
    return kept, "" if wanted else "without groups: group_columns is empty"


def _write(out: Path, found: Mapping[str, Any], parts: Sequence[Explained]) -> list[Path]:
    written = []
    for part in parts:
        for name, figure in part.pictures.items():
            written.append(out / f"{name}.png")
            with atomic(written[-1]) as temporary:
                temporary.write_bytes(as_png(figure))
        for name, table in part.tables.items():
            written.append(out / f"{name}.csv")
            with atomic(written[-1]) as temporary:
                temporary.write_text(as_csv(table), "utf-8")
    write_json(out / "explanation.json", found)
    return [*written, out / "explanation.json"]


def _record(run: Run, files: Sequence[Path], found: Mapping[str, Any]) -> None:
    for name in ("agreement_saliency", "agreement_grad_cam", "uncertainty_finds_errors"):
        values = [row[name] for row in found["cases"] if row.get(name) is not None]
        if values:
            run.log_metrics({f"explain_{name}": sum(values) / len(values)})
    for row in found["latent"].get("agreement", ()):
        # MLflow allows few characters in a name
        run.log_metrics(
            {f"explain_ami_{re.sub(r'[^0-9A-Za-z]+', '_', row['groups'])}": row["ami"]}
        )
    for path in files:
        run.log_artifact(path)


def _told(found: Mapping[str, Any], out: Path, run: Run) -> str:
    hidden = found["occlusion"]
    given = f" ({hidden['given']})" if hidden["given"] else ""
    lines = [
        f"{len(found['cases'])} images; regions of {hidden['size']} of the network's pixels hidden"
        + given
    ]
    lines += [found["without_groups"]] if found["without_groups"] else []
    for row in found["latent"].get("agreement", ()):
        lines.append(
            f"clusters know of {row['groups']}: {row['ami']:.3f}, by chance {row['chance_low']:.3f}"
            f" to {row['chance_high']:.3f}, p = {row['p']:.3g}"
        )
    if found["redundancy"]:
        all_, left = (
            sum(row[name] for row in found["redundancy"]) for name in ("channels", "distinct")
        )
        narrow = (
            f"; features of {found['suggested_features']} suggest themselves" if found["suggested_features"] else ""
        )
        lines.append(f"channels    {left} of {all_} say something of their own{narrow}")
    lines.append(f"report      {out / 'report.html'}")
    lines.append(f"MLflow run  {run.where()}")
    return "\n".join(lines)
