"""Reading what a call brings."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import Request
from starlette.datastructures import FormData, UploadFile

from pipeline.serving.image_files import Upload
from pipeline.serving.service import Service
from pipeline.serving.users import Users

MAX_FILES = 2
MAX_FIELDS = 8
MAX_FIELD_BYTES = 2**16


def service_of(request: Request) -> Service:
    """Return the service that is called."""
    service: Service = request.app.state.service
    return service


def author_of(request: Request) -> str:
    """Return the user who calls."""
    return str(request.state.author)


def is_on_this_machine(request: Request) -> bool:
    """Return whether the caller is on the machine of the service: with tokens it is not known."""
    users: Users = request.app.state.users
    return not users.need_tokens


@asynccontextmanager
async def form_of(request: Request) -> AsyncIterator[FormData]:
    """Yield the form of a call, with bounds for the number and size of its fields.

    Raises:
        RefusedError: the disk has no room for what is uploaded.
    """
    service_of(request).uploads.check_room(request.headers.get("content-length"))
    async with request.form(
        max_files=MAX_FILES, max_fields=MAX_FIELDS, max_part_size=MAX_FIELD_BYTES
    ) as form:
        yield form


def upload_of(form: FormData, name: str) -> Upload | None:
    """Return an uploaded file of a form; None: there is none of this name."""
    value = form.get(name)
    return Upload(value.filename, value.file) if isinstance(value, UploadFile) else None


def needed_upload(form: FormData, name: str) -> Upload:
    """Return an uploaded file of a form.

    Raises:
        ValueError: there is none of this name.
    """
    upload = upload_of(form, name)
    if upload is None:
        raise ValueError(f"{name}: expected a file of this name in the form; upload one")
    return upload


def params_of(form: FormData) -> dict[str, Any]:
    """Return the JSON of the field ``params``; empty where there is none.

    Raises:
        ValueError: it is no object of JSON.
    """
    return parsed(form.get("params") or "{}")


def parsed(text: Any) -> dict[str, Any]:
    """Return the object that JSON describes.

    Raises:
        ValueError: it is none.

    Example:
        >>> parsed('{"a": 1}')
        {'a': 1}
    """
    try:
        content = json.loads(text)
    except (TypeError, ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise ValueError("params: expected an object of JSON, as {}")
    return content


async def body_of(request: Request) -> dict[str, Any]:
    """Return the JSON of a call's body; empty where there is none.

    Raises:
        ValueError: it is no object of JSON.
    """
    content = await request.body()
    return parsed(content) if content else {}
