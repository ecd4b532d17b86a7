"""The HTTP of DICOMweb: only the configured server, bounded answers, secrets in no message."""

from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any

import requests

from pipeline.pacs.environment import secret
from pipeline.pacs.faults import NetworkError, PeerError
from pipeline.pacs.settings import WebPeer

CHUNK_BYTES = 2**20
TRANSIENT = {
    HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.INTERNAL_SERVER_ERROR,
    HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT,
    HTTPStatus.INSUFFICIENT_STORAGE,
}  # fmt: skip
"""What a server answers while it is busy, restarts or has a full disk."""
REFUSED = {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}


class TooLongAnswerError(Exception):
    """A server sent more than is accepted."""


class BearerToken(requests.auth.AuthBase):
    """Sends a token with each request.

    Args:
        variable: environment variable that holds it.
    """

    def __init__(self, variable: str) -> None:
        self.variable = variable

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Add the token to a request."""
        request.headers["Authorization"] = f"Bearer {secret(self.variable)}"
        return request


class BoundedSession(requests.Session):
    """Requests of one peer: no redirections, no settings of the environment, bounded answers.

    Args:
        settings: of the peer.
        most_bytes: of an answer.

    Raises:
        ValueError: a variable of the environment is not set.
    """

    def __init__(self, settings: WebPeer, most_bytes: int) -> None:
        super().__init__()
        self.trust_env = False  # no other certificates, no proxy, no .netrc
        self.most_bytes = most_bytes
        tls = settings.tls
        self.verify = str(tls.authority) if tls.authority else True
        if tls.certificate and tls.key:
            self.cert = (str(tls.certificate), str(tls.key))
        if settings.user_variable and settings.password_variable:
            self.auth = (secret(settings.user_variable), secret(settings.password_variable))
        elif settings.token_variable:
            secret(settings.token_variable)
            self.auth = BearerToken(settings.token_variable)
        _check_files(tls.authority, tls.certificate, tls.key)

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        """Send a request, and read its answer up to the bound.

        Raises:
            TooLongAnswerError: the answer is longer.
        """
        options |= {"stream": True, "allow_redirects": False}
        response = super().send(request, **options)
        content = bytearray()
        try:
            for chunk in response.iter_content(CHUNK_BYTES):
                content += chunk
                if len(content) > self.most_bytes:
                    raise TooLongAnswerError
        finally:
            response.close()
        response._content = bytes(content)  # as requests itself keeps what it has read
        return response


@contextmanager
def http_faults(name: str) -> Iterator[None]:
    """Turn what HTTP and its library raise into a fault that may pass, or a refusal.

    Args:
        name: of the peer.

    Raises:
        NetworkError: it may pass.
        PeerError: it will not.
    """
    try:
        yield
    except requests.HTTPError as error:
        raise _status_error(name, error.response.status_code) from None
    except requests.exceptions.SSLError:
        raise PeerError(
            f"{name}: its certificate is not accepted; name its authority in tls#authority"
        ) from None
    except requests.exceptions.JSONDecodeError:
        raise PeerError(f"{name}: answered no JSON; see that url is that of DICOMweb") from None
    except requests.RequestException as error:
        raise NetworkError(f"{name}: no answer ({type(error).__name__})") from None
    except TooLongAnswerError:
        raise PeerError(f"{name}: sent more than is accepted; see limits#instance_mb") from None
    except Exception as error:  # whatever the library makes of an answer of another form
        raise PeerError(f"{name}: answered no DICOMweb ({type(error).__name__})") from None


def _status_error(name: str, status: int) -> Exception:
    if status in TRANSIENT:
        return NetworkError(f"{name}: answered {status}")
    if status in REFUSED:
        return PeerError(
            f"{name}: refused the user ({status}); see the variables that pacs.yaml names for it"
        )
    return PeerError(f"{name}: answered {status}; see its url, and whether it has the study")


def _check_files(*paths: Path | None) -> None:
    for path in paths:
        if path is not None and not path.is_file():
            raise FileNotFoundError(f"{path}: no such file; pacs.yaml names it under tls")
