"""Encrypted connections, by the certificates of ``pacs.yaml``."""

import ssl

from pipeline.pacs.environment import secret
from pipeline.pacs.settings import Tls


def client_context(tls: Tls) -> ssl.SSLContext:
    """Return what a connection to a peer needs: its certificate and host name are checked.

    Raises:
        ValueError: a file is no certificate, or no key.
    """
    return _with_certificate(_context(ssl.Purpose.SERVER_AUTH, tls), tls)


def server_context(tls: Tls) -> ssl.SSLContext:
    """Return what receiving needs: where an authority is named, senders must have a certificate.

    Raises:
        ValueError: a file is no certificate, or no key.
    """
    context = _context(ssl.Purpose.CLIENT_AUTH, tls)
    if tls.authority is not None:
        context.verify_mode = ssl.CERT_REQUIRED
    return _with_certificate(context, tls)


def _context(purpose: ssl.Purpose, tls: Tls) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(purpose, cafile=tls.authority)
    except (OSError, ssl.SSLError) as error:
        raise ValueError(f"{tls.authority}: no certificates ({_reason(error)})") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _with_certificate(context: ssl.SSLContext, tls: Tls) -> ssl.SSLContext:
    if tls.certificate is None or tls.key is None:
        return context
    variable = tls.key_password_variable
    password = secret(variable) if variable else ""  # an empty one asks nobody at the terminal
    try:
        context.load_cert_chain(tls.certificate, tls.key, password)
    except (OSError, ssl.SSLError) as error:
        raise ValueError(
            f"{tls.certificate}: not usable with the key {tls.key} ({_reason(error)})"
        ) from None
    return context


def _reason(error: OSError) -> str:
    return error.strerror or type(error).__name__
