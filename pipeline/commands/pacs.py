"""``unet-school pacs pull|push|watch|echo|list|retry``: studies of the archive, and back to it."""

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.plain_text import plain_line

if TYPE_CHECKING:
    from pipeline.pacs.settings import Settings
    from pipeline.pacs.table import StudyTable


def add_pacs(parser: argparse.ArgumentParser) -> None:
    """Add the commands for the archive."""
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    echo = commands.add_parser("echo", help="ask the peers whether they accept this machine")
    _add_config(echo)
    echo.add_argument("--peer", help="name of one peer (all)")
    echo.set_defaults(command=_echo)
    pull = commands.add_parser("pull", help="write studies of a peer to a folder")
    _add_config(pull)
    pull.add_argument("--peer", required=True, help="name of the peer")
    studies = pull.add_mutually_exclusive_group(required=True)
    studies.add_argument("--study", nargs="+", metavar="UID", help="their StudyInstanceUIDs")
    studies.add_argument(
        "--where", nargs="+", metavar="KEY=VALUE", help="what they match: PatientID=4711"
    )
    pull.add_argument("--out", type=Path, required=True, help="folder for a folder of each study")
    pull.set_defaults(command=_pull)
    push = commands.add_parser("push", help="store the DICOM files of a folder in a peer")
    push.add_argument("folder", type=Path, help="of the files")
    _add_config(push)
    push.add_argument("--peer", required=True, help="name of the peer")
    push.set_defaults(command=_push)
    watch = commands.add_parser("watch", help="segment each study that comes, store the result")
    _add_config(watch)
    watch.add_argument("--once", action="store_true", help="end when nothing is left to be done")
    watch.set_defaults(command=_watch)
    listed = commands.add_parser("list", help="list the studies, and why some failed")
    _add_config(listed)
    listed.add_argument(
        "--state", choices=("arriving", "waiting", "running", "done", "failed"),
        help="of one state (all)",
    )  # fmt: skip
    listed.set_defaults(command=_list)
    retry = commands.add_parser("retry", help="try failed studies again")
    _add_config(retry)
    which = retry.add_mutually_exclusive_group(required=True)
    which.add_argument("--study", nargs="+", metavar="UID", help="their StudyInstanceUIDs")
    which.add_argument("--all", action="store_true", help="every failed study")
    retry.set_defaults(command=_retry)


def _add_config(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--config", type=Path, default=Path("pacs.yaml"), help="file with the peers (pacs.yaml)"
    )


def _settings(options: argparse.Namespace) -> "Settings":
    from pipeline.pacs.settings import read_settings

    return read_settings(options.config)


def _table(options: argparse.Namespace) -> "StudyTable":
    from pipeline.pacs.table import StudyTable
    from pipeline.pacs.watch import TABLE

    path = _settings(options).folder / TABLE
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no table of studies yet; unet-school pacs watch makes it")
    return StudyTable(path)


def _echo(options: argparse.Namespace) -> int:
    from pipeline.errors import error_line
    from pipeline.pacs.peers import open_peer

    settings = _settings(options)
    failed = 0
    for name in [options.peer] if options.peer else settings.peers:
        try:
            open_peer(settings, name).echo()
            print(f"{name}: answers")
        except Exception as error:
            line = error_line(error)
            if line is None:
                raise
            print(plain_line(line))
            failed += 1
    return int(failed > 0)


def _pull(options: argparse.Namespace) -> None:
    from pipeline.pacs.transfer import find_studies, pull

    settings = _settings(options)
    studies = options.study or find_studies(settings, options.peer, _where(options.where), _say)
    for study in studies:
        folder = pull(settings, options.peer, study, options.out, _say)
        print(f"pulled      {folder}")


def _push(options: argparse.Namespace) -> None:
    from pipeline.pacs.transfer import push
    from pipeline.progress import count

    number = push(_settings(options), options.peer, options.folder, _say)
    print(f"pushed      {count(number, 'instance')} to {options.peer}")


def _watch(options: argparse.Namespace) -> None:
    from pipeline.pacs.inference import InferBundle
    from pipeline.pacs.watch import watch

    settings = _settings(options)
    if settings.bundle is None or not settings.bundle.is_dir():
        raise ValueError(
            f"{options.config}: bundle: found {settings.bundle}, expected the folder of a trained "
            "bundle"
        )
    infer = InferBundle(settings.bundle, settings.dicom, settings.dicom_seg, settings.series)
    watch(settings, infer, _say, options.once)


def _list(options: argparse.Namespace) -> None:
    table = _table(options)
    for study in table.studies([options.state] if options.state else ()):
        reason = f": {study.reason}" if study.reason else ""
        print(plain_line(f"{study.state:9} {study.uid} {study.instances}{reason}"))
    total = ", ".join(f"{number} {state}" for state, number in sorted(table.counts().items()))
    print(f"total     {total or 'no study'}")


def _retry(options: argparse.Namespace) -> None:
    table = _table(options)
    studies = options.study or [study.uid for study in table.studies(["failed"])]
    for study in studies:
        table.retry(study)
        print(plain_line(f"waiting   {study}"))
    if not studies:
        print("no study failed")


def _where(words: list[str]) -> dict[str, str]:
    pairs = [word.partition("=") for word in words]
    for keyword, equals, _ in pairs:
        if not equals:
            raise ValueError(f"--where: found {keyword!r}, expected KEY=VALUE, as PatientID=4711")
    return {keyword: value for keyword, _, value in pairs}


def _say(line: str) -> None:
    print(plain_line(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {line}"), flush=True)
