"""Pages from templates, self-contained by a policy that the browser keeps."""

import base64
import hashlib
from pathlib import Path
from typing import Any

import jinja2

from pipeline.files import atomic
from pipeline.pages.numbers import plain_number
from pipeline.pages.pictures import LABEL_COLOURS

VIEWER = "viewer.js.jinja"
"""The script; as a template it is packed with a bundle's source."""


def write_page(path: Path, package: str, template: str, **values: Any) -> None:
    """Write a page from a template of a package, or from one of this package.

    What stands in it is escaped, and a policy within forbids every request and every script but
    our own: the name of a file can run nothing.

    Args:
        path: of the page.
        package: that holds the template.
        template: its file.
        values: that it shows.
    """
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader(
            [jinja2.PackageLoader(package, ""), jinja2.PackageLoader("pipeline.pages", "")]
        ),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = plain_number
    script = environment.get_template(VIEWER).render(label_colours=LABEL_COLOURS)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    page = environment.get_template(template).render(
        viewer_script=script, viewer_hash=f"sha256-{digest}", **values
    )
    with atomic(path) as temporary:
        temporary.write_text(page, "utf-8")
