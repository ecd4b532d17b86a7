"""Pinned keys: which key a receiver trusts for which sender, until when, and which it does no more.

A signature proves that the owner of a key signed a bundle. It does not prove who owns the key. So
the receiver asks the sender for the key's fingerprint by a second channel (telephone, letter, in
person), and pins the key with this fingerprint under the sender's name. ``NAME.pem`` is the pinned
key, ``NAME.json`` says what became of it and of the keys before it.
"""

import datetime
import os
import re
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from pipeline.files import atomic, write_text
from pipeline.schemas import read_schema
from pipeline.sharing.archive import RefusedError
from pipeline.sharing.keys import key_fingerprint

SENDER_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,63}")


class PinnedKey(BaseModel):
    """What is known of a key that is or was pinned.

    Attributes:
        fingerprint: of the key.
        pinned: the day; None: by an older release, which kept no day.
        until: the last day on which a new package of this key is accepted; None: no end.
        revoked: the day on which it was revoked; None: it was not.
        reason: why it was revoked.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    fingerprint: str
    pinned: datetime.date | None = None
    until: datetime.date | None = None
    revoked: datetime.date | None = None
    reason: str = ""

    @property
    def is_expired(self) -> bool:
        """Whether the last day is over."""
        return self.until is not None and self.until < datetime.date.today()

    @property
    def state(self) -> str:
        """What the key is good for, in words.

        Example:
            >>> day = datetime.date(2026, 3, 1)
            >>> PinnedKey(fingerprint="SHA256:…", revoked=day, reason="stolen").state
            'revoked on 2026-03-01 (stolen)'
        """
        if self.revoked is not None:
            return f"revoked on {self.revoked} ({self.reason or 'no reason given'})"
        if self.until is None:
            return "valid"
        return f"expired on {self.until}" if self.is_expired else f"valid until {self.until}"


class Pins(BaseModel):
    """The keys of one sender, the pinned one last."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    keys: list[PinnedKey]


def senders_folder() -> Path:
    """Return the folder of pinned keys: ``UNET_SCHOOL_SENDERS``, or one in the user's home."""
    folder = os.environ.get("UNET_SCHOOL_SENDERS")
    return Path(folder) if folder else Path.home() / ".config" / "unet-school" / "senders"


def pin_key(
    sender: str, public: Path, fingerprint: str, until: datetime.date | None = None
) -> Path:
    """Pin a sender's key under the sender's name; return the path of the pinned key.

    The same key can be pinned again, with another end. Another key replaces one that is revoked or
    expired.

    Args:
        sender: the sender's name.
        public: the public key, as the sender sent it.
        fingerprint: the key's fingerprint, which the sender gave by a second channel.
        until: the last day on which a new package of this key is accepted; None: no end.

    Raises:
        FileExistsError: another key is pinned under this name, and still valid.
        ValueError: the key has another fingerprint or was revoked, the name cannot be a file's
            name, or the day is over.
    """
    if not SENDER_NAME.fullmatch(sender):
        raise ValueError(f"{sender}: expected a name of letters, digits, dots and dashes")
    computed = key_fingerprint(public)
    if computed != fingerprint:
        raise ValueError(
            f"{public}: has the fingerprint {computed}, not {fingerprint}; ask the sender again"
        )
    if until is not None and until < datetime.date.today():
        raise ValueError(f"--until {until}: is over; expected a day to come")
    for name, key in _records_of(computed):
        if key.revoked is not None:
            raise ValueError(f"{name}: this key was {key.state}; ask the sender for a new key")
    path = _path(sender)
    before = pins_of(sender)
    last = before[-1] if before else None
    if last and last.fingerprint != computed and not (last.revoked or last.is_expired):
        raise FileExistsError(
            f"{path}: another key is pinned for {sender}; if it is not trusted any more: "
            f"unet-school key revoke {sender}"
        )
    kept = [key for key in before if key.fingerprint != computed]
    pinned = PinnedKey(fingerprint=computed, pinned=datetime.date.today(), until=until)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic(path) as temporary:
        temporary.write_bytes(public.read_bytes())
    _write(sender, [*kept, pinned])
    return path


def revoke_key(sender: str, reason: str = "") -> PinnedKey:
    """Revoke a sender's pinned key, and keep the pin as a record; return it.

    Args:
        sender: the sender's name.
        reason: why, for whoever meets the refusal.

    Raises:
        FileNotFoundError: no key is pinned under this name.
        ValueError: the key is revoked already.
    """
    pinned_key(sender)
    *before, key = pins_of(sender)
    if key.revoked is not None:
        raise ValueError(f"{sender}: its key is {key.state} already")
    revoked = key.model_copy(update={"revoked": datetime.date.today(), "reason": reason})
    _write(sender, [*before, revoked])
    return revoked


def pinned_key(sender: str) -> Path:
    """Return the path of a sender's pinned key.

    Raises:
        FileNotFoundError: no key is pinned under this name; lists the names with a key.
    """
    path = _path(sender)
    if not SENDER_NAME.fullmatch(sender) or not path.is_file():
        raise FileNotFoundError(
            f"{sender}: no key is pinned; pinned senders: {', '.join(sender_names()) or 'none'}; "
            f"unet-school key pin {sender} --key FILE --fingerprint …"
        )
    return path


def sender_names() -> list[str]:
    """Return the names of the senders with a pinned key."""
    return sorted(file.stem for file in senders_folder().glob("*.pem"))


def pins_of(sender: str) -> list[PinnedKey]:
    """Return the keys of a sender, the pinned one last.

    Raises:
        ValueError: the pinned key is not the one of its record.
    """
    path, record = _path(sender), _path(sender).with_suffix(".json")
    if not path.is_file():
        return []
    fingerprint = key_fingerprint(path)
    if not record.is_file():
        return [PinnedKey(fingerprint=fingerprint)]
    keys = read_schema(record, Pins, f"unet-school key pin {sender} writes it").keys
    if not keys or keys[-1].fingerprint != fingerprint:
        raise ValueError(
            f"{record}: not the record of {path.name}; remove both, and pin the key again"
        )
    return keys


def key_refusals(public: Path, new_package: bool = True) -> list[RefusedError]:
    """Return why a key is not accepted, whoever names it: it is revoked, or expired.

    Args:
        public: the public key.
        new_package: whether it is to accept a package, for which an expired key is no good. What
            was accepted before stays so.
    """
    refusals = []
    for sender, key in _records_of(key_fingerprint(public)):
        if key.revoked is not None:
            remedy = "ask the sender for a new key, and pin it"
        elif key.is_expired and new_package:
            remedy = (
                "ask the sender for a new key, or whether this one is still good, and renew it: "
                f"unet-school key pin {sender} --key FILE --fingerprint … --until YYYY-MM-DD"
            )
        else:
            continue
        refusals.append(RefusedError(sender, f"key {key.fingerprint}", f"{key.state}; {remedy}"))
    return refusals


def _records_of(fingerprint: str) -> Iterator[tuple[str, PinnedKey]]:
    """Yield each record of a key, with the sender's name."""
    for sender in sender_names():
        for key in pins_of(sender):
            if key.fingerprint == fingerprint:
                yield sender, key


def _path(sender: str) -> Path:
    return senders_folder() / f"{sender}.pem"


def _write(sender: str, keys: list[PinnedKey]) -> None:
    text = Pins(keys=keys).model_dump_json(indent=2)
    write_text(_path(sender).with_suffix(".json"), text + "\n", durable=True)
