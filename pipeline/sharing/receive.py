"""Receive a packed bundle: verify its signature, judge it, unpack it, and run its sample."""

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
from pipeline.sharing.audit import MODEL_RECORD, judge_archive
from pipeline.sharing.card import model_card
from pipeline.sharing.manifest import read_manifest
from pipeline.sharing.packed_configs import EVALUATION, EXPORTS, FINGERPRINT
from pipeline.sharing.parsing import strict_json
from pipeline.sharing.policy import Policy
from pipeline.sharing.requirements import RequirementCheck, check_requirements
from pipeline.sharing.sample import EXACT_BITS, IMAGE, SampleAgreement, compare_sample
from pipeline.sharing.signature import Verifier, verify_archive
from pipeline.sharing.source import installed_hashes
from pipeline.sharing.unpack import unpack

OFFLINE_RUN = """
import runpy, socket, sys
def refuse(*_, **__):
    raise OSError("a received bundle asked for the network")
socket.socket.connect = socket.socket.connect_ex = socket.create_connection = refuse
sys.argv = ["monai.bundle", *sys.argv[1:]]
runpy.run_module("monai.bundle", run_name="__main__")
"""
"""Program that runs a bundle in a process which cannot open a connection."""
CARD_DOCUMENTS = ("metadata", "evaluation", "fingerprint")
"""JSON documents from which the model card is written."""
DOCUMENTS = {
    "metadata": "configs/metadata.json",
    "evaluation": EVALUATION,
    "fingerprint": FINGERPRINT,
    "licence": "docs/data_license.txt",
    "card": "docs/README.md",
}
CARD_TEMPLATE = "pipeline/sharing/card.md.jinja"
MAX_SAMPLE_SECONDS = 600
"""Time limit of the inference on the sample."""
CANNOT_RUN = "the bundle does not run on this machine"


class ReceiveResult(NamedTuple):
    """The result of receiving a bundle. The checks stop at the first that refuses.

    Attributes:
        sha256: hash of the archive.
        refusals: what is not accepted; empty: the bundle is accepted.
        manifest: the signed manifest; empty: the signature was not verified.
        judged_values: number of values that the audit judged; 0: the audit was not reached.
        requirements: missing and differing packages; None: their check was not reached.
        agreement: comparison of the sample's results; None: the sample was not reached.
    """

    sha256: str
    refusals: Sequence[RefusedError]
    manifest: Mapping[str, Any] = {}
    judged_values: int = 0
    requirements: RequirementCheck | None = None
    agreement: SampleAgreement | None = None


def receive(
    path: Path, signature: Path, verifier: Verifier, folder: Path, policy: Policy
) -> ReceiveResult:
    """Verify and judge a packed bundle, unpack it, and run its sample.

    All steps work on a private copy, which no other process writes to. A refused bundle is not
    unpacked; a bundle whose sample gives another result is removed again.

    Args:
        path: the archive.
        signature: the signature file.
        verifier: the identity that the signature must have.
        folder: the folder for the bundle; it must not exist.
        policy: the site's policy.

    Raises:
        FileNotFoundError: no such archive or signature.
        FileExistsError: the folder exists.
    """
    if folder.exists():
        raise FileExistsError(f"{folder}: exists; give another --out")
    for file in (path, signature):
        if not file.is_file():
            raise FileNotFoundError(
                f"{file}: no such file; expected a packed bundle and its signature"
            )
    with tempfile.TemporaryDirectory() as private:
        copy, copied = Path(private) / path.name, Path(private) / "signature"
        try:
            open_archive(path, policy.archive_limits)  # a file beyond the limits is not copied
            shutil.copy(path, copy)
            shutil.copy(signature, copied)
            return _receive_copy(copy, copied, verifier, folder, policy)
        except RefusedError as error:
            return ReceiveResult(sha256(path), [error])


def _receive_copy(
    path: Path, signature: Path, verifier: Verifier, folder: Path, policy: Policy
) -> ReceiveResult:
    # opened once, so that each file is hashed once
    archive = open_archive(path, policy.archive_limits)
    result = ReceiveResult(sha256(path), verify_archive(archive, signature, verifier))
    if result.refusals:
        return result
    judgements, refusals = judge_archive(archive, policy)
    result = result._replace(
        manifest=read_manifest(archive), judged_values=len(judgements), refusals=refusals
    )
    if result.refusals:
        return result
    try:
        requirements = _check_documents(archive)
        result = result._replace(requirements=requirements)
        if requirements.missing:
            reason = f"not installed; {requirements.install_command()}"
            raise RefusedError("configs/metadata.json", ", ".join(requirements.missing), reason)
        agreement = _unpack_and_run(archive, folder)
    except RefusedError as error:
        return result._replace(refusals=[error])
    return result._replace(agreement=agreement)


