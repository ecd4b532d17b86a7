"""The colours of text can be read, by light and by dark (WCAG 2, level AA)."""

import re
from importlib.resources import files

import pytest

STYLE = (files("pipeline.pages") / "_style.html.jinja").read_text("utf-8")
LIGHT, DARK = (dict(re.findall(r"--(\w+): (#\w{6})", block)) for block in STYLE.split("@media")[:2])
TEXTS = ("ink", "soft", "accent", "good", "caution", "bad")


def luminance(colour):
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.mark.parametrize("palette", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize("ground", ["page", "card"])
@pytest.mark.parametrize("text", TEXTS)
def test_contrast(palette, ground, text):
    darker, brighter = sorted(luminance(palette[name]) for name in (ground, text))
    assert (brighter + 0.05) / (darker + 0.05) >= 4.5
