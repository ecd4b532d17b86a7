"""Who may call: users and their tokens, from a file that its owner alone can read."""

import getpass
import hmac
import os
import re
from collections.abc import Mapping
from pathlib import Path

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
MIN_TOKEN_CHARACTERS = 32
"""Shorter tokens could be guessed."""
OTHERS = 0o077
"""Rights of the group and of everybody on a file."""
REMEDY = (
    "each line is NAME TOKEN; make a token with: "
    "python -c 'import secrets; print(secrets.token_urlsafe(32))'"
)


class Users:
    """The users and their tokens; without a file, whoever calls is the owner of this process.

    Args:
        tokens: token of each user by name; None: none is asked for.
    """

    def __init__(self, tokens: Mapping[str, str] | None) -> None:
        self._tokens = tokens

    def __repr__(self) -> str:
        return f"Users({'none' if self._tokens is None else len(self._tokens)})"

    @property
    def need_tokens(self) -> bool:
        """Whether a token is asked for."""
        return self._tokens is not None

    def named_by(self, token: str | None) -> str | None:
        """Return the user whose token it is; None: nobody's.

        It takes the same time for every token: all are compared, each in constant time.
        """
        if self._tokens is None:
            return owner()
        given, name = (token or "").encode(), None
        for user, own in self._tokens.items():
            if hmac.compare_digest(own.encode(), given):
                name = user
        return name


def owner() -> str:
    """Return the name of the user of the system that this process belongs to."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user without a name
        return f"user {os.getuid()}" if hasattr(os, "getuid") else "owner"


def read_users(path: Path | None) -> Users:
    """Read the file of users; None: no token is asked for.

    Raises:
        FileNotFoundError: no such file.
        ValueError: others can read it, or a line is not a name and a token; no token is repeated.
    """
    if path is None:
        return Users(None)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; {REMEDY}")
    if os.name == "posix" and path.stat().st_mode & OTHERS:
        raise ValueError(f"{path}: others can read the tokens; chmod 600 {path}")
    tokens: dict[str, str] = {}
    for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1):
        if line.strip() and not line.startswith("#"):
            name, token = _user(line, f"{path}, line {number}")
            if name in tokens or token in tokens.values():
                raise ValueError(f"{path}, line {number}: a name or token that stands there twice")
            tokens[name] = token
    if not tokens:
        raise ValueError(f"{path}: no user in it; {REMEDY}")
    return Users(tokens)


def _user(line: str, place: str) -> tuple[str, str]:
    words = line.split()
    if len(words) != 2 or not NAME.fullmatch(words[0]):
        raise ValueError(f"{place}: expected a name and a token; {REMEDY}")
    if len(words[1]) < MIN_TOKEN_CHARACTERS:
        raise ValueError(
            f"{place}: a token of {len(words[1])} characters, expected {MIN_TOKEN_CHARACTERS} or "
            f"more; {REMEDY}"
        )
    return words[0], words[1]
