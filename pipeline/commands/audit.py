"""``unet-school audit``: what a packed bundle would do, judged before anything of it runs."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.sharing.audit import Report

REFUSED = 2
"""The exit code of a refusal; 1 is that of a mistake in the call."""


def add_audit(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("file", type=Path, help="a packed bundle, FILE.zip")
    parser.add_argument("--policy", type=Path, help="of this site, YAML (a strict default)")
    parser.add_argument("--json", type=Path, help="write the report there as well")
    parser.add_argument("--all", action="store_true", help="list what is accepted, too")
    parser.set_defaults(command=_audit)


def _audit(options: argparse.Namespace) -> int:
    from pipeline.sharing.audit import audit
    from pipeline.sharing.policy import read_policy

    report = audit(options.file, read_policy(options.policy))
    if options.json:
        _write(report, options.json)
    for line in lines(report, options.all):
        print(line)
    return REFUSED if report.refused else 0


def lines(report: "Report", whole: bool = False) -> list[str]:
    """Tell what an audit found, a line for each value that is refused, or for each (``whole``)."""
    listed = [
        f"{each.kind:11} {each.file}, {each.key}: {each.text}"
        for each in report.judged
        if whole and not each.refused
    ]
    listed += [f"refused     {error}" for error in report.refused]
    kinds = [each.kind for each in report.judged]
    counts = ", ".join(f"{kinds.count(kind)} {kind}s" for kind in dict.fromkeys(kinds))
    verdict = f"refused, {len(report.refused)} findings" if report.refused else "accepted"
    listed.append(f"{report.path}: {verdict} ({counts or 'nothing read'}; {report.seconds:.1f} s)")
    return listed


def _write(report: "Report", path: Path) -> None:
    from pipeline.files import sha256, write_json

    content = {
        "archive": report.path.name,
        "sha256": sha256(report.path),
        "accepted": not report.refused,
        "judged": [each._asdict() for each in report.judged],
        "refused": [
            {"place": each.place, "found": each.found, "why": each.why} for each in report.refused
        ],
    }
    write_json(path, content)
