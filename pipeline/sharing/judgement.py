"""Judge the values of a packed bundle against the policy: what each key and argument may hold."""

import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from pipeline.bundle.check import MONAI_IDS, RUN_IDS, TRACKING_IDS
from pipeline.bundle.knobs import KNOBS, knob_error
from pipeline.sharing.expressions import as_evaluated, judge_expression
from pipeline.sharing.kinds import KINDS, MAX_ITEMS, is_plain
from pipeline.sharing.packed_configs import places, wired_keys
from pipeline.sharing.policy import LIST_OF, Policy
from pipeline.sharing.values import Values

KEY = re.compile(r"[A-Za-z]\w*")
NO_VALUE = "no value of a package; the release's wiring has it"
PLAIN = "plain values"


class Judgement(NamedTuple):
    """A value, and whether the policy allows it.

    Attributes:
        key: the config, the key and the place in its value, separated by ``::``.
        kind: ``value``, ``component`` or ``expression``.
        text: the value as text; an expression as MONAI evaluates it.
        reason: why the value is refused; empty: it is accepted.
        is_custom: whether it goes beyond what every site accepts.
    """

    key: str
    kind: str
    text: str
    reason: str = ""
    is_custom: bool = False


def judge_values(values: Values, policy: Policy) -> Iterator[Judgement]:
    """Yield a judgement of every value of a package.

    Args:
        values: of the package.
        policy: the site's policy.

    Example:
        >>> from pipeline.sharing.policy import read_policy
        >>> loss = {"_target_": "os.system", "command": "id"}
        >>> values = Values(train={"loss": loss}, evaluate={}, inference={}, explain={})
        >>> [judgement.reason for judgement in judge_values(values, read_policy())]
        ['expected loss']
    """
    for config in Values.model_fields:
        judge = _Judge(policy, config, values.of(config))
        for key, value in getattr(values, config).items():
            yield from judge.key(key, value)


class _Judge:
    """Judges the values of one config; every method yields a judgement of each part of a value."""

    def __init__(self, policy: Policy, config: str, whole: dict[str, Any]) -> None:
        self.policy, self.config, self.whole = policy, config, whole
        self.wired = {*wired_keys(config), *MONAI_IDS, *RUN_IDS, *TRACKING_IDS, "imports"}
        self.places = {*places("train"), *places(config)}

    def key(self, key: str, value: Any) -> Iterator[Judgement]:
        """Judge a key and its value."""
        place = f"{self.config}::{key}"
        if key in self.places or not all(map(KEY.fullmatch, key.split("#"))):
            yield Judgement(place, "value", _text(value), NO_VALUE)
        elif key in self.policy.keys:
            yield from self.value(place, value, self.policy.keys[key])
        elif key.split("#")[0] in self.wired - set(KNOBS):
            yield from self.beyond(place, value, NO_VALUE)
        elif error := knob_error(key, value):
            yield Judgement(place, "value", _text(value), error.partition(", ")[2])
        elif is_plain(value):
            yield Judgement(place, "value", _text(value))
        else:
            yield from self.beyond(place, value, f"expected {PLAIN}")

    def value(self, place: str, value: Any, accepted: Sequence[str]) -> Iterator[Judgement]:
        """Judge a value of which the policy says what it may be."""
        role = next((role for role in accepted if self.is_of(value, role)), None)
        if role is not None and isinstance(value, list):
            for i, item in enumerate(value):
                yield from self.component(f"{place}::{i}", item, role.removeprefix(LIST_OF))
        elif role is not None:
            yield from self.component(place, value, role)
        elif isinstance(value, str) and value in accepted:
            yield Judgement(place, "expression", value)
        elif self.is_accepted(value, accepted) or self.is_reference(value, accepted):
            yield Judgement(place, "value", _text(value))
        else:
            yield from self.unlike(place, value, accepted)

    def unlike(self, place: str, value: Any, accepted: Sequence[str]) -> Iterator[Judgement]:
        """Judge a value that is none of what the policy says."""
        kinds = [KINDS[name].expected if name in KINDS else name for name in accepted]
        reason = f"expected {' or '.join(kinds)}"
        if (
            isinstance(value, str)
            and value.startswith(("$", "@"))
            and any(name in KINDS for name in accepted)
        ):  # a component is never made by an expression: MONAI would import a name
            yield from self.beyond(place, value, reason)
        else:
            yield Judgement(place, "value", _text(value), reason)

    def component(self, place: str, value: dict[str, Any], role: str) -> Iterator[Judgement]:
        """Judge a component and its arguments."""
        arguments = self.policy.targets[role][value["_target_"]]
        yield Judgement(place, "component", value["_target_"])
        for name, argument in value.items():
            if name == "_target_":
                continue
            if name not in arguments:
                reason = f"no argument that {value['_target_']} may have"
                yield Judgement(f"{place}::{name}", "value", _text(argument), reason)
            else:
                yield from self.value(f"{place}::{name}", argument, arguments[name])

    def beyond(self, place: str, value: Any, reason: str) -> Iterator[Judgement]:
        """Judge what only a custom config may hold: in its values every part."""
        if isinstance(value, dict) and "_target_" in value:
            role = next((role for role in self.policy.targets if self.is_of(value, role)), None)
            if role is None:
                yield Judgement(place, "component", _text(value["_target_"]), "no such target")
            else:
                yield Judgement(place, "component", value["_target_"], "", is_custom=True)
                yield from self.component(place, value, role)
        elif isinstance(value, dict | list) and len(value) <= MAX_ITEMS:
            items = value.items() if isinstance(value, dict) else enumerate(value)
            for name, item in items:
                if not KEY.fullmatch(str(name)) and isinstance(value, dict):
                    yield Judgement(f"{place}::{name}", "value", str(name), "expected a plain name")
                yield from self.beyond(f"{place}::{name}", item, reason)
        elif isinstance(value, str) and value.startswith(("$", "@")):
            refusal = judge_expression(value, self.policy.allowed)
            yield Judgement(place, "expression", as_evaluated(value), refusal, is_custom=True)
        else:
            yield Judgement(place, "value", _text(value), "" if is_plain(value) else reason, True)

    def is_of(self, value: Any, role: str) -> bool:
        """Whether a value is a component of a role, or a list of such."""
        if role.startswith(LIST_OF):
            one = role.removeprefix(LIST_OF)
            return isinstance(value, list) and all(self.is_of(item, one) for item in value)
        targets = self.policy.targets.get(role, {})
        target = value.get("_target_") if isinstance(value, dict) else None
        return isinstance(target, str) and target in targets

    def is_accepted(self, value: Any, accepted: Sequence[str]) -> bool:
        """Whether a value is of one of the kinds."""
        return any(name in KINDS and KINDS[name].accepts(value) for name in accepted)

    def is_reference(self, value: Any, accepted: Sequence[str]) -> bool:
        """Whether a value refers to a key whose own value is of one of the kinds."""
        key = value[1:] if isinstance(value, str) and value.startswith("@") else None
        return key in self.whole and self.is_accepted(self.whole[key], accepted)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else "null" if value is None else str(value)
