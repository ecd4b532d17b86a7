"""A bundle on disk: its configs, overlays and overrides, checked and started.

The names are imported when they are asked for: they need MONAI, other modules here do not.
"""

from typing import TYPE_CHECKING

from pipeline.lazy import lazy_names

if TYPE_CHECKING:
    from pipeline.bundle.bundle import Bundle
    from pipeline.bundle.preparation import prepare
    from pipeline.bundle.workflow import bundle_root

__all__ = ["Bundle", "bundle_root", "prepare"]
__getattr__ = lazy_names(
    __name__, {"Bundle": "bundle", "bundle_root": "workflow", "prepare": "preparation"}
)
