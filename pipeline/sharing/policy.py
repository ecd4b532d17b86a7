"""What a site lets a received bundle do."""

from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.sharing.archive import MEGABYTE, Limits
from pipeline.sharing.expressions import Allowed
from pipeline.sharing.strict import strict_yaml

KEYS = {"targets", "names", "methods", "attributes", "paths", "limits", "trusted_source"}
LIMITS = {"files", "file_megabytes", "megabytes", "ratio", "parameters"}


class Policy(NamedTuple):
    """A policy, as a site's file or the default has it.

    Attributes:
        targets: that ``_target_`` may name.
        allowed: in expressions.
        limits: of the archive.
        parameters: of the weights, together, at most.
        trusted_source: hashes of source trees, see :func:`pipeline.sharing.source.tree_sha256`.
    """

    targets: frozenset[str]
    allowed: Allowed
    limits: Limits
    parameters: int
    trusted_source: frozenset[str]


def read_policy(path: Path | None = None) -> Policy:
    """Read a policy; None: the default, which accepts what our own bundles need.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a key that is unknown, missing, or not what it should be.

    Example:
        >>> "torch.optim.Adam" in read_policy().targets, "os.system" in read_policy().targets
        (True, False)
    """
    if path is not None and not path.is_file():
        raise FileNotFoundError(f"{path}: no such policy")
    file = path or files("pipeline.sharing").joinpath("policy.yaml")
    content = strict_yaml(file.read_bytes(), str(path or "policy.yaml"))
    _check(content, str(path or "policy.yaml"))
    sets = {key: frozenset(content[key]) for key in KEYS - {"limits"}}
    limits = content["limits"]
    return Policy(
        targets=sets["targets"],
        allowed=Allowed(sets["names"], sets["methods"], sets["attributes"], sets["paths"]),
        limits=Limits(
            files=limits["files"],
            file_bytes=limits["file_megabytes"] * MEGABYTE,
            bytes=limits["megabytes"] * MEGABYTE,
            ratio=limits["ratio"],
        ),
        parameters=limits["parameters"],
        trusted_source=sets["trusted_source"],
    )


def _check(content: dict[str, Any], place: str) -> None:
    if set(content) != KEYS:
        wrong = ", ".join(sorted(set(content) ^ KEYS))
        raise ValueError(f"{place}: {wrong}: expected the keys {', '.join(sorted(KEYS))}")
    for key in KEYS - {"limits"}:
        value = content[key]
        if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
            raise ValueError(f"{place}: {key}: expected a list of names")
    limits = content["limits"]
    if not isinstance(limits, dict) or set(limits) != LIMITS:
        raise ValueError(f"{place}: limits: expected {', '.join(sorted(LIMITS))}")
    for key, value in limits.items():
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise ValueError(f"{place}: limits: {key}: found {value!r}, expected 1 or more")