def _check_documents(archive: Archive) -> RequirementCheck:
    """Refuse documents that contradict each other; compare the required packages."""
    required = (*DOCUMENTS.values(), MODEL_RECORD, CARD_TEMPLATE)
    missing = [file for file in required if file not in archive.files]
    if missing:
        raise RefusedError(missing[0], "missing", "unet-school pack writes it")
    try:
        _check_consistency(archive)
        return check_requirements(_read_json(archive, "configs/metadata.json"))
    except RefusedError:
        raise
    except Exception as error:  # whichever key a document lacks
        message = f"{type(error).__name__}: {error}"
        raise RefusedError("docs", message, "not what unet-school pack writes") from None


def run_sample(bundle: Path) -> SampleAgreement:
    """Run a bundle's inference on its sample: on the CPU, without a connection.

    Raises:
        RefusedError: the run failed or took too long, or its results cannot be compared.
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
        places = {"config_file": config, "image_dir": images, "output_dir": out}
        settings = {**places, "device": "cpu", "probabilities": EXACT_BITS}
        arguments = [text for key, value in settings.items() for text in (f"--{key}", str(value))]
        program = [sys.executable, "-W", "ignore", "-c", OFFLINE_RUN]
        command = [*program, "run", "inferring", *arguments]
        try:
            done = subprocess.run(
                command,
                cwd=temporary,
                env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
                capture_output=True,
                text=True,
                timeout=MAX_SAMPLE_SECONDS,
            )
        except subprocess.TimeoutExpired:
            duration = f"longer than {MAX_SAMPLE_SECONDS} seconds"
            raise RefusedError(image.name, duration, CANNOT_RUN) from None
        if done.returncode:
            # an image that failed is named in what is printed, not among the errors
            printed = done.stderr.strip() or done.stdout.strip() or "no message"
            last_line = printed.splitlines()[-1]
            raise RefusedError(image.name, last_line, CANNOT_RUN)
        return compare_sample(sample, out)


def _unpack_and_run(archive: Archive, folder: Path) -> SampleAgreement:
    """Unpack into a hidden folder, run the sample, and rename the folder if the result agrees."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as temporary:
        bundle = Path(temporary) / "bundle"
        unpack(archive, bundle)
        agreement = run_sample(bundle)
        if not agreement.enough:
            result = f"Dice {agreement.dice:.6f}, difference {agreement.difference:.1e}"
            raise RefusedError("sample", result, "another result than the sender's")
        bundle.rename(folder)
    return agreement


def _check_consistency(archive: Archive) -> None:
    """Refuse a card, metadata or weights that differ from the evaluation and the fingerprint."""
    documents = {name: _read_json(archive, DOCUMENTS[name]) for name in CARD_DOCUMENTS}
    documents["exports"] = _read_json(archive, EXPORTS) if EXPORTS in archive.files else {}
    evaluation, record = documents["evaluation"], _read_json(archive, MODEL_RECORD)
    licence = archive.read(DOCUMENTS["licence"]).decode()
    # an older release that this site trusts writes its card with another template
    if archive.sha256(CARD_TEMPLATE) == installed_hashes()[CARD_TEMPLATE]:
        card = model_card(licence=licence, **documents)
        if card.encode() != archive.read(DOCUMENTS["card"]):
            reason = "expected the card of evaluation.json, fingerprint.json and metadata.json"
            raise RefusedError(DOCUMENTS["card"], "another model card", reason)
    for name, value in documents["metadata"].get("eval_metrics", {}).items():
        evaluated = round(evaluation["test"][name]["mean"], 4)
        if evaluated != value:
            place = "configs/metadata.json, eval_metrics"
            raise RefusedError(place, f"{name} {value}", f"the evaluation has {evaluated}")
    pairs = {
        "weights": (evaluation["model"]["sha256"], record["sha256"]),
        "threshold": (evaluation["threshold"], record["operating_point"]["threshold"]),
        "test-time augmentation": (
            evaluation["tta_versions"],
            record["operating_point"]["tta_versions"],
        ),
    }
    for name, (evaluated, packed) in pairs.items():
        if evaluated != packed:
            raise RefusedError(MODEL_RECORD, f"{name} {packed}", f"evaluated with {evaluated}")


def _read_json(archive: Archive, file: str) -> dict[str, Any]:
    return strict_json(archive.read(file), file)
