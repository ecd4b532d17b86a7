"""Every command in a document is one that the program takes, with files and keys that exist.

The runs themselves are typed in ``tests/bundles/test_verbs.py`` and ``test_command_line.py``.
"""

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from monai.bundle import ConfigParser

from pipeline import cli
from pipeline.bundle import Bundle
from pipeline.bundle.bundle import OVERLAYS
from pipeline.bundle.check import check_run_id, config_errors
from pipeline.bundle.overrides import apply_overrides, read_settings
from tests.conftest import ROOT

PAGES = [
    path
    for pattern in ("*.md", "docs/**/*.md", "bundles/*/docs/*.md", "mlruns/*.md")
    for path in sorted(ROOT.glob(pattern))
    if path.name != "CHANGELOG.md"
]
FENCED = re.compile(r"^```\w*\n(.*?)^```", re.MULTILINE | re.DOTALL)


def commands() -> Iterator[tuple[str, str]]:
    """Yield each command in a fenced block, with the page it stands on."""
    for page in PAGES:
        for block in FENCED.findall(page.read_text("utf-8")):
            for line in block.replace("\\\n", " ").splitlines():
                text = line.partition(" #")[0].replace("…", "").strip()
                if text.startswith(("unet-school ", "python -m monai.bundle run", "make ")):
                    yield str(page.relative_to(ROOT)), text


COMMANDS = sorted(set(commands()))
OURS = [pair for pair in COMMANDS if pair[1].startswith("unet-school")]
MONAIS = [pair for pair in COMMANDS if pair[1].startswith("python")]
MAKES = [pair for pair in COMMANDS if pair[1].startswith("make")]


def words_of(text: str) -> list[str]:
    """The words of a command; what may be left out, in brackets, is typed."""
    without_brackets = re.sub(r"\[(--[^\]]*)\]", r"\1", text)
    return shlex.split(without_brackets)


def test_there_are_examples():
    assert len(OURS) > 30
    assert MONAIS
    assert MAKES


@pytest.mark.parametrize(("page", "text"), OURS)
def test_our_command_is_taken(page, text, capsys):
    options = cli._parser().parse_args(words_of(text)[1:])
    run = getattr(options, "monai_run", None)
    if run and (ROOT / options.bundle).is_dir():
        overlays = [name for name in options.overlays if not name.startswith("runs/")]
        overlays = [ROOT / name if name.endswith(".yaml") else name for name in overlays]
        Bundle(ROOT / options.bundle, overlays, read_settings(options.settings)).check(run)


@pytest.mark.parametrize(("page", "text"), MONAIS)
def test_the_command_of_monai_names_files_and_keys_that_exist(page, text):
    _, _, _, _, run, *words = words_of(text)
    given = dict(zip(words[::2], words[1::2], strict=True))
    listed = given.pop("--config_file")
    files = ast.literal_eval(listed) if listed.startswith("[") else [listed]
    assert run in OVERLAYS
    if not all((ROOT / file).is_file() for file in files):
        assert not files[0].startswith("bundles/m") or "mine" in files[0], files
        return
    config = ConfigParser.load_config_files([str(ROOT / file) for file in files])
    overrides = {key.removeprefix("--"): yaml.safe_load(text) for key, text in given.items()}
    apply_overrides(config, overrides)
    check_run_id(run, config)
    base = ConfigParser.load_config_file(ROOT / files[0])
    assert list(config_errors(config, base)) == []


@pytest.mark.parametrize(("page", "text"), MAKES)
def test_the_target_of_make_exists(page, text):
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert text.split()[1] in targets


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path):
    for target in re.findall(r"\]\(([^)#:\s]+)(?:#[\w-]+)?\)", page.read_text("utf-8")):
        assert (page.parent / target).exists(), target
