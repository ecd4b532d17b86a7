"""The configs of a packed bundle: made from its values and the release's own wiring.

``pack`` reads the values out of what a training and its evaluation executed. Sender and receiver
make the configs from them, so that a config which differs from its values is not accepted.
"""

import copy
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

import yaml
from monai.bundle.reference_resolver import ReferenceResolver

from pipeline.bundle import Bundle
from pipeline.bundle.bundle import OVERLAYS
from pipeline.bundle.config_files import ConfigFiles
from pipeline.bundle.flatten import dump, flatten
from pipeline.bundle.overrides import apply_overrides
from pipeline.planning.wiring import wiring
from pipeline.sharing.values import Values

FINGERPRINT = "docs/fingerprint.json"
EVALUATION = "docs/evaluation.json"
EXPORTS = "docs/exports.json"
PAPER_STEPS = "pipeline.papers."
"""Prefix of evaluation steps that compute a paper's results; a packed bundle omits them."""
MEASURED = (
    "spatial_dims", "in_channels", "labels", "ignore", "symmetries", "instances", "window", "size",
    "window_inferer", "pixel_size", "ct_width", "ct_level", "network_def", "image_preprocessing",
    "label_preprocessing", "label_resampling",
)  # fmt: skip
"""Keys of what an evaluation measured: inference has them as the evaluation had them."""
OF_TEACHERS = ("teachers", "teacher_share", "temperature", "teachers_of", "distillation")
"""Keys of a distillation: a package has no teachers, and its receiver trains with the truth."""
TEACHING = "@distillation"
"""What a distillation adds to the handlers of a training."""
RUN_OF = {str(config).removesuffix(".yaml"): run for run, config in OVERLAYS.items() if config}
"""The run of each config that is laid over ``train``."""


def packed_values(
    bundle: Bundle, trained: Mapping[str, Any], evaluated: Mapping[str, Any]
) -> Values:
    """Return what a bundle's configs say beside the wiring.

    Args:
        bundle: the bundle.
        trained: the complete config that the training executed.
        evaluated: the complete config that the evaluation executed.
    """
    measured = {key: evaluated[key] for key in MEASURED if key in evaluated}
    train = _own("train", _alone({**trained, **measured}))
    overlays = {
        config: ConfigFiles.load_config_files(bundle.files(run)[-1:])
        for config, run in RUN_OF.items()
        if config != "evaluate"
    }
    steps = [step for step in evaluated["evaluating"] if not _is_paper_step(step)]
    overlays["evaluate"] = {
        key: value
        for key, value in evaluated.items()
        if key not in {*trained, *measured} - {"network"}
    } | {"evaluating": steps}
    return Values(train=train, **{name: _own(name, config) for name, config in overlays.items()})


def packed_configs(values: Values) -> dict[str, bytes]:
    """Return each config of a packed bundle, by its path in the bundle.

    Args:
        values: of the bundle.

    Raises:
        ValueError: a value has no place in the wiring.
    """
    train = _config({}, values.train, "train")
    configs = {"train": train, "multi_gpu": _config(train, {}, "multi_gpu")}
    configs |= {name: _config(train, getattr(values, name), name) for name in RUN_OF}
    title = f"{values.train.get('bundle')}: %s, whole; made by unet-school pack"
    whole = {name: flatten(config) for name, config in configs.items()}
    return {f"configs/{name}.yaml": dump(config, title % name) for name, config in whole.items()}


def _alone(trained: Mapping[str, Any]) -> dict[str, Any]:
    """Return the config of a training without its teachers and the run that it belonged to."""
    kept = {key: value for key, value in trained.items() if key not in OF_TEACHERS}
    handlers = [handler for handler in trained["train"]["handlers"] if handler != TEACHING]
    run = {key: value for key, value in trained["current_run"].items() if key != "parent"}
    return {**kept, "current_run": run, "train": {**trained["train"], "handlers": handlers}}


@cache
def _read_places() -> dict[str, dict[str, Any]]:
    content: dict[str, dict[str, Any]] = yaml.safe_load(
        files("pipeline.sharing").joinpath("places.yaml").read_text("utf-8")
    )
    return content


def places(config: str) -> dict[str, Any]:
    """Return what a packed config says of places, times and the machine.

    Example:
        >>> places("inference")["model"]
        "$@models_dir + '/model.pt'"
    """
    return copy.deepcopy(_read_places().get(config, {}))


def wired_keys(config: str) -> set[str]:
    """Return the top-level keys that a packed config has from wiring and places."""
    more = () if config == "train" else (*wiring("train"), *places("train"))
    return {*wiring(config), *places(config), *more, "_meta_"}


def _own(config: str, executed: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keys that are not of wiring or places, and where the wiring was changed."""
    wired = wired_keys(config)
    own = {key: value for key, value in executed.items() if key not in wired}
    own |= dict(_changes(wiring(config), executed, ""))
    of_processes = _normalised(wiring("multi_gpu"))  # how it was computed, not what
    return {
        key: copy.deepcopy(value)
        for key, value in own.items()
        if key not in of_processes or _normalised(value) != of_processes[key]
    }


def _changes(wired: Mapping[str, Any], executed: Mapping[str, Any], place: str) -> Iterator[Any]:
    """Yield each key whose value differs from the wiring's; a section is looked into."""
    for key, value in wired.items():
        if key not in executed or key == "run":  # MONAI's own name of a run that has another
            continue
        is_section = isinstance(value, dict) and "_target_" not in value
        if is_section and isinstance(executed[key], dict):
            yield from _changes(value, executed[key], f"{place}{key}#")
        elif _normalised(executed[key]) != _normalised(value):
            yield f"{place}{key}", executed[key]


def _normalised(value: Any) -> Any:
    """Return a value as MONAI writes its references: ``@train#dataset`` as ``@train::dataset``."""
    if isinstance(value, dict):
        return {key: _normalised(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_normalised(item) for item in value]
    return ReferenceResolver.normalize_id(value) if isinstance(value, str) else value


def _config(base: Mapping[str, Any], own: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return a config: its own keys, its places and its wiring over a base.

    They are written in this order; where two have a key, the first of them counts.
    """
    layers = [own, places(name), wiring(name)]
    order = {key: None for layer in layers for key in layer if "#" not in key}
    whole: dict[str, Any] = dict(base) | order
    deeper: dict[str, Any] = {}
    for layer in reversed(layers):
        whole |= {key: value for key, value in layer.items() if "#" not in key}
        deeper |= {key: value for key, value in layer.items() if "#" in key}
    config = copy.deepcopy(whole)
    apply_overrides(config, copy.deepcopy(deeper))
    return config


def _is_paper_step(step: Any) -> bool:
    return isinstance(step, dict) and step.get("_target_", "").startswith(PAPER_STEPS)
