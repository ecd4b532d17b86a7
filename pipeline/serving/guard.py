"""What is checked of every call before a byte of its body is read."""

import asyncio
import json
from collections.abc import Awaitable, Callable, MutableMapping
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from pipeline.serving.refusals import RefusedError
from pipeline.serving.settings import LOOPBACK, ServeSettings
from pipeline.serving.users import Users

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

OPEN_PATHS = ("/auth/", "/auth/token")
"""What is answered without a token: whether one is needed, and the form that checks it."""
UPLOAD_PATHS = ("/infer/", "/datastore/", "/session/")
MAX_JSON_BYTES = 2**16
"""Largest body of a call that uploads no file."""
BEARER = "bearer "
SILENT_SECONDS = 30.0
"""How long a body may pause."""


class Guard:
    """Refuses a call by its host, origin, token and size; the others reach the service.

    A browser sends the calls of any page that it shows. So a call that names its origin is
    accepted of the configured ones alone; and without tokens a call must name this machine as its
    host, since a page can give its own name the address of this machine.

    Args:
        app: the service.
        users: who may call.
        settings: origins, and the largest upload.
    """

    def __init__(self, app: App, users: Users, settings: ServeSettings) -> None:
        self.app, self.users, self.settings = app, users, settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a call, or pass it on with the user's name in ``scope["state"]["author"]``."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = {k.decode("latin-1"): v.decode("latin-1") for k, v in scope["headers"]}
        try:
            self._check_host(headers)
            self._check_origin(headers)
            scope.setdefault("state", {})["author"] = self._author(scope["path"], headers)
            most = self._most_bytes(scope["path"])
            _check_length(headers, most)
        except RefusedError as refusal:
            await _refuse(send, refusal)
            return
        await self.app(scope, _bounded(receive, most), send)

    def _check_host(self, headers: dict[str, str]) -> None:
        if not self.users.need_tokens and _hostname(headers.get("host", "")) not in LOOPBACK:
            raise RefusedError(
                HTTPStatus.MISDIRECTED_REQUEST,
                f"host: expected this machine ({', '.join(LOOPBACK)}) in a call without a token",
            )

    def _check_origin(self, headers: dict[str, str]) -> None:
        origin = headers.get("origin")
        own = origin is not None and _place(origin) == headers.get("host")
        if origin is not None and not own and origin not in self.settings.origins:
            raise RefusedError(
                HTTPStatus.FORBIDDEN,
                "origin: this page may not call; name it in --origin when the service is started",
            )

    def _author(self, path: str, headers: dict[str, str]) -> str | None:
        if path in OPEN_PATHS:
            return None
        value = headers.get("authorization", "")
        token = value[len(BEARER) :].strip() if value.lower().startswith(BEARER) else None
        author = self.users.named_by(token)
        if author is None:
            raise RefusedError(
                HTTPStatus.UNAUTHORIZED, "token: none, or not one of --users; log in again"
            )
        return author

    def _most_bytes(self, path: str) -> int:
        uploads = path.startswith(UPLOAD_PATHS)
        return self.settings.upload_bytes + MAX_JSON_BYTES if uploads else MAX_JSON_BYTES


def _place(origin: str) -> str:
    """Return host and port of a page."""
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return ""


def _hostname(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _too_large(most: int) -> RefusedError:
    return RefusedError(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        f"upload: expected at most {most} bytes; see --upload-mb of unet-school serve",
    )


def _check_length(headers: dict[str, str], most: int) -> None:
    length = headers.get("content-length", "0")
    if not length.isdigit():
        raise RefusedError(HTTPStatus.BAD_REQUEST, "content-length: expected a number of bytes")
    if int(length) > most:
        raise _too_large(most)


def _bounded(receive: Receive, most: int) -> Receive:
    """Return what receives a body up to a bound, and not for ever.

    Its stated length may be absent, and its sender silent, or gone without a word.
    """
    received, is_complete = 0, False

    async def receive_bounded() -> Message:
        nonlocal received, is_complete
        # after the body, a call waits here until its caller leaves
        seconds = None if is_complete else SILENT_SECONDS
        try:
            message = await asyncio.wait_for(receive(), seconds)
        except TimeoutError:
            raise RefusedError(
                HTTPStatus.REQUEST_TIMEOUT,
                f"upload: nothing came for {SILENT_SECONDS:g} seconds; send it again",
            ) from None
        received += len(message.get("body", b""))
        is_complete = not message.get("more_body", False)
        if received > most:
            raise _too_large(most)
        return message

    return receive_bounded


async def _refuse(send: Send, refusal: RefusedError) -> None:
    body = json.dumps({"detail": str(refusal)}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    if refusal.status == HTTPStatus.UNAUTHORIZED:
        headers.append((b"www-authenticate", b"Bearer"))
    headers.append((b"connection", b"close"))  # the body is not read
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
