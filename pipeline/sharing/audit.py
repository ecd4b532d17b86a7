"""Judging a packed bundle before anything of it is imported, unpacked or run."""

import re
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.sharing.archive import Archive, RefusedError, open_archive
from pipeline.sharing.configs import Judged, judge_config
from pipeline.sharing.manifest import compare, read_manifest
from pipeline.sharing.policy import Policy, read_policy
from pipeline.sharing.source import installed, is_source, unknown_source
from pipeline.sharing.strict import strict_json, strict_yaml
from pipeline.sharing.tensors import judge_safetensors, judge_state_dict

PLACES = (
    r"LICENSE", r"manifest\.json",
    r"configs/[\w-]+\.yaml", r"configs/metadata\.json", r"configs/logging\.conf",
    r"models/model\.(pt|safetensors|json)",
    r"docs/[\w-]+\.(md|txt|json|html|png)", r"sample/[\w-]+\.(png|json|npy|nii\.gz|tif)",
    r"(pipeline|transforms)/[\w/.-]+",
)  # fmt: skip
"""Where files may be; a bundle needs no others."""
NEEDED = ("LICENSE", "configs/metadata.json", "configs/inference.yaml", "models/model.pt")
LOGGING = "pipeline/planning/templates/logging.conf"
"""The one logging config that bundles have; MONAI reads classes and calls from it."""


class Report(NamedTuple):
    """What an audit found.

    Attributes:
        path: of the archive.
        judged: every value that would do something.
        refused: what is not accepted; none: the bundle is.
        seconds: that the audit took.
    """

    path: Path
    judged: list[Judged]
    refused: list[RefusedError]
    seconds: float


def audit(path: Path, policy: Policy | None = None) -> Report:
    """Judge an archive.

    Args:
        path: of it.
        policy: of the site; None: the default.

    Raises:
        FileNotFoundError: it is not there.
    """
    began, policy = time.perf_counter(), policy or read_policy()
    try:
        archive = open_archive(path, policy.limits)
    except RefusedError as error:
        return Report(path, [], [error], time.perf_counter() - began)
    judged, refused = judge_archive(archive, policy)
    return Report(path, judged, refused, time.perf_counter() - began)


def judge_archive(archive: Archive, policy: Policy) -> tuple[list[Judged], list[RefusedError]]:
    """Return what :func:`audit` judged and refused of an archive that is open already."""
    judged: list[Judged] = []
    refused: list[RefusedError] = []
    for check in _checks(archive, policy, judged):
        _gather(check, refused)
    refused += [
        RefusedError(f"{each.file}, {each.key}", each.text, each.refused)
        for each in judged
        if each.refused
    ]
    return judged, refused


def _gather(check: Callable[[], object], refused: list[RefusedError]) -> None:
    try:
        found = check()
    except RefusedError as error:
        refused.append(error)
    else:
        refused += found if isinstance(found, list) else []


def _checks(archive: Archive, policy: Policy, judged: list[Judged]) -> Iterator[Callable[[], Any]]:
    """Every check of an archive; each may refuse, and the others go on."""
    yield lambda: _places(archive)
    yield lambda: compare(archive, read_manifest(archive))
    yield lambda: _source(archive, policy)
    for file in sorted(archive.files):
        if re.fullmatch(r"configs/[\w-]+\.yaml", file):
            yield partial(_config, archive, file, policy, judged)
    yield lambda: _metadata(archive, policy, judged)
    yield lambda: _logging(archive)
    yield lambda: _weights(archive, policy)


def _places(archive: Archive) -> list[RefusedError]:
    found = [
        RefusedError(file, "no file of a bundle", "expected configs, weights, documents, source")
        for file in sorted(archive.files)
        if not any(re.fullmatch(place, file) for place in PLACES)
    ]
    missing = sorted(set(NEEDED) - set(archive.files))
    return found + [RefusedError(file, "missing", "every bundle has it") for file in missing]


def _source(archive: Archive, policy: Policy) -> list[RefusedError]:
    files = {file: archive.sha256(file) for file in archive.files if is_source(file)}
    unknown = unknown_source(files, policy.trusted_source)
    why = "not of the installed release; source cannot be judged, only known"
    return [RefusedError(file, "unknown source", why) for file in unknown]


def _config(archive: Archive, file: str, policy: Policy, judged: list[Judged]) -> None:
    judged += judge_config(strict_yaml(archive.read(file), file), file, policy)


def _metadata(archive: Archive, policy: Policy, judged: list[Judged]) -> list[RefusedError]:
    file = "configs/metadata.json"
    if file not in archive.files:
        return []
    content = strict_json(archive.read(file), file)
    return [
        RefusedError(f"{file}, {key}", text, "MONAI reads it as a config; expected plain text")
        for key, text in _doing(content, "")
    ]


def _doing(value: Any, key: str) -> Iterator[tuple[str, str]]:
    """What of the metadata MONAI would resolve, since it reads them as a config, too."""
    if isinstance(value, dict):
        for name, each in value.items():
            if name.startswith("_"):
                yield f"{key}{name}", str(each)
            yield from _doing(each, f"{key}{name}::")
    elif isinstance(value, list):
        for i, each in enumerate(value):
            yield from _doing(each, f"{key}{i}::")
    elif isinstance(value, str) and value.strip().startswith(("$", "@", "%")):
        yield key.removesuffix("::"), value


def _logging(archive: Archive) -> list[RefusedError]:
    file = "configs/logging.conf"
    if file not in archive.files or archive.sha256(file) == installed()[LOGGING]:
        return []
    why = "not the release's own; MONAI calls what it names"
    return [RefusedError(file, "another logging config", why)]


def _weights(archive: Archive, policy: Policy) -> list[RefusedError]:
    judges = {"models/model.pt": judge_state_dict, "models/model.safetensors": judge_safetensors}
    shapes = {}
    for file, judge in judges.items():
        if file in archive.files:
            with archive.stream(file) as stream:
                shapes[file] = judge(stream, file, policy.parameters)
    first, *others = shapes.values() or ({},)
    if any(other != first for other in others):
        why = "expected the same tensors in both files"
        return [RefusedError("models", "other tensors in model.safetensors", why)]
    return []
