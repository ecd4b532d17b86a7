"""Receiving a packed bundle: verified, judged, unpacked, tried, and told on one page."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.files import sha256
from pipeline.sharing.archive import Archive, RefusedError, open_archive
from pipeline.sharing.audit import judge_archive
from pipeline.sharing.card import model_card
from pipeline.sharing.manifest import read_manifest
from pipeline.sharing.packages import Packages, compare_packages
from pipeline.sharing.packed_configs import EVALUATION, EXPORTS, FINGERPRINT
from pipeline.sharing.policy import Policy
from pipeline.sharing.sample import IMAGE, Agreement, compare_sample
from pipeline.sharing.signature import Verifier, verify_archive
from pipeline.sharing.source import installed
from pipeline.sharing.strict import strict_json

ALONE = """
import runpy, socket, sys
def refuse(*_, **__):
    raise OSError("a received bundle asked for the network")
socket.socket.connect = socket.socket.connect_ex = socket.create_connection = refuse
sys.argv = ["monai.bundle", *sys.argv[1:]]
runpy.run_module("monai.bundle", run_name="__main__")
"""
"""Runs a bundle in a process that opens no connection."""
OF_THE_CARD = ("metadata", "evaluation", "fingerprint")
DOCUMENTS = {
    "metadata": "configs/metadata.json",
    "evaluation": EVALUATION,
    "fingerprint": FINGERPRINT,
    "licence": "docs/data_license.txt",
    "card": "docs/README.md",
}
RECORD = "models/model.json"
TEMPLATE = "pipeline/sharing/card.md.jinja"
LONGEST = 600
"""Seconds that the sample may take."""


class Received(NamedTuple):
    """What came of receiving.

    Attributes:
        sha256: of the archive.
        refused: why it is not accepted; none: it is.
        manifest: that was signed; empty: it did not get so far, and so with the next.
        judged: how many values the audit judged.
        packages: missing and other ones; None: it did not get so far.
        agreement: of the sample; None: likewise.
    """

    sha256: str
    refused: Sequence[RefusedError]
    manifest: Mapping[str, Any] = {}
    judged: int = 0
    packages: Packages | None = None
    agreement: Agreement | None = None


def receive(
    path: Path, signature: Path, verifier: Verifier, folder: Path, policy: Policy
) -> Received:
    """Verify and judge a packed bundle, unpack it, and run its sample.

    All is done on a copy that nobody else writes to. Nothing is unpacked of one that is refused,
    and nothing is left of one whose sample differs.

    Args:
        path: of the archive.
        signature: of it.
        verifier: whom it must be of.
        folder: where it goes; must not exist.
        policy: of the site.

    Raises:
        FileNotFoundError: no such archive or signature.
        FileExistsError: the folder exists.
    """
    if folder.exists():
        raise FileExistsError(f"{folder}: exists; give another --out")
    for file in (path, signature):
        if not file.is_file():
            raise FileNotFoundError(f"{file}: no such file; expected a package and its signature")
    with tempfile.TemporaryDirectory() as private:
        copy, copied = Path(private) / path.name, Path(private) / "signature"
        shutil.copy(path, copy)
        shutil.copy(signature, copied)
        try:
            return _received(copy, copied, verifier, folder, policy)
        except RefusedError as error:
            return Received(sha256(copy), [error])


def _received(
    path: Path, signature: Path, verifier: Verifier, folder: Path, policy: Policy
) -> Received:
    archive = open_archive(path, policy.limits)  # opened once: it hashes each file once
    received = Received(sha256(path), verify_archive(archive, signature, verifier))
    if received.refused:
        return received
    judged, refused = judge_archive(archive, policy)
    received = received._replace(
        manifest=read_manifest(archive), judged=len(judged), refused=refused
    )
    if received.refused:
        return received
    try:
        packages = _checked(archive)
        received = received._replace(packages=packages)
        if packages.missing:
            why = f"not installed; {packages.command()}"
            raise RefusedError("configs/metadata.json", ", ".join(packages.missing), why)
        agreement = _tried(archive, folder)
    except RefusedError as error:
        return received._replace(refused=[error])
    return received._replace(agreement=agreement)


def _checked(archive: Archive) -> Packages:
    """Refuse documents that do not fit together; compare packages."""
    missing = [
        file for file in (*DOCUMENTS.values(), RECORD, TEMPLATE) if file not in archive.files
    ]
    if missing:
        raise RefusedError(missing[0], "missing", "unet-school pack writes it")
    try:
        _check_agreement(archive)
        return compare_packages(_json(archive, "configs/metadata.json"))
    except RefusedError:
        raise
    except Exception as error:  # whatever a document lacks that pack writes
        told = f"{type(error).__name__}: {error}"
        raise RefusedError("docs", told, "not what unet-school pack writes") from None


def unpack(archive: Archive, folder: Path) -> None:
    """Write an archive's files below a folder."""
    for file in archive.files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_bytes(archive.read(file))


