"""Definitions of several networks that may be compared: alike in all that each of them has.

The rule: every network has the bundle's ``features``, normalisation, activation, strides and
kernels; UNet 3+ has as many skip channels as the first level has features. What only some of them
have (dropout, deep supervision, ``pixel_unshuffle``, further convolutions, …) none of them has.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.bundle.network_names import NETWORKS
from pipeline.planning.overlays import repeated_rows

FULL_SCALE = "unet3plus"
FULL_SCALE_LEVELS = 5
"""Levels of UNet 3+, which has neither fewer nor more."""
KEPT = ("spatial_dims", "in_channels", "out_channels", "features", "strides", "kernels")
STYLE = {"norm": "batch", "act": "relu"}
"""Arguments that every network has, and the values where the bundle's names none."""
DECODER_LAST = ("BasicUNet", "BasicUNetPlusPlus")
"""Networks of MONAI whose last number of features is that of the decoder's end."""
WITHOUT_EFFECT = (0, 1, None, "same")
"""Values of what is left out that change nothing, ``False`` and ``True`` excepted by type."""


def check_names(names: Sequence[str]) -> None:
    """Refuse names of networks that do not exist, one alone, and one that stands twice.

    Raises:
        ValueError: the first of these.
    """
    expected = f"expected two or more of {', '.join(NETWORKS)}"
    for name in names:
        if name not in NETWORKS:
            raise ValueError(f"--networks {name}: no such network; {expected}")
    if len(names) < 2 or len(set(names)) < len(names):
        raise ValueError(f"--networks {' '.join(names)}: {expected}, each once")


def comparable_networks(
    definition: Mapping[str, Any], names: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """Return the ``network_def`` of each network, by its name.

    Where UNet 3+ is among them, all have its five levels: features are doubled, and the last
    strides and kernels repeated, until there are five.

    Args:
        definition: of the bundle's own network.
        names: of :data:`pipeline.bundle.network_names.NETWORKS`.

    Raises:
        ValueError: unknown names, or a network whose features cannot be taken over.

    Example:
        >>> own = {"_target_": "pipeline.networks.UNet", "features": [4, 8], "norm": "batch"}
        >>> networks = comparable_networks(own, ["unet", "unet3plus"])
        >>> networks["unet"]["features"], networks["unet3plus"]["skip_channels"]
        ([4, 8, 16, 32, 64], 4)
    """
    check_names(names)
    common = {key: definition[key] for key in KEPT if definition.get(key) is not None}
    common |= {key: _style(definition.get(key, default)) for key, default in STYLE.items()}
    common |= _levels(definition, FULL_SCALE in names)
    return {name: {"_target_": NETWORKS[name], **common, **_own(name, common)} for name in names}


def left_out(definition: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the bundle's network has and the compared ones have not.

    Example:
        >>> left_out({"_target_": "UNet", "features": [4, 8], "pixel_unshuffle": 2, "dropout": 0.0})
        {'pixel_unshuffle': 2}
    """
    return {
        key: value
        for key, value in definition.items()
        if key not in (*KEPT, *STYLE, "_target_", "skip_channels")
        and (value is True or value not in WITHOUT_EFFECT)
    }


def _own(name: str, common: Mapping[str, Any]) -> dict[str, Any]:
    if name == FULL_SCALE:
        return {"skip_channels": common["features"][0]}
    return {"dropout": 0.0}


def _style(value: Any) -> Any:
    """A name, of MONAI's name with arguments as well: ``["instance", {"affine": true}]``."""
    return value[0] if isinstance(value, (list, tuple)) else value


def _levels(definition: Mapping[str, Any], full_scale: bool) -> dict[str, Any]:
    features = _features(definition)
    if full_scale and len(features) > FULL_SCALE_LEVELS:
        raise ValueError(
            f"network_def#features: found {len(features)}, and {FULL_SCALE} has "
            f"{FULL_SCALE_LEVELS} levels; leave {FULL_SCALE} out, or set {FULL_SCALE_LEVELS} "
            "features"
        )
    while full_scale and len(features) < FULL_SCALE_LEVELS:
        features = [*features, 2 * features[-1]]
    counts = {"strides": len(features) - 1, "kernels": len(features)}
    rows = {
        key: repeated_rows(definition[key], count)
        for key, count in counts.items()
        if definition.get(key) is not None
    }
    return {"features": features, **rows}


def _features(definition: Mapping[str, Any]) -> list[int]:
    target = str(definition.get("_target_")).rpartition(".")[2]
    features = definition.get("features", definition.get("channels"))
    if not isinstance(features, (list, tuple)) or not all(isinstance(n, int) for n in features):
        raise ValueError(
            f"network_def#features: found {features} of {target}, expected numbers, by which the "
            "networks are made alike; lay the network unet over the bundle: --with unet"
        )
    return list(features[:-1] if target in DECODER_LAST else features)
