"""The section of an explanation in the report of its evaluation."""

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
    path: Path, page: str, explanation: Mapping[str, Any], pictures: Sequence[Path]
) -> None:
    """Write a report with the section of an explanation at its end, in place of an older one.

    Args:
        path: file to write.
        page: HTML of the evaluation's report.
        explanation: content of ``explanation.json``.
        pictures: files of its pictures; the template uses their stems as names.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("pipeline.explanation", ""),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
    )
    section = environment.get_template("_section.html.jinja").render(
        explanation=explanation, pictures={file.stem: _embedded(file) for file in pictures}
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
    """Return a picture as base64 for the page: WebP, which is a tenth of PNG's size.

    The PNG files themselves lie next to the page.
    """
    buffer = io.BytesIO()
    Image.open(path).convert("RGB").save(buffer, format="WEBP", quality=85)
    return base64.b64encode(buffer.getvalue()).decode("ascii")
