"""Drawings of matplotlib as they stand in a page."""

import io

import matplotlib
from matplotlib.figure import Figure


def as_svg(figure: Figure) -> str:
    """Return a drawing as SVG, the same at every call."""
    text = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": "unet-school"}):
        figure.savefig(text, format="svg", metadata={"Date": None})
    return text.getvalue()[text.getvalue().index("<svg") :]
