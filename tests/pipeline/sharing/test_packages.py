from importlib.metadata import version

from pipeline.sharing.packages import compare_packages, own_versions, plain


def test_what_is_installed_needs_nothing():
    metadata = {
        "pytorch_version": plain(version("torch")),
        "required_packages_version": own_versions(),
    }
    assert compare_packages(metadata) == ({}, {})


def test_missing_and_other_packages():
    metadata = {
        "monai_version": "0.1.0",
        "required_packages_version": {"no-such-package": "1.0", "pyyaml": "1.0"},
    }
    found = compare_packages(metadata)
    assert found.missing == {"no-such-package": "1.0"}
    assert found.other == {
        "monai": ("0.1.0", version("monai")),
        "pyyaml": ("1.0", version("pyyaml")),
    }
    assert found.command() == "pip install no-such-package==1.0"
