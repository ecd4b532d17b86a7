"""A page as Chromium shows it, without a network, and what a script sees of it."""

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
needs_chromium = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium or Chrome on this machine"
)
FRAMED = """<!doctype html><iframe id="page" width="{width}" height="900" srcdoc="{page}"></iframe>
<script>addEventListener("load", () => {{
  const frame = document.getElementById("page"), page = frame.contentDocument;
  const box = document.createElement("pre");
  const script = () => {{ {script} }};
  box.id = "seen";
  box.textContent = JSON.stringify({{
    script: script(),
    width: page.documentElement.clientWidth, needed: page.documentElement.scrollWidth,
    broken: [...page.images].filter(i => !i.naturalWidth).length,
    nameless: page.querySelectorAll("img:not([alt]), input:not(label input), h1 ~ h1").length,
    pictures: page.images.length, drawings: page.querySelectorAll("svg").length,
    requests: frame.contentWindow.performance.getEntriesByType("resource").map(e => e.name)
      .filter(name => !name.startsWith("data:")),
  }});
  document.body.append(box);
}})</script>"""


def see(page: Path, width: int, folder: Path, script: str = "") -> dict[str, Any]:
    """Open a page, run the body of a function of ``page`` and ``frame``, and return what is seen.

    An error in the console, a request and a picture that does not load fail.
    """
    framed = folder / "framed.html"
    text = html.escape(page.read_text("utf-8"))
    framed.write_text(FRAMED.format(width=width, page=text, script=script), "utf-8")
    done = subprocess.run(
        [
            CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr",
            f"--user-data-dir={folder / 'profile'}", "--window-size=1400,1000",
            "--virtual-time-budget=5000", "--dump-dom", framed.as_uri(),
        ],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    assert "CONSOLE" not in done.stderr, done.stderr
    seen = json.loads(html.unescape(re.search(r'<pre id="seen">(.*?)</pre>', done.stdout)[1]))
    assert (seen["broken"], seen["nameless"], seen["requests"]) == (0, 0, [])
    assert width - 20 <= seen["width"] <= width  # beside a scroll bar
    assert seen["needed"] <= seen["width"]
    return seen
