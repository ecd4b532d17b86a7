import re

import pytest

from pipeline import cli, product
from pipeline.product import is_checkout, product_commit, product_root, version_line
from tests.conftest import ROOT


@pytest.fixture
def installed(monkeypatch, tmp_path):
    """The folder of an installed wheel, in the environment of somebody else's repository."""
    (tmp_path / "unet_school").mkdir()
    monkeypatch.setattr(product, "_SOURCE", tmp_path)
    return tmp_path


def test_a_checkout_is_its_own_product(capsys):
    assert product_root() == ROOT
    assert is_checkout()
    with pytest.raises(SystemExit, match="0"):
        cli.main(["--version"])
    printed = capsys.readouterr().out
    assert re.fullmatch(r"unet-school \S+, commit [0-9a-f]{40}(-dirty)?\n", printed), printed


def test_an_installed_wheel_has_a_version_and_no_commit(installed, monkeypatch):
    monkeypatch.setattr(product, "git_commit", lambda _: "of the repository around it")
    assert product_root() == installed / "unet_school"
    assert product_commit() == "none"
    assert "commit" not in version_line()
