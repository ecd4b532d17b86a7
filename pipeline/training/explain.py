"""The explanation run: what a model looks at, what it knows of the images, and what is spare."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from monai.transforms import Compose

from pipeline.data.files import atomic, write_json
from pipeline.evaluation.cases import as_csv
from pipeline.evaluation.groups import check_metric
from pipeline.explanation.extremes import extremes
from pipeline.explanation.pictures import as_png
from pipeline.explanation.section import write_with_section
from pipeline.networks import check_feature_names
from pipeline.training.explain_cases import CaseExplainer, Cases, Explained, explain_cases
from pipeline.training.explain_latent import Latent, check_enough, explain_latent
from pipeline.training.images import Images
from pipeline.training.runs import evaluated
from pipeline.training.summarise import Groups
from pipeline.training.tracking import Tracking


def explain(
    network: torch.nn.Module,
    preprocessing: Compose,
    tracking: Tracking,
    model: str,
    folder: str,
    dataset_dir: str,
    cases: Cases,
    latent: Latent,
    groups: Groups | None = None,
    evaluation: str | None = None,
) -> None:
    """Explain a model by the best and worst images of its evaluation, and by all images together.

    Writes pictures, tables, ``explanation.json`` and the evaluation's report with one more section
    to ``folder``, and records all of it in a child of the MLflow run that trained the model.

    Args:
        network: with the model's weights.
        preprocessing: of an entry of the datalist, its image and label.
        tracking: the run of this explanation.
        model: the weights.
        folder: where to write.
        dataset_dir: of the cohort.
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
    with tracking.recorded():
        groups = groups or Groups()
        images = Images(dataset_dir, preprocessing)
        explainer = CaseExplainer(network.eval(), cases)
        check_feature_names(network, [latent.layer or explainer.cam_layer])
        check_enough(len(images), latent.clusters)
        rows, page = evaluated(tracking, model, evaluation)
        check_metric(rows, groups.metric)
        columns, without = group_columns(groups.columns, rows, images.columns())
        here = [row for row in rows if row["image"] in images]
        if not here:
            raise ValueError(f"{dataset_dir}: holds no image of the evaluation; give its cohort")
        chosen = extremes(here, columns, groups.metric)
        of_cases = explain_cases(explainer, images, chosen, groups.metric)
        of_all = explain_latent(network, images, columns, latent)
        found = {
            "model": model,
            "metric": groups.metric,
            "columns": columns,
            "without_groups": without,
            **of_cases.found,
            **of_all.found,
        }
        out = Path(folder)
        _write(out, found, (of_cases, of_all))
        write_with_section(out / "report.html", page, found, out)
        _record(tracking, out, found)
        print(_told(found, out, tracking))


def group_columns(
    wanted: Sequence[str], rows: Sequence[Mapping[str, Any]], known: Sequence[Mapping[str, Any]]
) -> tuple[list[str], str]:
    """Return the columns that every image has, and in words what is left out.

    Example:
        >>> rows = [{"sex": "male"}, {"sex": "female"}]
        >>> group_columns(["sex", "age"], rows, rows)
        (['sex'], 'without groups by age: not every image has it')
    """
    lacking = [
        name
        for name in wanted
        if any(row.get(name) is None for row in rows) or any(row.get(name) is None for row in known)
    ]
    kept = [name for name in wanted if name not in lacking]
    if lacking:
        return kept, f"without groups by {', '.join(lacking)}: not every image has it"
    return kept, "" if wanted else "without groups: group_columns is empty"


def _write(out: Path, found: Mapping[str, Any], parts: Sequence[Explained]) -> None:
    for part in parts:
        for name, figure in part.pictures.items():
            with atomic(out / f"{name}.png") as temporary:
                temporary.write_bytes(as_png(figure))
        for name, table in part.tables.items():
            with atomic(out / f"{name}.csv") as temporary:
                temporary.write_text(as_csv(table), "utf-8")
    write_json(out / "explanation.json", found)


def _record(tracking: Tracking, out: Path, found: Mapping[str, Any]) -> None:
    cases = found["cases"]
    agreements = ("agreement_saliency", "agreement_grad_cam", "uncertainty_finds_errors")
    for name in agreements:
        values = [row[name] for row in cases if row.get(name) is not None]
        if values:
            tracking.log_metrics({f"explain_{name}": sum(values) / len(values)})
    for row in found["latent"].get("agreement", ()):
        tracking.log_metrics({f"explain_ami_{row['groups'].replace(' ', '_')}": row["ami"]})
    for path in sorted(out.iterdir()):
        if path.is_file():
            tracking.log_artifact(path)


def _told(found: Mapping[str, Any], out: Path, tracking: Tracking) -> str:
    hidden = found["occlusion"]
    lines = [
        f"{len(found['cases'])} images; regions of {hidden['size']} of the network's pixels hidden "
        f"({hidden['given']})"
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
        lines.append(f"channels    {left} of {all_} say something of their own")
    lines.append(f"report      {out / 'report.html'}")
    lines.append(f"MLflow run  {tracking.run_name} in experiment {tracking.experiment}")
    return "\n".join(lines)
