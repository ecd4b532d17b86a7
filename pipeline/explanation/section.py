"""The section of an explanation in the report of the evaluation that it explains."""

import base64
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
from PIL import Image

from pipeline.files import atomic

BEGIN, END = "<!-- explanation -->", "<!-- end of explanation -->"


def write_with_section(
    path: Path, page: str, found: Mapping[str, Any], pictures: Sequence[Path]
) -> None:
    """Write a report with the section of an explanation at its end; an older section goes.

    Args:
        path: of the page.
        page: the evaluation's report.
        found: what was found, as in ``explanation.json``.
        pictures: files of the pictures that belong to it, each known by its stem.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("pipeline.explanation", ""),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
    )
    section = environment.get_template("_section.html.jinja").render(
        found=found, pictures={each.stem: _embedded(each) for each in pictures}
    )
    with atomic(path) as temporary:
        temporary.write_text(with_section(page, section), "utf-8")


def with_section(page: str, section: str) -> str:
    """Return a page with a section before the end of its body, in place of an older one.

    Example:
        >>> once = with_section("<body>page</body>", "first")
        >>> with_section(once, "second")
        '<body>page<!-- explanation -->second<!-- end of explanation --></body>'
    """
    before, begin, rest = page.partition(BEGIN)
    after = rest.partition(END)[2] if begin else ""
    head, body, tail = (before + after).rpartition("</body>")
    if not body:
        head, tail = tail, ""  # a page that was cut off
    return f"{head}{BEGIN}{section}{END}{body}{tail}"


def _embedded(path: Path) -> str:
    """A picture as a page holds it: WebP is a tenth of PNG, and the files lie beside the page."""
    buffer = io.BytesIO()
    Image.open(path).convert("RGB").save(buffer, format="WEBP", quality=85)
    return base64.b64encode(buffer.getvalue()).decode("ascii")
