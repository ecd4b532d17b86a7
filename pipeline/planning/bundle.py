"""Writing a planned bundle: configs, metadata and documents, each planned value with its reason."""

import textwrap
from collections.abc import Mapping
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2

from pipeline.files import write_text
from pipeline.planning.plan import Choice, Fingerprint, Plan
from pipeline.planning.wiring import CONFIGS, wiring_text
from pipeline.provenance import versions

TEMPLATES = {
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
"""The files of a bundle; ``train.yaml``, which makes it one, last."""

REQUIRED = ("unet-school", "pytorch-ignite", "mlflow", "nibabel", "simpleitk", "tifffile")
COMMENT_WIDTH = 100


def write_bundle(
    folder: Path, bundle: Path, plan: Plan, found: Fingerprint, data_type: str, mended: int
) -> None:
    """Write the bundle's files to ``folder``, beside the cohort in its ``data``.

    Args:
        folder: where to write.
        bundle: where the bundle will be; its name is the bundle's.
        plan: what to write.
        found: the fingerprint that was planned from.
        data_type: format of the images, as ``png``.
        mended: masks and images of the cohort that were mended.
    """
    content = _content(bundle, plan, found, data_type, mended)
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_template),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["because"] = because
    for name, template in TEMPLATES.items():
        text = environment.get_template(template).render(content)
        config = Path(name).stem
        write_text(folder / name, text + (wiring_text(config) if config in CONFIGS else ""))


def choices(plan: Plan) -> dict[str, Choice]:
    """Return the planned values by name."""
    return {name: each for name, each in plan._asdict().items() if isinstance(each, Choice)}


def because(choice: Choice, indent: int = 0) -> str:
    """Return a choice's reason as lines of a YAML comment.

    Example:
        >>> because(Choice(2, "all images are flat"))
        '# all images are flat'
    """
    lines = textwrap.wrap(choice.reason, COMMENT_WIDTH - 2 - indent)
    return f"\n{' ' * indent}".join(f"# {line}" for line in lines)


def _template(name: str) -> str:
    return files("pipeline.planning").joinpath("templates", name).read_text("utf-8")


def _content(
    bundle: Path, plan: Plan, found: Fingerprint, data_type: str, mended: int
) -> Mapping[str, Any]:
    name, labels = bundle.resolve().name, list(plan.labels.value)
    volumes = plan.spatial_dims.value == 3
    return {
        "name": name,
        "title": name.replace("_", " ").capitalize(),
        "bundle": str(bundle),
        "configs": f"{bundle}/configs",
        "plan": plan,
        "choices": choices(plan).items(),
        "cases": found["cases"],
        "splits": ", ".join(f"{count} {split}" for split, count in found["splits"].items()),
        "mended": f" {mended} files were mended in the cohort; the originals are as they were."
        if mended
        else "",
        "volumes": volumes,
        # of a volume's window some hundred regions, since each costs the whole window
        "occlusion_size": max(1, min(plan.window.value) // 5) if volumes else 16,
        "weighted": plan.loss.value == "weighted_bce",
        "drawn_around_classes": plan.kind == "classes" and plan.crop.value == "foreground",
        # the symmetries of the square are those of flat images
        "symmetries": 8 if plan.symmetric.value and not volumes else 1,
        "instances": plan.kind == "instances" and plan.loss.value == "weighted_bce",
        "ct_window": [found["intensity_percentiles"][key][1] for key in ("0.5", "99.5")],
        "versions": versions(),
        "required": {package: version(package) for package in REQUIRED},
        "data_type": data_type,
        "label_classes": ", ".join(
            ["0 background", *(f"{number} {label}" for label, number in plan.labels.value.items())]
        ),
        "channel_def": {str(i): f"logit of {label}" for i, label in enumerate(labels)},
    }
