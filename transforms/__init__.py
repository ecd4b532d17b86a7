"""Transforms the field needs and MONAI lacks: each an array transform and a dictionary wrapper."""
