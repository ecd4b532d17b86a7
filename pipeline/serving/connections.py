"""Connections that say nothing: bounded in time and in number, so that the others are answered."""

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_SECONDS = 10.0
"""How long the head of a request may take, from the connection or the answer before it."""
MAX_SILENT = 8
"""Connections that wait for a request; a further one ends the oldest of them."""


class BoundedProtocol(H11Protocol):
    """HTTP by uvicorn, which itself waits for the head of a request as long as the caller likes.

    Connections without a request count to the server's largest number of connections: whoever
    opened so many of them, and was silent, would keep everybody out. So would one that is kept
    open after an answer for which no token is needed.
    """

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._silent_until: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for a request, and end the oldest connection that waits if there are too many."""
        super().connection_made(transport)
        self._wait_or_not()
        silent = [one for one in self.connections if _deadline(one) is not None]
        if len(silent) > MAX_SILENT:
            oldest = min(silent, key=lambda one: _deadline(one) or 0.0)
            assert isinstance(oldest, BoundedProtocol)
            oldest.end()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take bytes; a head that is complete is waited for no longer."""
        super().data_received(data)
        self._wait_or_not()

    def on_response_complete(self) -> None:
        """Wait for the next request of the connection."""
        super().on_response_complete()
        self._wait_or_not()

    def end(self) -> None:
        """Close the connection."""
        self._stop_waiting()
        self.transport.close()

    def _wait_or_not(self) -> None:
        if self.conn.their_state is not h11.IDLE:
            self._stop_waiting()
        elif self._silent_until is None:
            self._silent_until = self.loop.call_later(HEAD_SECONDS, self.end)

    def _stop_waiting(self) -> None:
        if self._silent_until is not None:
            self._silent_until.cancel()
            self._silent_until = None


def _deadline(connection: Any) -> float | None:
    """Return until when a connection may be silent; None: it has a request."""
    timer = getattr(connection, "_silent_until", None)
    return None if timer is None else timer.when()
