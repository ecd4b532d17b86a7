"""How the service is reached, and what it accepts."""

from dataclasses import dataclass
from pathlib import Path

MEGABYTE = 10**6
LOOPBACK = ("127.0.0.1", "localhost", "::1")
"""Names of this machine for itself."""


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
    """

    host: str = LOOPBACK[0]
    port: int = 8000
    users: Path | None = None
    origins: tuple[str, ...] = ()
    upload_mb: float = 512
    waiting: int = 8
    training: bool = False

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
