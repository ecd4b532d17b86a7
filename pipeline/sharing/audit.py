"""Judge a packed bundle before any of it is imported, unpacked or run."""

import hashlib
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.sharing.archive import Archive, RefusedError, open_archive
from pipeline.sharing.judgement import Judgement, judge_values
from pipeline.sharing.manifest import MANIFEST, compare_files, read_manifest
from pipeline.sharing.packed_configs import packed_configs
from pipeline.sharing.parsing import strict_json
from pipeline.sharing.policy import Policy, read_policy
from pipeline.sharing.source import installed_hashes, is_source, unknown_source
from pipeline.sharing.tensors import judge_safetensors
from pipeline.sharing.unpack import SAFE_WEIGHTS
from pipeline.sharing.values import VALUES, Values, read_values

METADATA, MODEL_RECORD = "configs/metadata.json", "models/model.json"
ALLOWED_PATHS = re.compile(
    r"LICENSE|manifest\.json|bom\.cdx\.json"
    r"|configs/([\w-]+\.yaml|(metadata|values)\.json|logging\.conf)"
    r"|models/model\.(safetensors|json)"
    r"|docs/(README\.md|data_license\.txt|(evaluation|fingerprint|packages|exports)\.json)"
    r"|sample/(image|mask|instances|probability(_[1-9]\d{0,4})?)\.(tif|nii\.gz)"
    r"|(pipeline|transforms)/(\w+/)*"
    r"(\w+\.(py|yaml|conf)|\w+(\.\w+)?\.jinja|py\.typed|LICENSE|data_license\.txt)",
    re.ASCII,
)
"""The paths that a bundle's files may have: no pickle, no program but source, no page of HTML."""
REQUIRED_FILES = (
    "LICENSE", METADATA, VALUES, MODEL_RECORD, SAFE_WEIGHTS,
)  # fmt: skip
READ_IT = (
    "it has own expressions, or own parts of the wiring; read them (unet-school audit FILE --all), "
    "and list this hash under custom_configs in your policy"
)
LOGGING_CONFIG = "pipeline/planning/templates/logging.conf"
"""The only logging config that a bundle may have: MONAI reads classes and calls from it."""
MAX_MESSAGE_CHARACTERS = 200
"""Of an exception that a file provoked."""


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
    for place, check in _checks(archive, policy, judgements):
        refusals += _refusals_of(place, check)
    return judgements, refusals


def _refusals_of(place: str, check: Callable[[], object]) -> list[RefusedError]:
    """Return what a check refuses. What it cannot judge is refused, too."""
    try:
        result = check()
    except RefusedError as error:
        return [error]
    except Exception as error:  # whichever a file provokes: of numbers, of nesting, of memory
        message = (str(error).splitlines() or [""])[0][:MAX_MESSAGE_CHARACTERS]
        reason = "cannot be judged, so it is refused"
        return [RefusedError(place, f"{type(error).__name__} {message!r}", reason)]
    return result if isinstance(result, list) else []


def _checks(
    archive: Archive, policy: Policy, judgements: list[Judgement]
) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Yield the place and every check of an archive; after a refusal the others still run."""
    yield archive.path.name, lambda: _check_paths(archive)
    yield MANIFEST, lambda: compare_files(archive, read_manifest(archive))
    yield "source", lambda: _check_source(archive, policy)
    yield VALUES, lambda: _judge_values(archive, policy, judgements)
    yield METADATA, lambda: _check_metadata(archive)
    yield "configs/logging.conf", lambda: _check_logging(archive)
    yield SAFE_WEIGHTS, lambda: _check_weights(archive, policy)


def _check_paths(archive: Archive) -> list[RefusedError]:
    expected = "expected configs, weights, documents, source"
    unexpected = [
        RefusedError(file, "no file of a bundle", expected)
        for file in sorted(archive.files)
        if not ALLOWED_PATHS.fullmatch(file)
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


def _judge_values(
    archive: Archive, policy: Policy, judgements: list[Judgement]
) -> list[RefusedError]:
    """Judge the values, and refuse configs that are not what the values and the release make."""
    if VALUES not in archive.files:
        return []
    content = archive.read(VALUES)
    values = read_values(content)
    judgements += judge_values(values, policy)
    refusals = [
        RefusedError(f"{VALUES}, {judgement.key}", judgement.text, judgement.reason)
        for judgement in judgements
        if judgement.reason
    ]
    sha256 = hashlib.sha256(content).hexdigest()
    if any(judgement.is_custom for judgement in judgements) and sha256 not in policy.custom_configs:
        refusals.append(RefusedError(VALUES, f"a custom config, SHA-256 {sha256}", READ_IT))
    return refusals or _compare_configs(archive, values)


def _compare_configs(archive: Archive, values: Values) -> list[RefusedError]:
    try:
        made = packed_configs(values)
    except ValueError as error:
        raise RefusedError(VALUES, str(error), "expected a place in the wiring") from None
    reason = f"expected what this release makes of {VALUES}"
    packed = {file for file in archive.files if file.endswith(".yaml") and not is_source(file)}
    return [
        RefusedError(file, "another config", reason)
        for file in sorted({*packed, *made})
        if file not in archive.files or made.get(file) != archive.read(file)
    ]


def _check_metadata(archive: Archive) -> list[RefusedError]:
    if METADATA not in archive.files:
        return []
    content = strict_json(archive.read(METADATA), METADATA)
    return [
        RefusedError(f"{METADATA}, {key}", text, "MONAI reads it as a config; expected plain text")
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
    """Refuse weights that are more than numbers, or not those of the model's record."""
    if SAFE_WEIGHTS not in archive.files or MODEL_RECORD not in archive.files:
        return []
    with archive.stream(SAFE_WEIGHTS) as stream:
        digest = judge_safetensors(stream, SAFE_WEIGHTS, policy.limits.parameters)
    recorded = strict_json(archive.read(MODEL_RECORD), MODEL_RECORD).get("sha256")
    if recorded == digest:
        return []
    reason = f"the values in {SAFE_WEIGHTS} have the hash {digest}"
    return [RefusedError(f"{MODEL_RECORD}, sha256", f"{recorded!r:.80}", reason)]
