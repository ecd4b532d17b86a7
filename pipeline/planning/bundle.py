"""Writing a planned bundle: configs, metadata and documents, with the reason of each value."""

import textwrap
from collections.abc import Mapping
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2

from pipeline.bundle.bundle import EXPERIMENTS
from pipeline.data.label_numbers import all_numbers, label_names
from pipeline.files import write_text
from pipeline.planning.choice import Choice, Fingerprint
from pipeline.planning.ct import ct_window
from pipeline.planning.locate import plan_locate
from pipeline.planning.network import is_everywhere
from pipeline.planning.overlays import overlays_by_axis
from pipeline.planning.plan import Plan
from pipeline.planning.wiring import CONFIGS, wiring_text
from pipeline.provenance import versions

TEMPLATES = {
    ".gitignore": "gitignore",
    "LICENSE": "LICENSE",
    "docs/data_license.txt": "data_license.txt",
    "docs/README.md": "README.md.jinja",
    "configs/logging.conf": "logging.conf",
    "configs/metadata.json": "metadata.json.jinja",
    "configs/inference.yaml": "inference.yaml.jinja",
    "configs/evaluate.yaml": "evaluate.yaml.jinja",
    "configs/explain.yaml": "explain.yaml.jinja",
    "configs/multi_gpu.yaml": "multi_gpu.yaml.jinja",
    "configs/train.yaml": "train.yaml.jinja",
}
"""Files of a bundle and their templates; ``train.yaml`` is last: with it the bundle is complete."""

LOCATE = "locate.yaml.jinja"
"""The overlay that locates first, of a cohort in which that pays."""
REQUIRED = ("unet-school", "pytorch-ignite", "mlflow", "nibabel", "simpleitk", "tifffile")
COMMENT_WIDTH = 100


def write_bundle(
    folder: Path, bundle: Path, plan: Plan, fingerprint: Fingerprint, data_type: str, mended: int
) -> None:
    """Write the bundle's files to ``folder``, which holds the cohort in ``data``.

    Args:
        folder: folder to write to.
        bundle: folder where the bundle will be, whose name is the bundle's name.
        plan: plan of the bundle.
        fingerprint: fingerprint of the cohort that the plan was made from.
        data_type: format of the images, for example ``png``.
        mended: number of masks and images of the cohort that were mended.
    """
    content = _content(bundle, plan, fingerprint, data_type, mended)
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_template),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["because"] = because
    if by_axis(plan):
        for name, text in overlays_by_axis(plan.strides.value, plan.kernels.value).items():
            write_text(folder / "configs" / EXPERIMENTS / name, text)
    if locate := plan_locate(plan, fingerprint):
        overlay = environment.get_template(LOCATE).render(content, locate=locate)
        write_text(folder / "configs" / EXPERIMENTS / LOCATE.removesuffix(".jinja"), overlay)
    # the order of the labels is that of the network's maps
    environment.policies["json.dumps_kwargs"] = {"sort_keys": False}
    for name, template in TEMPLATES.items():
        text = environment.get_template(template).render(content)
        config = Path(name).stem
        write_text(folder / name, text + (wiring_text(config) if config in CONFIGS else ""))


def choices(plan: Plan) -> dict[str, Choice]:
    """Return the planned values and their reasons by name."""
    return {name: value for name, value in plan._asdict().items() if isinstance(value, Choice)}


def by_axis(plan: Plan) -> dict[str, Choice]:
    """Return the network's strides and kernels by name, those that are not its defaults."""
    values = {"strides": (plan.strides, 2), "kernels": (plan.kernels, 3)}
    return {
        name: choice
        for name, (choice, default) in values.items()
        if not is_everywhere(default, choice.value)
    }


def because(choice: Choice, indent: int = 0) -> str:
    """Return a choice's reason as lines of a YAML comment.

    Example:
        >>> because(Choice(2, "all images are flat"))
        '# all images are flat'
    """
    lines = textwrap.wrap(choice.reason, COMMENT_WIDTH - 2 - indent)
    return f"\n{' ' * indent}".join(f"# {line}" for line in lines)


def _channel_names(plan: Plan) -> dict[str, str]:
    names = list(plan.endings or [f"image {i + 1}" for i in range(plan.channels.value)])
    if len(names) == 1:
        names = ["image"]
    if plan.colour:
        names = ["red", "green", "blue"]
    return {str(i): name for i, name in enumerate(names)}


def _template(name: str) -> str:
    return files("pipeline.planning").joinpath("templates", name).read_text("utf-8")


def _content(
    bundle: Path, plan: Plan, fingerprint: Fingerprint, data_type: str, mended: int
) -> Mapping[str, Any]:
    name = bundle.resolve().name
    volumes = plan.spatial_dims.value == 3
    return {
        "name": name,
        "title": name.replace("_", " ").capitalize(),
        "bundle": str(bundle),
        "configs": f"{bundle}/configs",
        "plan": plan,
        "choices": choices(plan).items(),
        "by_axis": by_axis(plan).items(),
        "cases": fingerprint["cases"],
        "splits": ", ".join(f"{count} {split}" for split, count in fingerprint["splits"].items()),
        "mended": f" {mended} files were mended in the cohort; the originals are as they were."
        if mended
        else "",
        "volumes": volumes,
        "mirror_axes": list(range(plan.spatial_dims.value)) if plan.symmetric.value else [],
        "turned_axes": _turned_axes(plan),
        "shift": [side // 16 for side in plan.patch.value],
        "weighted": plan.loss.value == "weighted_bce",
        "channel_names": _channel_names(plan),
        "label_keys": "[label, instances]" if plan.loss.value == "weighted_bce" else "label",
        "drawn_around_classes": plan.kind == "classes" and plan.crop.value == "foreground",
        # the symmetries of the square are those of flat images
        "symmetries": 8 if plan.symmetric.value and not volumes else 1,
        "instances": plan.kind == "instances" and plan.loss.value == "weighted_bce",
        "ct": ct_window(fingerprint),
        "modality": fingerprint.get("modality", ""),
        "versions": versions(),
        "required": {package: version(package) for package in REQUIRED},
        "data_type": data_type,
        "label_classes": _label_classes(plan),
        "all_numbers": all_numbers(plan.labels.value),
        "channel_def": label_names(plan.labels.value),
    }


def _turned_axes(plan: Plan) -> list[int]:
    """Return the axes that the first level convolves along: all but that of thick slices."""
    if plan.spatial_dims.value == 2:
        return [0, 1]
    return [axis for axis, side in enumerate(plan.kernels.value[0]) if side > 1]


def _label_classes(plan: Plan) -> str:
    """Say what each number of the masks means, for the metadata.

    A region is listed with all its numbers, as ``1|2|3 whole (region)``.
    """
    labels = [
        f"{label} {name}"
        if isinstance(label, int)
        else f"{'|'.join(map(str, label))} {name} (region)"
        for name, label in plan.labels.value.items()
    ]
    ignored = [] if plan.ignore is None else [f"{plan.ignore} ignored"]
    return ", ".join(["0 background", *labels, *ignored])
