"""The acceptance protocol: one page on a received bundle, the checks, and their results."""

import time
from collections.abc import Mapping
from pathlib import Path

from pipeline.plain_text import markdown_text
from pipeline.provenance import hardware
from pipeline.sharing.receive import ReceiveResult
from pipeline.sharing.sample_results import SampleAgreement

NOT_REACHED = "not reached"
NOT_STATED = "not stated"
MAX_REFUSAL_CHARACTERS = 1500


def format_protocol(archive: Path, sender: str, result: ReceiveResult, timestamp: float) -> str:
    """Return the protocol as Markdown.

    The archive's statements about itself are shown only if the signature matches, and every value
    is text of one line.

    Args:
        archive: the received archive.
        sender: the sender's name, or the fingerprint of its key.
        result: the result of the checks.
        timestamp: time of the receiving, in seconds since 1970.
    """
    manifest, requirements = result.manifest, result.requirements
    verdict = "REFUSED" if result.refusals else "ACCEPTED"
    rows = {
        "file": archive.name,
        "SHA-256": result.sha256,
        "sender": sender,
        "signature": "matches" if manifest else "does not match, or was not reached",
        "packed with": _format_origin(manifest.get("made")),
        "received": time.strftime("%Y-%m-%d %H:%M %Z", time.localtime(timestamp)),
        "machine": hardware(),
        "files": str(len(manifest.get("files", {}))) if manifest else NOT_REACHED,
        "audit": f"{result.judged_values} values judged" if result.judged_values else NOT_REACHED,
        "packages": NOT_REACHED
        if requirements is None
        else _format_versions(requirements.differing),
        "the sample ran in": result.isolation.describe() if result.isolation else NOT_REACHED,
        "sample": _format_agreement(result.agreement),
    }
    lines = [f"# Acceptance protocol: {verdict}", "", "| | |", "|---|---|"]
    lines += [f"| {name} | {markdown_text(value)} |" for name, value in rows.items()]
    lines += [
        "",
        *(
            f"- refused: {markdown_text(error, MAX_REFUSAL_CHARACTERS)}"
            for error in result.refusals
        ),
    ]
    lines += ["", "Accepted for local use by: ____________________  on: ____________________"]
    return "\n".join(line for i, line in enumerate(lines) if line or lines[i - 1]) + "\n"


def _format_origin(made: object) -> str:
    if not isinstance(made, dict):
        return NOT_STATED
    versions = made.get("versions")
    items = versions.items() if isinstance(versions, dict) else ()
    packages = ", ".join(f"{name} {version}" for name, version in items)
    return f"{packages or NOT_STATED}; commit {made.get('commit', NOT_STATED)}"


def _format_versions(differing: Mapping[str, tuple[str, str]]) -> str:
    lines = [
        f"{name} {installed}, the sender had {required}"
        for name, (required, installed) in differing.items()
    ]
    return "; ".join(lines) or "the sender's versions"


def _format_agreement(agreement: SampleAgreement | None) -> str:
    if agreement is None:
        return NOT_REACHED
    difference = f"{agreement.difference:.1e}"
    return f"Dice {agreement.dice:.4f}, largest difference of a probability {difference}"
