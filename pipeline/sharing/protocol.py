"""The acceptance protocol: one page on what was received, what was checked and what came of it."""

import time
from collections.abc import Mapping
from pathlib import Path

from pipeline.provenance import hardware
from pipeline.sharing.receive import Received
from pipeline.sharing.sample import Agreement

NOT_REACHED = "not reached"
LONGEST = 400
"""Letters of a cell."""


def protocol(archive: Path, sender: str, received: Received, when: float) -> str:
    """Write the protocol as Markdown.

    What the archive tells of itself stands in it only where the signature fits.

    Args:
        archive: that was received.
        sender: its name, or the fingerprint of its key.
        received: what came of it.
        when: seconds since 1970.
    """
    manifest, packages = received.manifest, received.packages
    verdict = "REFUSED" if received.refused else "ACCEPTED"
    rows = {
        "file": archive.name,
        "SHA-256": received.sha256,
        "signature of": sender,
        "signature": "fits" if manifest else "does not fit, or was not reached",
        "made by": _made(manifest.get("made")),
        "received": time.strftime("%Y-%m-%d %H:%M %Z", time.localtime(when)),
        "machine": hardware(),
        "files": str(len(manifest.get("files", {}))) if manifest else NOT_REACHED,
        "would-be code": f"{received.judged} values judged" if received.judged else NOT_REACHED,
        "packages": NOT_REACHED if packages is None else _told(packages.other),
        "sample": _sample(received.agreement),
    }
    lines = [f"# Acceptance protocol: {verdict}", "", "| | |", "|---|---|"]
    lines += [f"| {name} | {_plain(value)} |" for name, value in rows.items()]
    lines += ["", *(f"- refused: {_plain(str(error))}" for error in received.refused)]
    lines += ["", "Accepted for local use by: ____________________  on: ____________________"]
    return "\n".join(line for i, line in enumerate(lines) if line or lines[i - 1]) + "\n"


def _plain(text: str) -> str:
    """One cell of a table: nothing that would draw another, or command a terminal."""
    shown = "".join(letter if letter.isprintable() else "?" for letter in text)
    return shown.replace("|", "/")[:LONGEST]


def _made(made: object) -> str:
    if not isinstance(made, dict):
        return "not told"
    versions = made.get("versions")
    names = versions.items() if isinstance(versions, dict) else ()
    told = ", ".join(f"{name} {it}" for name, it in names)
    return f"{told or 'not told'}; commit {made.get('commit', 'not told')}"


def _told(other: Mapping[str, tuple[str, str]]) -> str:
    told = [f"{name} {here} in place of {there}" for name, (there, here) in other.items()]
    return "; ".join(told) or "the sender's versions"


def _sample(agreement: Agreement | None) -> str:
    if agreement is None:
        return NOT_REACHED
    difference = f"{agreement.difference:.1e}"
    return f"Dice {agreement.dice:.4f}, largest difference of a probability {difference}"
