"""``unet-school doctor``: what of this machine and installation would be slow or fail."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.commands.runs import add_tracking

if TYPE_CHECKING:
    from pipeline.doctor.check import Check


def add_doctor(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_tracking(parser)
    parser.add_argument(
        "--models", type=Path, default=Path(), help="folder for models, as bundles/membranes (.)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON for programs")
    parser.set_defaults(command=_doctor)


def _doctor(options: argparse.Namespace) -> int:
    from pipeline.doctor.check import report

    checks = _checks(options)
    if options.json:
        print(json.dumps([check._asdict() for check in checks], indent=2))
    else:
        print(report(checks))
    return int(any(check.level == "fails" for check in checks))


def _checks(options: argparse.Namespace) -> "list[Check]":
    from pipeline.imports import no_garbage

    with no_garbage():
        from pipeline.doctor.machine import machine_checks
        from pipeline.doctor.places import place_checks
        from pipeline.doctor.software import software_checks
    places = place_checks(options.tracking, options.models)
    return [*software_checks(), *machine_checks(), *places]
