"""Receive a packed bundle: verify its signature, judge it, unpack it, and run its sample."""

import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.bundle.received import RECEIVED, ReceivedRecord
from pipeline.files import sha256, write_json
from pipeline.sharing.agreement import check_labels, check_record
from pipeline.sharing.archive import Archive, RefusedError, open_archive
from pipeline.sharing.audit import METADATA, MODEL_RECORD, judge_archive
from pipeline.sharing.bom import BOM, bill_of_materials
from pipeline.sharing.card import model_card
from pipeline.sharing.document_checks import check_documents, check_texts
from pipeline.sharing.folder import SIGNATURE
from pipeline.sharing.isolation import Isolation
from pipeline.sharing.licence import LICENCE
from pipeline.sharing.manifest import MANIFEST, read_manifest
from pipeline.sharing.packed_configs import EVALUATION, EXPORTS, FINGERPRINT
from pipeline.sharing.parsing import strict_json
from pipeline.sharing.policy import Policy
from pipeline.sharing.requirements import RequirementCheck, check_requirements
from pipeline.sharing.sample_results import SampleAgreement
from pipeline.sharing.sample_run import run_sample
from pipeline.sharing.sandbox import find_isolation
from pipeline.sharing.signature import Verifier, verify_archive
from pipeline.sharing.source import is_source, unknown_source
from pipeline.sharing.unpack import unpack

CARD_DOCUMENTS = ("metadata", "evaluation", "fingerprint")
"""JSON documents from which the model card is written."""
DOCUMENTS = {
    "metadata": METADATA,
    "evaluation": EVALUATION,
    "fingerprint": FINGERPRINT,
    "licence": LICENCE,
    "card": "docs/README.md",
}


class ReceiveResult(NamedTuple):
    """The result of receiving a bundle. The checks stop at the first that refuses.

    Attributes:
        sha256: hash of the archive.
        refusals: what is not accepted; empty: the bundle is accepted.
        manifest: the signed manifest; empty: the signature was not verified.
        judged_values: number of values that the audit judged; 0: the audit was not reached.
        requirements: missing and differing packages; None: their check was not reached.
        isolation: what separated the sample's run from the machine; None: it was not reached.
        agreement: comparison of the sample's results; None: the sample was not reached.
    """

    sha256: str
    refusals: Sequence[RefusedError]
    manifest: Mapping[str, Any] = {}
    judged_values: int = 0
    requirements: RequirementCheck | None = None
    isolation: Isolation | None = None
    agreement: SampleAgreement | None = None


def receive(
    path: Path, signature: Path, verifier: Verifier, folder: Path, policy: Policy, sender: str
) -> ReceiveResult:
    """Verify and judge a packed bundle, unpack it, and run its sample.

    All steps work on a private copy, which no other process writes to. A refused bundle is not
    unpacked; a bundle whose sample gives another result is removed again. An accepted one gets a
    record, by which its config is kept to its own folder, see :mod:`pipeline.bundle.received`.

    Args:
        path: the archive.
        signature: the signature file.
        verifier: the identity that the signature must have.
        folder: the folder for the bundle; it must not exist.
        policy: the site's policy.
        sender: name of the identity, for the record.

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
            return _receive_copy(copy, copied, verifier, folder, policy, sender)
        except RefusedError as error:
            return ReceiveResult(sha256(path), [error])


def _receive_copy(
    path: Path, signature: Path, verifier: Verifier, folder: Path, policy: Policy, sender: str
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
            raise RefusedError(METADATA, ", ".join(requirements.missing), reason)
        isolation = find_isolation()
        if policy.complete_sandbox and not isolation.is_complete:
            raise RefusedError(
                "sample", isolation.name, "the policy asks for bubblewrap or unshare"
            )
        result = result._replace(isolation=isolation)
        record = ReceivedRecord(
            sender=sender,
            archive_sha256=result.sha256,
            manifest_sha256=archive.sha256(MANIFEST),
            received=time.strftime("%Y-%m-%d %H:%M %Z"),
        )
        agreement = _unpack_and_run(archive, signature, folder, record, isolation)
    except RefusedError as error:
        return result._replace(refusals=[error])
    return result._replace(agreement=agreement)


def _check_documents(archive: Archive) -> RequirementCheck:
    """Refuse documents of another form, or that contradict each other; compare the packages."""
    required = (*DOCUMENTS.values(), MODEL_RECORD)
    missing = [file for file in required if file not in archive.files]
    if missing:
        raise RefusedError(missing[0], "missing", "unet-school pack writes it")
    check_texts({file: entry.size for file, entry in archive.files.items()})
    try:
        check_documents(archive.read, archive.files)
        _check_consistency(archive)
        requirements = check_requirements(_read_json(archive, METADATA))
        _check_bill(archive)
    except RefusedError:
        raise
    except Exception as error:  # whichever key a document lacks
        message = f"{type(error).__name__}: {error}"
        raise RefusedError("docs", message, "not what unet-school pack writes") from None
    return requirements


def _unpack_and_run(
    archive: Archive, signature: Path, folder: Path, record: ReceivedRecord, isolation: Isolation
) -> SampleAgreement:
    """Unpack into a hidden folder, run the sample, and rename the folder if the result agrees."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as temporary:
        bundle = Path(temporary) / "bundle"
        unpack(archive, bundle)
        shutil.copyfile(signature, bundle / SIGNATURE)
        write_json(bundle / RECEIVED, record.model_dump())
        agreement = run_sample(bundle, isolation)
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
    if _is_of_installed_release(archive):
        card = model_card(licence=licence, **documents)
        if card.encode() != archive.read(DOCUMENTS["card"]):
            reason = "expected the card of evaluation.json, fingerprint.json and metadata.json"
            raise RefusedError(DOCUMENTS["card"], "another model card", reason)
    for name, value in documents["metadata"].get("eval_metrics", {}).items():
        evaluated = round(evaluation["test"][name]["mean"], 4)
        if evaluated != value:
            place = "configs/metadata.json, eval_metrics"
            raise RefusedError(place, f"{name} {value}", f"the evaluation has {evaluated}")
    if evaluation["model"]["sha256"] != record["sha256"]:
        reason = f"evaluated with {evaluation['model']['sha256']}"
        raise RefusedError(MODEL_RECORD, f"weights {record['sha256']}", reason)
    check_record(evaluation, record)
    check_labels(evaluation, archive)


def _check_bill(archive: Archive) -> None:
    """Refuse a bill of materials that differs from the files that it is made of."""
    if not _is_of_installed_release(archive):
        return
    if BOM not in archive.files:
        raise RefusedError(BOM, "missing", "unet-school pack writes it")
    hashes = {file: archive.sha256(file) for file in archive.files}
    if bill_of_materials(archive.read, hashes) != archive.read(BOM):
        reason = "expected the one of the package's own files"
        raise RefusedError(BOM, "another bill of materials", reason)


def _is_of_installed_release(archive: Archive) -> bool:
    """Return whether the receiver would write the same documents.

    Another release, which this site trusts, may write them differently.
    """
    source = {file: archive.sha256(file) for file in archive.files if is_source(file)}
    return not unknown_source(source, [])


def _read_json(archive: Archive, file: str) -> dict[str, Any]:
    return strict_json(archive.read(file), file)
