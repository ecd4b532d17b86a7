"""The service as an application of HTTP."""

import logging
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware

from pipeline.serving.guard import App, Guard
from pipeline.serving.refusals import BusyError, answer_to
from pipeline.serving.routes import auth, datastore, infer, info, learning, session
from pipeline.serving.routes.forms import service_of
from pipeline.serving.service import Service
from pipeline.serving.users import Users

ROUTERS = (auth.router, info.router, infer.router, datastore.router, learning.router,
           session.router)  # fmt: skip
RETRY_SECONDS = "5"
logger = logging.getLogger(__name__)


def make_app(service: Service, users: Users) -> App:
    """Return the application, behind what is checked of every call.

    Args:
        service: that answers.
        users: who may call.
    """
    # no pages of documentation: they would fetch scripts from other machines
    app = FastAPI(title="unet-school", docs_url=None, redoc_url=None, openapi_url=None)
    app.state.service, app.state.users = service, users
    for router in ROUTERS:
        app.include_router(router)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _of_http)
    for kind in (ValueError, OSError, ImportError):
        app.add_exception_handler(kind, _failed)
    app.add_exception_handler(Exception, _unexpected)
    guarded = Guard(app, users, service.settings)
    return CORSMiddleware(
        guarded,
        allow_origins=service.settings.origins,
        allow_methods=["GET", "HEAD", "POST", "PUT", "DELETE"],
        allow_headers=["authorization", "content-type"],
    )


async def _failed(request: Request, error: Exception) -> JSONResponse:
    status, detail = answer_to(error)
    if status == HTTPStatus.INTERNAL_SERVER_ERROR:
        logger.error("%s %s", request.method, request.url.path, exc_info=error)
    headers = {"retry-after": RETRY_SECONDS} if isinstance(error, BusyError) else {}
    if status == HTTPStatus.REQUEST_TIMEOUT:
        headers["connection"] = "close"  # the rest of the body is not awaited
    return JSONResponse({"detail": service_of(request).names_only(detail)}, status, headers)


async def _unexpected(request: Request, error: Exception) -> JSONResponse:
    """Answer; the server logs the error."""
    status, detail = answer_to(error)
    return JSONResponse({"detail": service_of(request).names_only(detail)}, status)


async def _invalid(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    detail = f"{first['loc'][-1]}: {first['msg']}"
    return JSONResponse({"detail": detail}, HTTPStatus.BAD_REQUEST)


async def _of_http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    return JSONResponse({"detail": error.detail}, error.status_code)
