"""Judge the values of a config: targets, expressions, macros, paths."""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from pipeline.sharing.expressions import judge_expression, leading_key
from pipeline.sharing.policy import Policy

MACRO = re.compile(r"%[A-Za-z_]\w*(?:(?:::|#)\w+)*")
"""A macro of a key in the same file; a macro of another file holds that file's name."""
ALLOWED_MODES = ("default", "callable")
MONAI_KEYS = {"_requires_", "_disabled_", "_desc_", "_mode_", "_target_"}
"""Keys that MONAI itself reads."""
IMPORTED_KEYS = {"reader"}
"""Keys whose text MONAI imports: LoadImage accepts any dotted name as a reader."""
BUNDLE_ROOT = {"_target_": "pipeline.bundle.bundle_root"}


class Judgement(NamedTuple):
    """A value that would do something, and whether the policy allows it.

    Attributes:
        file: the config file that holds the value.
        key: the whole key, its levels separated by ``::``.
        kind: ``target``, ``expression``, ``macro``, ``key``, ``path`` or ``import``.
        text: the value as text.
        reason: why the value is refused; empty: it is accepted.
    """

    file: str
    key: str
    kind: str
    text: str
    reason: str


def judge_config(content: dict[str, Any], file: str, policy: Policy) -> Iterator[Judgement]:
    """Yield a judgement of every value of a config that would do something.

    Args:
        content: the config, read by :func:`pipeline.sharing.parsing.strict_yaml`.
        file: the config's name.
        policy: the site's policy.

    Example:
        >>> from pipeline.sharing.policy import read_policy
        >>> config = {"run": [{"_target_": "os.system", "command": "id"}]}
        >>> [item.reason for item in judge_config(config, "train.yaml", read_policy())]
        ['not on the list of targets']
    """
    for key, value in content.items():
        if key in policy.paths:
            yield _path_key(key, value, file, policy)
    yield from _mapping(content, "", file, policy)
    if "bundle_root" in content and content["bundle_root"] != BUNDLE_ROOT:
        text = str(content["bundle_root"])
        yield Judgement(file, "bundle_root", "path", text, f"expected {BUNDLE_ROOT['_target_']}")


def _walk(value: Any, key: str, file: str, policy: Policy) -> Iterator[Judgement]:
    if isinstance(value, dict):
        yield from _mapping(value, key, file, policy)
    elif isinstance(value, list):
        for i, item in enumerate(value):
            yield from _walk(item, f"{key}::{i}", file, policy)
    elif isinstance(value, str):
        yield from _text(value, key, file, policy)


def _mapping(value: dict[str, Any], key: str, file: str, policy: Policy) -> Iterator[Judgement]:
    for name, item in value.items():
        place = f"{key}::{name}" if key else name
        if name == "_target_":
            accepted = isinstance(item, str) and item in policy.targets
            reason = "" if accepted else "not on the list of targets"
            yield Judgement(file, key, "target", str(item), reason)
            continue
        if name == "_mode_" and item not in ALLOWED_MODES:
            modes = " or ".join(ALLOWED_MODES)
            yield Judgement(file, place, "key", str(item), f"expected {modes}")
        elif re.fullmatch(r"_\w*_", name) and name not in MONAI_KEYS:
            yield Judgement(file, place, "key", name, "not a key that MONAI knows")
        elif name.lstrip("+") != name or any(sign in name for sign in "#@$%") or "::" in name:
            yield Judgement(file, place, "key", name, "expected a plain name")
        if name in IMPORTED_KEYS and not isinstance(item, dict):
            yield Judgement(file, place, "import", str(item), "expected a target, not a name")
        yield from _walk(item, place, file, policy)


def _text(value: str, key: str, file: str, policy: Policy) -> Iterator[Judgement]:
    text = value.strip()
    if text.startswith("$"):
        yield Judgement(file, key, "expression", value, judge_expression(text, policy.allowed))
    elif text.startswith("%"):
        same_file = MACRO.fullmatch(text) is not None
        reason = "" if same_file else "expected a key of the same file"
        yield Judgement(file, key, "macro", value, reason)
    elif text.startswith(("/", "~", "\\")) or ".." in text or re.search(r"\w:[/\\]", text):
        yield Judgement(file, key, "path", value, "leads out of the bundle")


def _path_key(key: str, value: Any, file: str, policy: Policy) -> Judgement:
    text = "null" if value is None else str(value)
    accepted = value is None or value == BUNDLE_ROOT
    if isinstance(value, str) and value.startswith("$"):
        accepted = leading_key(value) in policy.paths
    reason = "" if accepted else "expected an expression that begins with a folder's key, as $@key"
    return Judgement(file, key, "path", text, reason)
