"""The acceptance protocol: one page on what was received, what was checked and what came of it."""

import time
from pathlib import Path
from typing import Any

from pipeline.provenance import hardware
from pipeline.sharing.receive import Received


def protocol(
    archive: Path, sender: str, received: Received, manifest: dict[str, Any], when: float
) -> str:
    """Write the protocol as Markdown.

    Args:
        archive: that was received.
        sender: its name, or the fingerprint of its key.
        received: what came of it.
        manifest: of the archive; empty where it could not be read.
        when: seconds since 1970.
    """
    made, packages = manifest.get("made", {}), received.packages
    verdict = "REFUSED" if received.refused else "ACCEPTED"
    rows = {
        "file": archive.name,
        "SHA-256": received.report.sha256,
        "sender": sender,
        "made by": _made(made),
        "received": time.strftime("%Y-%m-%d %H:%M %Z", time.localtime(when)),
        "machine": hardware(),
        "files": str(len(manifest.get("files", {}))),
        "would-be code": f"{len(received.report.judged)} values judged",
        "packages": "not reached" if packages is None else _told(packages.other),
        "sample": _sample(received),
    }
    lines = [f"# Acceptance protocol: {verdict}", "", "| | |", "|---|---|"]
    lines += [f"| {name} | {value} |" for name, value in rows.items()]
    lines += ["", *(f"- refused: {error}" for error in received.refused)]
    lines += ["", "Accepted for local use by: ____________________  on: ____________________"]
    return "\n".join(line for i, line in enumerate(lines) if line or lines[i - 1]) + "\n"


def _made(made: dict[str, Any]) -> str:
    names = ", ".join(f"{name} {it}" for name, it in made.get("versions", {}).items())
    return f"{names or 'not told'}; commit {made.get('commit', 'not told')}"


def _told(other: dict[str, tuple[str, str]]) -> str:
    told = [f"{name} {here} in place of {there}" for name, (there, here) in other.items()]
    return "; ".join(told) or "the sender's versions"


def _sample(received: Received) -> str:
    if received.agreement is None:
        return "not reached"
    it = received.agreement
    return f"Dice {it.dice:.4f}, largest difference of a probability {it.difference:.1e}"
