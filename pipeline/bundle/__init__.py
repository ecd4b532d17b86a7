"""A bundle on disk: its configs, overlays and overrides, checked and started."""
