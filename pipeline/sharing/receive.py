"""Receiving a packed bundle: verified, judged, unpacked, tried, and told on one page."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from pipeline.sharing.archive import Archive, RefusedError, open_archive
from pipeline.sharing.audit import Report, audit
from pipeline.sharing.card import model_card
from pipeline.sharing.packages import Packages, compare_packages
from pipeline.sharing.policy import Policy
from pipeline.sharing.sample import IMAGE, Agreement, compare_sample
from pipeline.sharing.signature import Verifier, verify

ALONE = """
import runpy, socket, sys
def refuse(*_, **__):
    raise OSError("a received bundle asked for the network")
socket.socket.connect = socket.socket.connect_ex = socket.create_connection = refuse
sys.argv = ["monai.bundle", *sys.argv[1:]]
runpy.run_module("monai.bundle", run_name="__main__")
"""
"""Runs a bundle in a process that opens no connection."""
LONGEST = 600
"""Seconds that the sample may take."""


class Received(NamedTuple):
    """What came of receiving.

    Attributes:
        report: of the audit.
        refused: why it is not accepted; none: it is.
        packages: missing and other ones; None: it did not get so far.
        agreement: of the sample; None: likewise.
    """

    report: Report
    refused: Sequence[RefusedError]
    packages: Packages | None = None
    agreement: Agreement | None = None


def receive(
    path: Path, signature: Path, verifier: Verifier, folder: Path, policy: Policy
) -> Received:
    """Verify and judge a packed bundle, unpack it, and run its sample.

    Nothing is unpacked of one that is refused, and nothing is left of one whose sample differs.

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
    report = audit(path, policy)
    if report.refused:
        return Received(report, report.refused)
    if wrong := verify(path, signature, verifier, policy.limits):
        return Received(report, wrong)
    archive = open_archive(path, policy.limits)
    if wrong := _disagreeing(archive):
        return Received(report, wrong)
    packages = compare_packages(json.loads(archive.read("configs/metadata.json")))
    if packages.missing:
        why = f"not installed; {packages.command()}"
        refused = RefusedError("configs/metadata.json", ", ".join(packages.missing), why)
        return Received(report, [refused], packages)
    return _tried(archive, folder, Received(report, [], packages))


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
        image = next(sample.glob(f"{IMAGE}.*"))
        shutil.copy(image, images)
        config = bundle / "configs" / "inference.yaml"
        settings = {"config_file": config, "image_dir": images, "output_dir": out, "device": "cpu"}
        arguments = [text for key, value in settings.items() for text in (f"--{key}", str(value))]
        command = [sys.executable, "-W", "ignore", "-c", ALONE, "run", "inferring", *arguments]
        done = subprocess.run(
            command,
            cwd=temporary,
            env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
            capture_output=True,
            text=True,
            timeout=LONGEST,
        )
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["no word of why"])[-1]
            raise RefusedError(image.name, last, "the bundle does not run here")
        return compare_sample(sample, out)


def _tried(archive: Archive, folder: Path, received: Received) -> Received:
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as temporary:
        bundle = Path(temporary) / "bundle"
        unpack(archive, bundle)
        try:
            agreement = run_sample(bundle)
        except RefusedError as error:
            return received._replace(refused=[error])
        if not agreement.enough:
            found = f"Dice {agreement.dice:.6f}, difference {agreement.difference:.1e}"
            wrong = RefusedError("sample", found, "another result than the sender's")
            return received._replace(refused=[wrong], agreement=agreement)
        bundle.rename(folder)
    return received._replace(agreement=agreement)


def _disagreeing(archive: Archive) -> list[RefusedError]:
    """Whether the model card tells what evaluation, metadata and fingerprint do."""
    told = {
        name: json.loads(archive.read(file)) if file in archive.files else {}
        for name, file in (
            ("metadata", "configs/metadata.json"),
            ("evaluation", "docs/evaluation.json"),
            ("fingerprint", "docs/fingerprint.json"),
            ("exports", "docs/exports.json"),
        )
    }
    licence = archive.read("docs/data_license.txt").decode()
    try:
        card = model_card(licence=licence, **told)
    except Exception as error:  # whatever lacks what a card needs
        return [RefusedError("docs", str(error), "no card can be written of it")]
    if card.encode() != archive.read("docs/README.md"):
        why = "not what evaluation.json, fingerprint.json and the metadata tell"
        return [RefusedError("docs/README.md", "another model card", why)]
    scores = told["metadata"].get("eval_metrics", {})
    return [
        RefusedError("configs/metadata.json, eval_metrics", f"{name} {value}", "not evaluation's")
        for name, value in scores.items()
        if round(told["evaluation"]["test"][name]["mean"], 4) != value
    ]
