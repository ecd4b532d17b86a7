"""Serving a bundle until this process is ended."""

import socket
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import python_multipart  # noqa: F401 - the forms of plug-ins; its absence is said before anything else
import uvicorn

from pipeline.claims import claim
from pipeline.inference.single import SingleInference
from pipeline.serving.app import make_app
from pipeline.serving.connections import BoundedProtocol
from pipeline.serving.guard import App
from pipeline.serving.service import WORK, Service
from pipeline.serving.settings import ServeSettings, check_reach
from pipeline.serving.training import Training, training_command
from pipeline.serving.users import read_users

MAX_CONNECTIONS = 16
KEEP_ALIVE_SECONDS = 5
END_SECONDS = 10
"""How long open calls may take when the service ends."""


def serve(
    bundle: Path,
    images: Path | None,
    data: Path,
    settings: ServeSettings,
    run: str | None = None,
    overlays: Sequence[str] = (),
    overrides: dict[str, Any] | None = None,
    say: Callable[[str], None] = print,
) -> None:
    """Serve a bundle.

    Args:
        bundle: its folder.
        images: folder of the images to be labelled; None: uploaded ones alone.
        data: cohort of the labels.
        settings: how it is reached, and what it accepts.
        run: a training by name or id; None: the newest.
        overlays: that the newest was trained with.
        overrides: keys of the config and their values.
        say: is given a line about what happens.

    Raises:
        FileNotFoundError: no such bundle, images or file of users.
        ValueError: other machines could call without a token; another process serves the cohort.
        OSError: the port cannot be had.
    """
    check_reach(settings)
    users = read_users(settings.users)
    places = {"dataset_dir": str(data), "output_dir": str(data / WORK)}
    if images is not None:
        places["image_dir"] = str(images)
    inference = SingleInference(bundle, run, overlays, {**(overrides or {}), **places})
    command = training_command(bundle, data, overlays)
    training = Training(command, data / WORK / "training.log", settings.training)
    data.mkdir(0o700, parents=True, exist_ok=True)  # patients' images
    with claim(data / WORK):
        service = Service(inference, settings, images, data, training)
        try:
            with service.segmenter.jobs:
                _listen(service, make_app(service, users), say)
        finally:
            service.sessions.clear()
            if training.is_running:
                training.stop()


def _listen(service: Service, app: App, say: Callable[[str], None]) -> None:
    settings = service.settings
    with closing(open_socket(settings)) as listener:
        port = listener.getsockname()[1]
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        say(f"serving     {service.inference.bundle} at http://{host}:{port}")
        http_server(app).run([listener])


def http_server(app: App) -> uvicorn.Server:
    """Return the server of HTTP; it logs no address of a call, which may name a patient."""
    config = uvicorn.Config(
        app,
        http=BoundedProtocol,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=MAX_CONNECTIONS,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=END_SECONDS,
        lifespan="off",
    )
    return uvicorn.Server(config)


def open_socket(settings: ServeSettings) -> socket.socket:
    """Return the socket at which calls are taken.

    Raises:
        OSError: the port cannot be had.
    """
    try:
        [place, *_] = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)
        return socket.create_server(place[4], family=place[0])
    except OSError as error:
        raise OSError(
            f"{settings.host}:{settings.port}: cannot be listened at ({error.strerror or error}); "
            "give another --port or --host, or end what listens there"
        ) from None
