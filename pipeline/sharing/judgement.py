"""Judge the values of a packed bundle against the policy: what each key and argument may hold."""

import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from pipeline.bundle.check import MONAI_IDS, RUN_IDS, TRACKING_IDS
from pipeline.bundle.knobs import KNOBS, knob_error
from pipeline.sharing.expressions import as_evaluated, is_evaluated, judge_expression
from pipeline.sharing.kinds import KINDS, MAX_ITEMS, is_plain
from pipeline.sharing.packed_configs import places, wired_keys
from pipeline.sharing.policy import LIST_OF, REQUIRED, Policy, roles_of
from pipeline.sharing.values import Values

KEY = re.compile(r"[A-Za-z]\w*")
NO_VALUE = "no value of a package; the release's wiring has it"
PLAIN = "plain values"
OF_TRAIN = "it stands in train alone, so that what was measured is what is used"
WHOLE = "expected a whole key"


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
        ['no such target']
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
        own = self.policy.overlays.get(self.config)
        is_wired = key.split("#")[0] in self.wired - {*KNOBS, *self.policy.keys}
        if key in self.places or not all(map(KEY.fullmatch, key.split("#"))):
            yield Judgement(place, "value", _text(value), NO_VALUE)
        elif own is not None and key not in own and not is_wired:
            yield Judgement(place, "value", _text(value), OF_TRAIN)
        elif "#" in key and key not in self.policy.keys and not is_wired:
            yield Judgement(place, "value", _text(value), WHOLE)
        elif key in self.policy.keys:
            yield from self.value(place, value, self.policy.keys[key])
        elif is_wired:
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
                yield from self.one_of(f"{place}::{i}", item, roles_of(role))
        elif role is not None:
            yield from self.component(place, value, role)
        elif is_evaluated(value) and value in accepted:
            yield Judgement(place, "expression", value)
        elif self.is_accepted(value, accepted) or self.is_reference(value, accepted):
            yield Judgement(place, "value", _text(value))
        else:
            yield from self.unlike(place, value, accepted)

    def unlike(self, place: str, value: Any, accepted: Sequence[str]) -> Iterator[Judgement]:
        """Judge a value that is none of what the policy says."""
        kinds = [KINDS[name].expected if name in KINDS else name for name in accepted]
        reason = f"expected {' or '.join(kinds)}"
        # a component is never made by an expression: MONAI would import a name
        may_be_made = is_evaluated(value) and any(name in KINDS for name in accepted)
        if may_be_made or _are_components(value):
            yield from self.beyond(place, value, reason)
        else:
            yield Judgement(place, "value", _text(value), reason)

    def one_of(self, place: str, value: dict[str, Any], roles: Sequence[str]) -> list[Judgement]:
        """Judge a component by the first role that accepts it, or else by the last."""
        judgements: list[Judgement] = []
        for role in (role for role in roles if self.is_of(value, role)):
            judgements = list(self.component(place, value, role))
            if not any(judgement.reason for judgement in judgements):
                break
        return judgements

    def component(self, place: str, value: dict[str, Any], role: str) -> Iterator[Judgement]:
        """Judge a component and its arguments."""
        spelt = self.policy.targets[role][value["_target_"]]
        arguments = {name.removesuffix(REQUIRED): accepted for name, accepted in spelt.items()}
        yield Judgement(place, "component", value["_target_"])
        for name in arguments:
            if f"{name}{REQUIRED}" in spelt and name not in value:
                reason = f"{value['_target_']} must have it"
                yield Judgement(f"{place}::{name}", "value", "missing", reason)
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
            judgements = self.one_of(place, value, list(self.policy.targets))
            target = _text(value["_target_"])
            yield Judgement(
                place, "component", target, "" if judgements else "no such target", True
            )
            yield from judgements
        elif isinstance(value, dict | list) and len(value) <= MAX_ITEMS:
            items = value.items() if isinstance(value, dict) else enumerate(value)
            for name, item in items:
                if not KEY.fullmatch(str(name)) and isinstance(value, dict):
                    yield Judgement(f"{place}::{name}", "value", str(name), "expected a plain name")
                yield from self.beyond(f"{place}::{name}", item, reason)
        elif is_evaluated(value):
            refusal = judge_expression(value, self.policy.allowed)
            yield Judgement(place, "expression", as_evaluated(value), refusal, is_custom=True)
        else:
            yield Judgement(place, "value", _text(value), "" if is_plain(value) else reason, True)

    def is_of(self, value: Any, role: str) -> bool:
        """Whether a value is a component of a role, or a list of such."""
        if role.startswith(LIST_OF):
            one = roles_of(role)
            return isinstance(value, list) and all(
                any(self.is_of(item, role) for role in one) for item in value
            )
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


def _are_components(value: Any) -> bool:
    items = value if isinstance(value, list) else [value]
    return bool(items) and all(isinstance(item, dict) and "_target_" in item for item in items)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else "null" if value is None else str(value)
