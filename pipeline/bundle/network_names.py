"""Short names of the project's networks, as they are typed and shown."""

from collections.abc import Mapping
from typing import Any

NETWORKS = {
    "unet": "pipeline.networks.UNet",
    "unetpp": "pipeline.networks.UNetPlusPlus",
    "unet3plus": "pipeline.networks.UNet3Plus",
}
"""Each name, and the ``_target_`` of its ``network_def``."""


def network_name(config: Mapping[str, Any]) -> str:
    """Return the short name of a config's network; of another network the name of its class.

    Example:
        >>> network_name({"network_def": {"_target_": "pipeline.networks.UNetPlusPlus"}})
        'unetpp'
        >>> network_name({"network_def": {"_target_": "BasicUNet"}}), network_name({})
        ('BasicUNet', '')
    """
    definition = config.get("network_def")
    target = str(definition.get("_target_", "")) if isinstance(definition, Mapping) else ""
    names = {target: name for name, target in NETWORKS.items()}
    return names.get(target, target.rpartition(".")[2])
