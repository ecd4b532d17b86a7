"""The installed packages: versions, what is absent, and what an absent extra is for."""

import shutil
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, metadata, requires

from packaging.requirements import Requirement

from pipeline.doctor.check import Check
from pipeline.product import DISTRIBUTION, version_line
from pipeline.provenance import version_of, versions

ABSENT = "not installed"
PURPOSES = {
    "dicom": "results as DICOM (unet-school infer --dicom), and unet-school pacs",
    "export": "unet-school export to ONNX",
    "fast": "faster inference on a CPU, by OpenVINO",
    "serve": "unet-school serve, for 3D Slicer and OHIF",
    "share": "unet-school pack, sign and receive",
    "umap": "a map of the latent space by UMAP",
}
"""What a user would miss without an extra; the others are for developers."""


def software_checks() -> Iterator[Check]:
    """Check the versions of the product, Python, the packages and the extras, and git."""
    yield Check("version", version_line())
    of_packages = {name: text for name, text in versions().items() if name != DISTRIBUTION}
    yield Check("packages", ", ".join(f"{name} {text}" for name, text in of_packages.items()))
    yield dependencies()
    yield from extras()
    yield _git()


def dependencies() -> Check:
    """Compare the installed packages with the versions that the product names."""
    needed = _requirements("")
    if needed is None:
        return Check(
            "dependencies", "not known: it is not installed", "note", "run: pip install -e ."
        )
    absent = [one for one in needed if version_of(one.name) == ABSENT]
    if absent:
        return Check("dependencies", _listed(absent), "fails", _install(absent))
    others = [one for one in needed if not one.specifier.contains(version_of(one.name), True)]
    if others:
        return Check("dependencies", f"not tried: {_listed(others)}", "note", _install(others))
    return Check("dependencies", f"all {len(needed)} as expected")


def extras() -> Iterator[Check]:
    """Say for each extra that a user may want whether it is installed."""
    try:
        provided = metadata(DISTRIBUTION).get_all("Provides-Extra") or []
    except PackageNotFoundError:
        return
    for extra in sorted(set(provided) & set(PURPOSES)):
        absent = [one for one in _requirements(extra) or () if version_of(one.name) == ABSENT]
        if absent:
            remedy = f'for {PURPOSES[extra]}: pip install "{DISTRIBUTION}[{extra}]"'
            yield Check(f"[{extra}]", _listed(absent), "note", remedy)
        else:
            yield Check(f"[{extra}]", "installed")


def _git() -> Check:
    if shutil.which("git"):
        return Check("git", "installed")
    return Check("git", ABSENT, "note", "install it, and each run records the commit of its bundle")


def _requirements(extra: str) -> list[Requirement] | None:
    """The requirements of an extra, or of none; None: the product is not installed."""
    try:
        every = [Requirement(line) for line in requires(DISTRIBUTION) or ()]
    except PackageNotFoundError:
        return None
    asked = [one for one in every if one.marker is None or one.marker.evaluate({"extra": extra})]
    return [one for one in asked if ("extra" in str(one.marker)) == bool(extra)]


def _listed(requirements: list[Requirement]) -> str:
    return ", ".join(
        f"{one.name} {version_of(one.name)}, expected {one.specifier}" for one in requirements
    )


def _install(requirements: list[Requirement]) -> str:
    names = (f'"{one.name}{one.specifier}"' for one in requirements)
    return f"run: pip install {' '.join(names)}"
