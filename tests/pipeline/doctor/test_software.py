from importlib.metadata import PackageNotFoundError

import pytest

from pipeline.doctor import software
from pipeline.doctor.software import dependencies, extras, software_checks

REQUIRED = ["torch>=2.8,<3", "numpy>=2.0", 'onnx>=1.18; extra == "export"']
VERSIONS = {"torch": "2.13.0", "numpy": "2.4.6", "onnx": "1.23.2"}


@pytest.fixture
def installed(monkeypatch):
    """What is installed, by name; a test changes it."""
    versions = dict(VERSIONS)
    monkeypatch.setattr(software, "requires", lambda _: REQUIRED)
    monkeypatch.setattr(software, "metadata", lambda _: type("", (), {"get_all": _provided})())
    monkeypatch.setattr(software, "version_of", lambda name: versions.get(name, software.ABSENT))
    return versions


def _provided(_, name):
    return ["export", "dev"] if name == "Provides-Extra" else None


def test_a_whole_installation_is_fine(installed):
    assert dependencies() == ("dependencies", "all 2 as expected", "fine", "")
    assert list(extras()) == [("[export]", "installed", "fine", "")]


def test_an_absent_package_fails(installed):
    del installed["numpy"]
    check = dependencies()
    assert (check.level, check.remedy) == ("fails", 'run: pip install "numpy>=2.0"')


def test_another_version_is_worth_a_note(installed):
    installed["torch"] = "3.1.0"
    check = dependencies()
    assert check.level == "note"
    assert check.value == "not tried: torch 3.1.0, expected <3,>=2.8"


def test_an_absent_extra_says_what_it_is_for(installed):
    del installed["onnx"]
    (check,) = extras()
    assert check.level == "note"
    assert check.remedy == 'for unet-school export to ONNX: pip install "unet-school[export]"'


def test_source_that_is_not_installed(monkeypatch):
    def absent(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr(software, "requires", absent)
    monkeypatch.setattr(software, "metadata", absent)
    assert dependencies().level == "note"
    assert not list(extras())


def test_the_real_installation_has_a_version():
    checks = {check.name: check for check in software_checks()}
    assert checks["version"].value.startswith("unet-school ")
    assert "torch 2." in checks["packages"].value
