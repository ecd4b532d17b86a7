"""``unet-school audit``: judge what a packed bundle would do, before any of it runs."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.plain_text import plain_line

if TYPE_CHECKING:
    from pipeline.sharing.audit import AuditReport

REFUSED = 2
"""Exit code of a refusal; 1 is the exit code of a user error."""


def add_audit(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("file", type=Path, help="packed bundle, FILE.zip")
    parser.add_argument("--policy", type=Path, help="YAML file, the site's policy (a strict one)")
    parser.add_argument("--json", type=Path, help="JSON file for the report, too")
    parser.add_argument("--all", action="store_true", help="list accepted values, too")
    parser.set_defaults(command=_audit)


def _audit(options: argparse.Namespace) -> int:
    from pipeline.sharing.audit import audit
    from pipeline.sharing.policy import read_policy

    report = audit(options.file, read_policy(options.policy))
    if options.json:
        _write(report, options.json)
    for line in format_report(report, options.all):
        print(line)
    return REFUSED if report.refusals else 0


def format_report(report: "AuditReport", show_accepted: bool = False) -> list[str]:
    """Return an audit's result as lines: one for each refusal, and the verdict.

    Args:
        report: the result.
        show_accepted: whether accepted values get a line, too.
    """
    lines = [
        plain_line(f"{judgement.kind:11} {judgement.key}: {judgement.text}")
        for judgement in report.judgements
        if show_accepted and not judgement.reason
    ]
    lines += [f"refused     {error}" for error in report.refusals]
    kinds = [judgement.kind for judgement in report.judgements]
    counts = ", ".join(f"{kinds.count(kind)} {kind}s" for kind in dict.fromkeys(kinds))
    verdict = f"refused, {len(report.refusals)} refusals" if report.refusals else "accepted"
    lines.append(f"{report.path}: {verdict} ({counts or 'nothing read'}; {report.seconds:.1f} s)")
    return lines


def _write(report: "AuditReport", path: Path) -> None:
    from pipeline.files import sha256, write_json

    content = {
        "archive": report.path.name,
        "sha256": sha256(report.path),
        "accepted": not report.refusals,
        "judgements": [judgement._asdict() for judgement in report.judgements],
        "refusals": [
            {"place": error.place, "value": error.value, "reason": error.reason}
            for error in report.refusals
        ],
    }
    write_json(path, content)
