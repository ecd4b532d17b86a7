"""Judge a packed bundle before any of it is imported, unpacked or run."""

import re
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.sharing.archive import Archive, RefusedError, open_archive
from pipeline.sharing.configs import Judgement, judge_config
from pipeline.sharing.manifest import compare_files, read_manifest
from pipeline.sharing.parsing import strict_json, strict_yaml
from pipeline.sharing.policy import Policy, read_policy
from pipeline.sharing.source import installed_hashes, is_source, unknown_source
from pipeline.sharing.tensors import judge_safetensors, judge_state_dict

ALLOWED_PATHS = (
    r"LICENSE", r"manifest\.json", r"bom\.cdx\.json",
    r"configs/[\w-]+\.yaml", r"configs/metadata\.json", r"configs/logging\.conf",
    r"models/model\.(pt|safetensors|json)",
    r"docs/[\w-]+\.(md|txt|json|html|png)", r"sample/[\w-]+\.(png|json|npy|nii\.gz|tif)",
    r"(pipeline|transforms)/[\w/.-]+",
)  # fmt: skip
"""Patterns of the paths that a bundle's files may have; a bundle needs no others."""
REQUIRED_FILES = (
    "LICENSE", "configs/metadata.json", "configs/inference.yaml", "models/model.pt",
)  # fmt: skip
LOGGING_CONFIG = "pipeline/planning/templates/logging.conf"
"""The only logging config that a bundle may have: MONAI reads classes and calls from it."""


class AuditReport(NamedTuple):
    """The result of an audit.

    Attributes:
        path: the archive.
        judgements: a judgement of every value that would do something.
        refusals: what is not accepted; empty: the bundle is accepted.
        seconds: duration of the audit.
    """

    path: Path
    judgements: list[Judgement]
    refusals: list[RefusedError]
    seconds: float


def audit(path: Path, policy: Policy | None = None) -> AuditReport:
    """Judge an archive.

    Args:
        path: the archive.
        policy: the site's policy; None: the default.

    Raises:
        FileNotFoundError: no such file.
    """
    start, policy = time.perf_counter(), policy or read_policy()
    try:
        archive = open_archive(path, policy.archive_limits)
    except RefusedError as error:
        return AuditReport(path, [], [error], time.perf_counter() - start)
    judgements, refusals = judge_archive(archive, policy)
    return AuditReport(path, judgements, refusals, time.perf_counter() - start)


def judge_archive(archive: Archive, policy: Policy) -> tuple[list[Judgement], list[RefusedError]]:
    """Return the judgements and refusals of :func:`audit` for an archive that is open already."""
    judgements: list[Judgement] = []
    refusals: list[RefusedError] = []
    for check in _checks(archive, policy, judgements):
        _collect(check, refusals)
    refusals += [
        RefusedError(f"{judgement.file}, {judgement.key}", judgement.text, judgement.reason)
        for judgement in judgements
        if judgement.reason
    ]
    return judgements, refusals


def _collect(check: Callable[[], object], refusals: list[RefusedError]) -> None:
    try:
        result = check()
    except RefusedError as error:
        refusals.append(error)
    else:
        refusals += result if isinstance(result, list) else []


def _checks(
    archive: Archive, policy: Policy, judgements: list[Judgement]
) -> Iterator[Callable[[], Any]]:
    """Yield every check of an archive; after a refusal the other checks still run."""
    yield lambda: _check_paths(archive)
    yield lambda: compare_files(archive, read_manifest(archive))
    yield lambda: _check_source(archive, policy)
    for file in sorted(archive.files):
        if re.fullmatch(r"configs/[\w-]+\.yaml", file):
            yield partial(_judge_config, archive, file, policy, judgements)
    yield lambda: _check_metadata(archive)
    yield lambda: _check_logging(archive)
    yield lambda: _check_weights(archive, policy)


def _check_paths(archive: Archive) -> list[RefusedError]:
    expected = "expected configs, weights, documents, source"
    unexpected = [
        RefusedError(file, "no file of a bundle", expected)
        for file in sorted(archive.files)
        if not any(re.fullmatch(pattern, file) for pattern in ALLOWED_PATHS)
    ]
    missing = sorted(set(REQUIRED_FILES) - set(archive.files))
    return unexpected + [RefusedError(file, "missing", "every bundle has it") for file in missing]


def _check_source(archive: Archive, policy: Policy) -> list[RefusedError]:
    files = {file: archive.sha256(file) for file in archive.files if is_source(file)}
    reason = "not in the installed release; source is compared with a release, it cannot be judged"
    return [
        RefusedError(file, "unknown source", reason)
        for file in unknown_source(files, policy.trusted_source)
    ]


def _judge_config(archive: Archive, file: str, policy: Policy, judgements: list[Judgement]) -> None:
    judgements += judge_config(strict_yaml(archive.read(file), file), file, policy)


def _check_metadata(archive: Archive) -> list[RefusedError]:
    file = "configs/metadata.json"
    if file not in archive.files:
        return []
    content = strict_json(archive.read(file), file)
    return [
        RefusedError(f"{file}, {key}", text, "MONAI reads it as a config; expected plain text")
        for key, text in _resolvable_values(content, "")
    ]


def _resolvable_values(value: Any, key: str) -> Iterator[tuple[str, str]]:
    """Yield the values of the metadata that MONAI would resolve: it reads them as a config, too."""
    if isinstance(value, dict):
        for name, item in value.items():
            if name.startswith("_"):
                yield f"{key}{name}", str(item)
            yield from _resolvable_values(item, f"{key}{name}::")
    elif isinstance(value, list):
        for i, item in enumerate(value):
            yield from _resolvable_values(item, f"{key}{i}::")
    elif isinstance(value, str) and value.strip().startswith(("$", "@", "%")):
        yield key.removesuffix("::"), value


def _check_logging(archive: Archive) -> list[RefusedError]:
    file = "configs/logging.conf"
    if file not in archive.files or archive.sha256(file) == installed_hashes()[LOGGING_CONFIG]:
        return []
    reason = "expected the release's own; MONAI calls what this file names"
    return [RefusedError(file, "another logging config", reason)]


def _check_weights(archive: Archive, policy: Policy) -> list[RefusedError]:
    judges = {"models/model.pt": judge_state_dict, "models/model.safetensors": judge_safetensors}
    shapes = {}
    for file, judge in judges.items():
        if file in archive.files:
            with archive.stream(file) as stream:
                shapes[file] = judge(stream, file, policy.limits.parameters)
    first, *others = shapes.values() or ({},)
    if any(other != first for other in others):
        reason = "expected the same tensors in both files"
        return [RefusedError("models", "other tensors in model.safetensors", reason)]
    return []
