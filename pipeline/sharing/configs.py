"""Judging the values of a config: targets, expressions, macros, paths."""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from pipeline.sharing.expressions import judge_expression, root_of
from pipeline.sharing.policy import Policy

MACRO = re.compile(r"%[A-Za-z_]\w*(?:(?:::|#)\w+)*")
"""Of a key in the same file; one of another file names it with its suffix."""
MODES = ("default", "callable")
WORDS = {"_requires_", "_disabled_", "_desc_", "_mode_", "_target_"}
"""Keys that MONAI reads itself."""
IMPORTED = {"reader"}
"""Keys whose text MONAI imports: LoadImage takes any dotted name for a reader."""
ROOT = {"_target_": "pipeline.bundle.bundle_root"}


class Judged(NamedTuple):
    """A value that would do something, and whether it may.

    Attributes:
        file: it stands in.
        key: whole, parted by ``::``.
        kind: ``target``, ``expression``, ``macro``, ``key``, ``path`` or ``import``.
        text: of the value.
        refused: why; empty: it is accepted.
    """

    file: str
    key: str
    kind: str
    text: str
    refused: str


def judge_config(content: dict[str, Any], file: str, policy: Policy) -> Iterator[Judged]:
    """List every value of a config that would do something, with its judgement.

    Args:
        content: of the file, strictly read.
        file: its name.
        policy: of the site.

    Example:
        >>> from pipeline.sharing.policy import read_policy
        >>> config = {"run": [{"_target_": "os.system", "command": "id"}]}
        >>> [each.refused for each in judge_config(config, "train.yaml", read_policy())]
        ['not on the list of targets']
    """
    for key, value in content.items():
        if key in policy.allowed.paths:
            yield _path_key(key, value, file, policy)
    yield from _mapping(content, "", file, policy)
    if "bundle_root" in content and content["bundle_root"] != ROOT:
        text = str(content["bundle_root"])
        yield Judged(file, "bundle_root", "path", text, f"expected {ROOT['_target_']}")


def _walk(value: Any, key: str, file: str, policy: Policy) -> Iterator[Judged]:
    if isinstance(value, dict):
        yield from _mapping(value, key, file, policy)
    elif isinstance(value, list):
        for i, each in enumerate(value):
            yield from _walk(each, f"{key}::{i}", file, policy)
    elif isinstance(value, str):
        yield from _text(value, key, file, policy)


def _mapping(value: dict[str, Any], key: str, file: str, policy: Policy) -> Iterator[Judged]:
    for name, each in value.items():
        place = f"{key}::{name}" if key else name
        if name == "_target_":
            fine = isinstance(each, str) and each in policy.targets
            reason = "" if fine else "not on the list of targets"
            yield Judged(file, key, "target", str(each), reason)
            continue
        if name == "_mode_" and each not in MODES:
            yield Judged(file, place, "key", str(each), f"expected {' or '.join(MODES)}")
        elif re.fullmatch(r"_\w*_", name) and name not in WORDS:
            yield Judged(file, place, "key", name, "no key of a config")
        elif name.lstrip("+") != name or any(sign in name for sign in "#@$%") or "::" in name:
            yield Judged(file, place, "key", name, "expected a plain name")
        if name in IMPORTED and not isinstance(each, dict):
            yield Judged(file, place, "import", str(each), "expected a target, not a name")
        yield from _walk(each, place, file, policy)


def _text(value: str, key: str, file: str, policy: Policy) -> Iterator[Judged]:
    text = value.strip()
    if text.startswith("$"):
        yield Judged(file, key, "expression", value, judge_expression(text, policy.allowed))
    elif text.startswith("%"):
        plain = MACRO.fullmatch(text) is not None
        yield Judged(file, key, "macro", value, "" if plain else "of another file")
    elif text.startswith(("/", "~", "\\")) or ".." in text or re.search(r"\w:[/\\]", text):
        yield Judged(file, key, "path", value, "leads out of the bundle")


def _path_key(key: str, value: Any, file: str, policy: Policy) -> Judged:
    text = "null" if value is None else str(value)
    fine = value is None or value == ROOT
    if isinstance(value, str) and value.startswith("$"):
        fine = root_of(value) in policy.allowed.paths
    return Judged(file, key, "path", text, "" if fine else "expected a path that begins with a key")
