"""How the service is reached, and what it accepts."""

import re
from dataclasses import dataclass
from pathlib import Path

MEGABYTE = 10**6
LOOPBACK = ("127.0.0.1", "localhost", "::1")
"""Names of this machine for itself."""
MAX_PORT = 2**16 - 1
ORIGIN = re.compile(r"https?://[^/?#\s]+")
"""A page's origin as a browser sends it: without a path, nor a slash at its end."""


@dataclass(frozen=True)
class ServeSettings:
    """How the service is reached, and what it accepts.

    Attributes:
        host: address to listen at.
        port: port to listen at; 0: any free one.
        users: file with the users' tokens; None: everybody on this machine is accepted.
        origins: addresses of web pages that may call, as ``http://localhost:3000`` for OHIF.
        upload_mb: largest upload.
        waiting: largest number of inferences that wait for their turn.
        training: whether a plug-in may start a training.

    Raises:
        ValueError: a value out of its range, or an origin that no browser sends.
    """

    host: str = LOOPBACK[0]
    port: int = 8000
    users: Path | None = None
    origins: tuple[str, ...] = ()
    upload_mb: float = 512
    waiting: int = 8
    training: bool = False

    def __post_init__(self) -> None:
        if self.waiting < 1:  # a queue of none would be one without a bound
            raise ValueError(f"--waiting {self.waiting}: expected 1 or more")
        if self.upload_mb <= 0:
            raise ValueError(f"--upload-mb {self.upload_mb}: expected more than 0")
        if not 0 <= self.port <= MAX_PORT:
            raise ValueError(f"--port {self.port}: expected 0 to {MAX_PORT}")
        for origin in self.origins:
            if not ORIGIN.fullmatch(origin):
                raise ValueError(
                    f"--origin {origin}: expected scheme, name and port alone, as "
                    "http://localhost:3000"
                )

    @property
    def upload_bytes(self) -> int:
        """Largest number of bytes of an upload."""
        return int(self.upload_mb * MEGABYTE)


def check_reach(settings: ServeSettings) -> None:
    """Refuse to be reached from other machines without tokens.

    Raises:
        ValueError: the host is not this machine alone, and there is no file of users.

    Example:
        >>> check_reach(ServeSettings())
        >>> check_reach(ServeSettings(host="0.0.0.0"))
        Traceback (most recent call last):
        ValueError: --host 0.0.0.0: other machines could call without a token; give --users ...
    """
    if settings.host not in LOOPBACK and settings.users is None:
        raise ValueError(
            f"--host {settings.host}: other machines could call without a token; give --users "
            f"FILE, or leave --host out for this machine alone"
        )
