"""What the service refuses, each with the status of HTTP that says so."""

import errno
from http import HTTPStatus

from pipeline.errors import error_line
from pipeline.plain_text import plain_line

MAX_DETAIL_CHARACTERS = 1000
FULL = (errno.ENOSPC, errno.EDQUOT)


class RefusedError(ValueError):
    """A call that is refused.

    Args:
        status: of HTTP.
        detail: what was found, what is expected, and the remedy.
    """

    def __init__(self, status: HTTPStatus, detail: str) -> None:
        super().__init__(detail)
        self.status = status


class UnknownError(RefusedError):
    """No such image, label, model or session."""

    def __init__(self, detail: str) -> None:
        super().__init__(HTTPStatus.NOT_FOUND, detail)


class BusyError(RefusedError):
    """More calls wait than are accepted."""

    def __init__(self, detail: str) -> None:
        super().__init__(HTTPStatus.SERVICE_UNAVAILABLE, detail)


def answer_to(error: Exception) -> tuple[HTTPStatus, str]:
    """Return status and detail of the answer to a call that failed.

    Example:
        >>> answer_to(UnknownError("image a: not known"))
        (<HTTPStatus.NOT_FOUND: 404>, 'image a: not known')
        >>> answer_to(RuntimeError("a secret"))
        (<HTTPStatus.INTERNAL_SERVER_ERROR: 500>, 'an error of the service; see its log')
    """
    if isinstance(error, RefusedError):
        return error.status, plain_line(error, MAX_DETAIL_CHARACTERS)
    line = error_line(error)
    if isinstance(error, OSError) and not isinstance(error, FileNotFoundError):
        full = error.errno in FULL or "No space left" in str(error)
        status = HTTPStatus.INSUFFICIENT_STORAGE if full else HTTPStatus.INTERNAL_SERVER_ERROR
        return status, plain_line(line or "the disk cannot be written", MAX_DETAIL_CHARACTERS)
    if line is None:
        return HTTPStatus.INTERNAL_SERVER_ERROR, "an error of the service; see its log"
    return HTTPStatus.BAD_REQUEST, plain_line(line, MAX_DETAIL_CHARACTERS)
