"""FLARE's filters of what leaves a site, as they are typed."""

import inspect
from collections.abc import Sequence

from nvflare.apis.filter import Filter
from nvflare.app_common.filters.percentile_privacy import PercentilePrivacy
from nvflare.app_common.filters.svt_privacy import SVTPrivacy

from pipeline.errors import nearest

FILTERS: dict[str, type[Filter]] = {"percentile": PercentilePrivacy, "svt": SVTPrivacy}
"""``percentile``: only the largest changes leave, clipped (Shokri and Shmatikov, CCS 2015);
``svt``: the sparse vector technique, which is differentially private."""


def privacy_filter(words: Sequence[str]) -> Filter:
    """Return the filter that words name: its name, then ``KEY=NUMBER`` for its settings.

    Raises:
        ValueError: an unknown filter or setting, or a value that is no number.

    Example:
        >>> privacy_filter(["percentile", "percentile=20", "gamma=0.1"]).percentile
        20.0
    """
    name, *settings = words
    if name not in FILTERS:
        raise ValueError(f"--privacy {name}: no such filter{nearest(name, FILTERS)}")
    own = [key for key in inspect.signature(FILTERS[name]).parameters if key != "data_kinds"]
    numbers = {}
    for setting in settings:
        key, _, text = setting.partition("=")
        if key not in own:
            raise ValueError(f"--privacy {setting}: no setting of {name}{nearest(key, own)}")
        try:
            numbers[key] = float(text)
        except ValueError:
            raise ValueError(f"--privacy {setting}: expected {key}=NUMBER") from None
    return FILTERS[name](**numbers)
