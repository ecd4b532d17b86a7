"""A bundle on disk: its configs, overlays and overrides, checked and started."""

from pipeline.bundle.bundle import Bundle
from pipeline.bundle.prepare import prepare
from pipeline.bundle.workflow import bundle_root

__all__ = ["Bundle", "bundle_root", "prepare"]
