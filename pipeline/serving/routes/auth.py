"""``/auth``: whether a token is needed, and which one is valid."""

from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Request

from pipeline.serving.refusals import RefusedError
from pipeline.serving.routes.forms import author_of, form_of
from pipeline.serving.users import Users

router = APIRouter(prefix="/auth")


@router.get("/")
def enabled(request: Request) -> dict[str, Any]:
    """Say whether a token is needed."""
    users: Users = request.app.state.users
    return {"enabled": users.need_tokens}


@router.post("/token")
async def token(request: Request) -> dict[str, str]:
    """Check the token that a user types as the password, and return it."""
    users: Users = request.app.state.users
    async with form_of(request) as form:
        name, password = str(form.get("username") or ""), str(form.get("password") or "")
    if not users.need_tokens or users.named_by(password) != name:
        raise RefusedError(
            HTTPStatus.UNAUTHORIZED, "token: expected a name of --users and its token as password"
        )
    return {"access_token": password, "token_type": "bearer"}


@router.get("/token/valid")
def valid(request: Request) -> dict[str, str]:
    """Return the user whose token came with the call."""
    return {"username": author_of(request)}
