"""What MkDocs does not do by itself: generated pages, links out of ``docs``, no outside assets."""

import argparse
import json
import os
import posixpath
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
sys.path.insert(0, str(ROOT))
LINK = re.compile(r"\[([^\]]*)\]\(([^)#:\s]+)(#[\w-]+)?\)")
ASSET = r"""<(?:script|img|link|iframe)\b[^>]*?(?:src|href)=["']?(?:https?:)?//[^"'> ]+"""
OUTSIDE = re.compile(ASSET)
"""An asset that a browser would fetch from elsewhere; a link that a reader follows is no asset."""


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that are made: bundles, notebooks, commands."""
    pages = {f"bundles/{path.parts[-3]}.md": path.read_text("utf-8") for path in bundle_pages()}
    for path in sorted((DOCS / "notebooks").glob("*.ipynb")):
        pages[f"notebooks/{path.stem}.md"] = notebook_page(path)
    pages["reference/commands.md"] = command_page()
    for name, content in pages.items():
        files.append(File.generated(config, name, content=content))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Turn links to files of the repository into links of the site."""
    name = page.file.src_uri
    return LINK.sub(lambda match: site_link(match, name), markdown)


def on_post_build(config: Any) -> None:
    """Refuse a site that would fetch anything from a network.

    Raises:
        PluginError: names page and asset.
    """
    for path in sorted(Path(config["site_dir"]).rglob("*.html")):
        if match := OUTSIDE.search(path.read_text("utf-8")):
            raise PluginError(f"{path}: fetches {match[0]}; a page of the site needs no network")


def bundle_pages() -> list[Path]:
    """Return the pages of the bundles."""
    return sorted(ROOT.glob("bundles/*/docs/README.md"))


def site_link(match: re.Match[str], page: str) -> str:
    """Return a link as the site has it; to a file that it does not have, the words alone."""
    text, target, anchor = match[1], match[2], match[3] or ""
    folder = source_of(page).parent
    path = Path(os.path.normpath(folder / target))
    if path in bundle_pages():
        inside = f"bundles/{path.parts[-3]}.md"
    elif path.is_relative_to(DOCS):
        inside = path.relative_to(DOCS).as_posix().replace(".ipynb", ".md")
    elif path.is_relative_to(ROOT) and path.exists():
        return f"{text} (`{path.relative_to(ROOT).as_posix()}`)"
    else:
        return match[0]
    return f"[{text}]({posixpath.relpath(inside, posixpath.dirname(page) or '.')}{anchor})"


def source_of(page: str) -> Path:
    """Return the file of the repository that a page of the site is made of."""
    if page.startswith("bundles/"):
        return ROOT / "bundles" / Path(page).stem / "docs" / "README.md"
    return DOCS / page


def notebook_page(path: Path) -> str:
    """Return a notebook as a page."""
    cells = json.loads(path.read_text("utf-8"))["cells"]
    parts = []
    for cell in cells:
        text = "".join(cell["source"])
        parts.append(text if cell["cell_type"] == "markdown" else f"```python\n{text}\n```")
    return "\n\n".join([*parts, f"[The notebook itself]({path.name}){{ download }}"])


def command_page() -> str:
    """Return the reference of the command line, from what the program itself takes."""
    from pipeline.cli import _parser

    title = "# Commands\n\nMade from the program; `unet-school COMMAND --help` prints the same."
    return "\n\n".join([title, *sections(_parser(), "", 2)]) + "\n"


def sections(parser: argparse.ArgumentParser, purpose: str, level: int) -> Iterator[str]:
    """Yield a section for a command, and for each of its own."""
    if level > 2:
        yield f"{'#' * min(level - 1, 4)} {parser.prog}"
        yield plain(parser.description or purpose)
        yield from argument_table(parser)
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            helps = {choice.dest: choice.help or "" for choice in action._choices_actions}
            for name, command in action.choices.items():
                yield from sections(command, helps.get(name, ""), level + 1)


def argument_table(parser: argparse.ArgumentParser) -> Iterator[str]:
    """Yield the table of a command's arguments, if it has any."""
    rows = [
        f"| `{argument_name(action)}` | {plain(action.help or '')} |"
        for action in parser._actions
        if not isinstance(action, argparse._HelpAction | argparse._SubParsersAction)
        and action.help != argparse.SUPPRESS
    ]
    if rows:
        yield "\n".join(["| argument | meaning |", "|---|---|", *rows])


def argument_name(action: argparse.Action) -> str:
    """Return an argument as it is typed.

    Example:
        >>> parser = argparse.ArgumentParser()
        >>> argument_name(parser.add_argument("--runs", nargs="+", metavar="RUN"))
        '--runs RUN …'
    """
    if action.nargs == 0:
        return ", ".join(action.option_strings)
    names = action.choices or action.metavar or action.dest.upper()
    value = names if isinstance(names, str) else " ".join(map(str, names))
    more = " …" if action.nargs in ("+", "*") else ""
    return " ".join([*action.option_strings[:1], value]).strip() + more


def plain(text: str) -> str:
    """Return text of a help message as Markdown shows it literally."""
    words = text.replace("%%", "%").replace("|", "\\|").replace("<", "&lt;")
    return words.replace("%(default)s", "the default").replace("*", "\\*")
