"""``/session``: images that a viewer lends for a while."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool

from pipeline.serving.routes.forms import author_of, form_of, needed_upload, service_of

router = APIRouter(prefix="/session")


@router.put("/")
async def create(request: Request, expiry: int = 0) -> dict[str, Any]:
    """Keep an uploaded image for a while."""
    service = service_of(request)
    async with form_of(request) as form:
        name, file = needed_upload(form, "files")
        session = await run_in_threadpool(
            service.sessions.add, author_of(request), name, file, expiry
        )
    return {"session_id": session.id, "expiry": session.seconds}


@router.get("/{key}")
def get(request: Request, key: str) -> dict[str, Any]:
    """Say whether a session is there."""
    session = service_of(request).sessions.get(key, author_of(request))
    return {"session_id": session.id, "expiry": session.seconds}


@router.delete("/{key}")
def remove(request: Request, key: str) -> dict[str, Any]:
    """Remove a session."""
    service_of(request).sessions.remove(key, author_of(request))
    return {}