def run_sample(bundle: Path) -> Agreement:
    """Run a bundle's inference on its sample, on the CPU, without a network.

    Raises:
        RefusedError: the run failed.
    """
    bundle = bundle.resolve()
    sample = bundle / "sample"
    with tempfile.TemporaryDirectory() as temporary:
        images, out = Path(temporary) / "images", Path(temporary) / "out"
        images.mkdir()
        image = next(sample.glob(f"{IMAGE}.*"), None)
        if image is None:
            raise RefusedError("sample", "no image", "unet-school pack encloses one")
        shutil.copy(image, images)
        config = bundle / "configs" / "inference.yaml"
        settings = {"config_file": config, "image_dir": images, "output_dir": out, "device": "cpu"}
        arguments = [text for key, value in settings.items() for text in (f"--{key}", str(value))]
        command = [sys.executable, "-W", "ignore", "-c", ALONE, "run", "inferring", *arguments]
        try:
            done = subprocess.run(
                command,
                cwd=temporary,
                env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
                capture_output=True,
                text=True,
                timeout=LONGEST,
            )
        except subprocess.TimeoutExpired:
            found = f"longer than {LONGEST} seconds"
            raise RefusedError(image.name, found, "the bundle does not run here") from None
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["no word of why"])[-1]
            raise RefusedError(image.name, last, "the bundle does not run here")
        return compare_sample(sample, out)


def _tried(archive: Archive, folder: Path) -> Agreement:
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as temporary:
        bundle = Path(temporary) / "bundle"
        unpack(archive, bundle)
        agreement = run_sample(bundle)
        if not agreement.enough:
            found = f"Dice {agreement.dice:.6f}, difference {agreement.difference:.1e}"
            raise RefusedError("sample", found, "another result than the sender's")
        bundle.rename(folder)
    return agreement


def _check_agreement(archive: Archive) -> None:
    """Refuse a model card that tells other than evaluation, metadata, fingerprint and weights."""
    told = {name: _json(archive, file) for name, file in DOCUMENTS.items() if name in OF_THE_CARD}
    told["exports"] = _json(archive, EXPORTS) if EXPORTS in archive.files else {}
    evaluation, record = told["evaluation"], _json(archive, RECORD)
    licence = archive.read(DOCUMENTS["licence"]).decode()
    # an older release that this site trusts writes its card by another template
    if archive.sha256(TEMPLATE) == installed()[TEMPLATE]:
        card = model_card(licence=licence, **told)
        if card.encode() != archive.read(DOCUMENTS["card"]):
            why = "not what evaluation.json, fingerprint.json and the metadata tell"
            raise RefusedError(DOCUMENTS["card"], "another model card", why)
    for name, value in told["metadata"].get("eval_metrics", {}).items():
        if round(evaluation["test"][name]["mean"], 4) != value:
            place = "configs/metadata.json, eval_metrics"
            raise RefusedError(place, f"{name} {value}", "not evaluation's")
    same = {
        "weights": (evaluation["model"]["sha256"], archive.sha256("models/model.pt")),
        "threshold": (evaluation["threshold"], record["operating_point"]["threshold"]),
        "test-time augmentation": (
            evaluation["tta_versions"],
            record["operating_point"]["tta_versions"],
        ),
    }
    for name, (evaluated, packed) in same.items():
        if evaluated != packed:
            raise RefusedError(RECORD, f"{name} {packed}", f"evaluated with {evaluated}")


def _json(archive: Archive, file: str) -> dict[str, Any]:
    return strict_json(archive.read(file), file)
