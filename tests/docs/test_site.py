"""The parts of the documentation site that are made: links, commands, notebooks, no outside asset.

``make docs`` builds the whole; a broken link fails there.
"""

import importlib.util
from types import SimpleNamespace

import pytest

from pipeline import cli
from tests.conftest import ROOT

pytest.importorskip("mkdocs", reason="needs the extra docs")
PATH = ROOT / "docs" / "_site" / "hooks.py"


@pytest.fixture(scope="module")
def hooks():
    spec = importlib.util.spec_from_file_location("site_hooks", PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("page", "link", "expected"),
    [
        ("data.md", "[a](files.md#volumes)", "[a](files.md#volumes)"),
        ("how_to/x.md", "[n](../../bundles/nuclei/docs/README.md)", "[n](../bundles/nuclei.md)"),
        ("bundles/nuclei.md", "[r](../../../docs/results.md)", "[r](../results.md)"),
        ("how_to/x.md", "[n](../notebooks/own_images.ipynb)", "[n](../notebooks/own_images.md)"),
        ("data.md", "[c](../Makefile)", "c (`Makefile`)"),
        ("data.md", "[c](../none.md)", "[c](../none.md)"),
        ("data.md", "[c](https://monai.io/x)", "[c](https://monai.io/x)"),
    ],
)
def test_a_link_leads_to_the_page_of_the_site(hooks, page, link, expected):
    names = SimpleNamespace(file=SimpleNamespace(src_uri=page))
    assert hooks.on_page_markdown(link, names, None, None) == expected


def test_the_reference_has_every_command_and_argument(hooks):
    page = hooks.command_page()
    [commands] = [a for a in cli._parser()._actions if getattr(a, "_choices_actions", None)]
    for name, parser in commands.choices.items():
        assert f"## unet-school {name}\n" in page
        for action in parser._actions:
            if action.option_strings[:1] not in (["-h"], []):
                assert f"`{action.option_strings[0]}" in page


def test_an_asset_from_elsewhere_is_refused(hooks, tmp_path):
    page = tmp_path / "page.html"
    page.write_text('<a href="https://monai.io">read</a><img src="tiles.png">')
    hooks.on_post_build({"site_dir": str(tmp_path)})
    page.write_text('<link rel="stylesheet" href="https://fonts.example/a.css">')
    with pytest.raises(hooks.PluginError, match=r"page\.html: fetches"):
        hooks.on_post_build({"site_dir": str(tmp_path)})


def test_a_notebook_becomes_a_page(hooks):
    page = hooks.notebook_page(ROOT / "docs" / "notebooks" / "own_images.ipynb")
    assert page.startswith("# Own images")
    assert "```python\n!unet-school new bundles/mine --images cells/images" in page
