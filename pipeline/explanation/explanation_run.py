"""The explanation run: explains a model by single images and by all images together."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from monai.transforms import Compose

from pipeline.data.columns import check_list
from pipeline.evaluation.cases import lower_is_better
from pipeline.evaluation.groups import check_metric
from pipeline.evaluation.summarise import Groups
from pipeline.explanation.case_explanation import (
    CaseExplainer,
    CaseSettings,
    ExplanationPart,
    explain_cases,
)
from pipeline.explanation.extremes import extremes
from pipeline.explanation.images import Images
from pipeline.explanation.latent import check_clusters
from pipeline.explanation.latent_explanation import LatentSettings, explain_latent
from pipeline.explanation.pictures import as_png
from pipeline.explanation.quick import quickened
from pipeline.explanation.section import write_with_section
from pipeline.explanation.step_explanation import StepLimits, explain_steps
from pipeline.explanation.strongest import explain_strongest
from pipeline.files import as_csv, atomic, shown, write_json
from pipeline.inference.mirrored import Mirrored
from pipeline.inference.trained_model import TrainedModel
from pipeline.networks import UNet, bottleneck_of, check_feature_names
from pipeline.progress import count, track
from pipeline.tracking.next_command import print_next_pack
from pipeline.tracking.run import Run
from pipeline.tracking.store import find_evaluation

NO_COLUMNS = {"image", "split", "patient"}
"""Keys of an image that never group images."""


def explain(
    run: Run,
    model: TrainedModel,
    preprocessing: Compose,
    cases: CaseSettings,
    latent: LatentSettings,
    groups: Groups | None = None,
    evaluation: str | None = None,
    quick: bool = False,
) -> None:
    """Explain a model by the best and worst images of its evaluation, and by all images together.

    Writes pictures, tables, ``explanation.json`` and the evaluation's report with one more section
    to the run's folder, and records all of it in a child of the MLflow run that trained the model.

    Args:
        run: run of this explanation.
        model: trained model to explain, with its network.
        preprocessing: transforms that load image and label of a datalist entry.
        cases: settings of the explanation of single images.
        latent: settings of the clusters.
        groups: columns of the datalist, and the metric that decides what is best and worst.
        evaluation: folder of an evaluation or of a cross-validation; None: the newest evaluation of
            this model in the tracking store.
        quick: whether to explain by fewer images, regions and shuffles, see
            :func:`pipeline.explanation.quick.quickened`.

    Raises:
        ValueError: an unknown layer, an impossible occlusion or number of clusters, no evaluation,
            or a metric that it lacks.
        FileNotFoundError: the folder holds no evaluation.
    """
    run.parent = model.record.mlflow_run_id
    with run.recorded():
        groups = groups or Groups()
        limits, cut = StepLimits(), ""
        if quick:
            cases, latent, limits, cut = quickened(cases, latent)
        network = network_of(model)
        images = Images(run.dataset_dir, preprocessing)
        explainer = CaseExplainer(network, cases)
        check_feature_names(network, [latent.layer or bottleneck_of(network)])
        check_clusters(len(images), latent.clusters)
        print(_begin_line(model, images, latent, cases), flush=True)
        if cut:
            print(cut, flush=True)
        rows, page = find_evaluation(run, model.record.mlflow_run_id, model.path, evaluation)
        check_metric(rows, groups.metric)
        columns, without = group_columns(groups.columns, rows, images.columns())
        in_cohort = [row for row in rows if row["image"] in images]
        if not in_cohort:
            raise ValueError(
                f"{run.dataset_dir}: holds no image of the evaluation; give its cohort"
            )
        of_each = [] if quick else columns
        chosen = extremes(in_cohort, of_each, groups.metric, lower_is_better(groups.metric))
        of_all = explain_latent(network, images, columns, latent)
        of_steps = explain_steps(
            network,
            explainer.layers,
            images,
            in_cohort,
            columns,
            groups.metric,
            limits,
            latent.seed,
        )
        of_cases = explain_cases(explainer, images, chosen, groups.metric)
        of_channels = explain_strongest(network, [images[extreme.image] for extreme in chosen])
        explanation = {
            "model": str(model.path),
            "metric": groups.metric,
            "columns": of_each,
            "quick": cut,
            "without_groups": without,
            "evaluated": {"images": len(rows), "in this cohort": len(in_cohort)},
            **of_cases.summary,
            **of_all.summary,
            **of_steps.summary,
            **of_channels.summary,
        }
        out = run.folder
        written = _write(out, explanation, (of_cases, of_all, of_steps, of_channels))
        pictures = [path for path in written if path.suffix == ".png"]
        write_with_section(out / "report.html", page, explanation, pictures)
        print(_format_summary(explanation, out, run), flush=True)
        _record(run, [*written, out / "report.html"], explanation)
    if evaluation is None:
        print_next_pack(run, model.record.run_name)


def _begin_line(
    model: TrainedModel, images: Images, latent: LatentSettings, settings: CaseSettings
) -> str:
    occlusion = settings.occlusion
    regions = f"hiding about {occlusion.regions} regions of each"
    if occlusion.size is not None:
        regions = f"hiding regions of {occlusion.size} pixels"
    return (
        f"explaining {shown(model.path)} of {model.record.run_name}: clusters of "
        f"{count(len(images.some(latent.images)), 'image')}, then its best and worst, {regions}"
    )


def network_of(model: TrainedModel) -> torch.nn.Module:
    """Return a model's network in evaluation mode, with a logit for every pixel.

    A network of unpadded convolutions gets the image mirrored at its borders.

    Raises:
        ValueError: the model has no network.
    """
    if model.network is None:
        raise ValueError(f"{model.path}: found weights without a network, expected both")
    network = model.network.eval()
    if isinstance(network, UNet) and network.padding == "valid":
        return Mirrored(network)
    return network


def group_columns(
    wanted: Sequence[str], rows: Sequence[Mapping[str, Any]], images: Sequence[Mapping[str, Any]]
) -> tuple[list[str], str]:
    """Return the columns that every image has, and a sentence on those that are left out.

    Args:
        wanted: names of the columns that should group the images.
        rows: per-image table of the evaluation.
        images: columns of every image of the cohort.

    Raises:
        ValueError: one word in place of a list.

    Example:
        >>> rows = [{"sex": "male"}, {"sex": "female"}]
        >>> group_columns(["sex", "age"], rows, rows)
        (['sex'], 'without groups by age: not every image has it; columns: sex')
    """
    check_list("groups#columns", wanted)
    lacking = [
        name
        for name in wanted
        if any(row.get(name) is None for row in rows)
        or any(image.get(name) is None for image in images)
    ]
    kept = [name for name in wanted if name not in lacking]
    if lacking:
        columns = sorted({name for image in images for name in image} - NO_COLUMNS)
        return kept, (
            f"without groups by {', '.join(lacking)}: not every image has it; "
            f"columns: {', '.join(columns) or 'none'}"
        )
    return kept, "" if wanted else "without groups: groups#columns is empty"


def _write(
    out: Path, explanation: Mapping[str, Any], parts: Sequence[ExplanationPart]
) -> list[Path]:
    written = []
    pictures = [picture for part in parts for picture in part.pictures.items()]
    for name, figure in track(pictures, "pictures", len(pictures), "picture"):
        written.append(out / f"{name}.png")
        with atomic(written[-1]) as temporary:
            temporary.write_bytes(as_png(figure))
    for part in parts:
        for name, table in part.tables.items():
            written.append(out / f"{name}.csv")
            with atomic(written[-1]) as temporary:
                temporary.write_text(as_csv(table), "utf-8")
    write_json(out / "explanation.json", explanation)
    return [*written, out / "explanation.json"]


def _record(run: Run, files: Sequence[Path], explanation: Mapping[str, Any]) -> None:
    for name in ("agreement_saliency", "agreement_grad_cam", "uncertainty_finds_errors"):
        values = [row[name] for row in explanation["cases"] if row.get(name) is not None]
        if values:
            run.log_metrics({f"explain_{name}": sum(values) / len(values)})
    for row in explanation["latent"].get("agreement", ()):
        # MLflow allows few characters in a name
        run.log_metrics({f"explain_ami_{re.sub(r'[^0-9A-Za-z]+', '_', row['groups'])}": row["ami"]})
    for path in files:
        run.log_artifact(path)


def _format_summary(explanation: Mapping[str, Any], out: Path, run: Run) -> str:
    """Return the lines that the run prints at its end."""
    occlusion, table = explanation["occlusion"], explanation["redundancy"]
    given = f" ({occlusion['given']})" if occlusion["given"] else ""
    lines = [
        f"{len(explanation['cases'])} images; hidden regions of {occlusion['size']} of the "
        f"network's pixels{given}"
    ]
    lines += [explanation["without_groups"]] if explanation["without_groups"] else []
    for row in explanation["latent"].get("agreement", ()):
        lines.append(
            f"clusters and {row['groups']}: adjusted mutual information {row['ami']:.3f}, by "
            f"chance {row['chance_low']:.3f} to {row['chance_high']:.3f}, p = {row['p']:.3g}"
        )
    for row in explanation["steps"].get("observations", ()):
        lines.append(f"{row['observation']}: {row['holds']}; {row['because']}")
    if table:
        total, distinct = (sum(row[name] for row in table) for name in ("channels", "distinct"))
        features = explanation["suggested_features"]
        suggestion = f"; suggested features: {features}" if features else ""
        lines.append(f"channels    {distinct} of {total} are distinct{suggestion}")
    lines.append(f"report      {shown(out / 'report.html')}")
    lines.append(f"MLflow run  {run.where()}")
    return "\n".join(lines)
