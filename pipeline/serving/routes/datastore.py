"""``/datastore``: images and labels."""

import hashlib
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote_plus

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse, Response
from pydantic import TypeAdapter, ValidationError

from pipeline.data.suffixes import suffix_of
from pipeline.plain_text import plain_line
from pipeline.schemas import first_error
from pipeline.serving.images import ServedImage
from pipeline.serving.label_cohort import NewestLabel
from pipeline.serving.label_uploads import NamedNumber
from pipeline.serving.refusals import UnknownError
from pipeline.serving.routes.forms import (
    author_of,
    form_of,
    is_on_this_machine,
    needed_upload,
    params_of,
    service_of,
)
from pipeline.serving.service import Service

router = APIRouter(prefix="/datastore")
BINARY = "application/octet-stream"
FINAL = "final"
MAX_CLIENT_CHARACTERS = 64
NAMED_NUMBERS = TypeAdapter(list[NamedNumber])


@router.get("/")
def datastore(
    request: Request, output: Literal["stats", "all", "train"] = "stats"
) -> dict[str, Any] | list[dict[str, str]]:
    """Return numbers, all images and their labels, or the pairs of both."""
    service = service_of(request)
    if output == "stats":
        return statistics(service)
    if output == "train":
        return _pairs(service)
    newest, images = service.cohort.newest(), service.images.all()
    objects = {image.id: _object(image, newest.get(image.file_name)) for image in images}
    return {"name": service.inference.bundle, "description": "", "objects": objects}


def statistics(service: Service) -> dict[str, Any]:
    """Return how many images there are, and how many of them have a label."""
    total = len(service.images.all())
    completed = total - len(service.unlabelled())
    return {
        "total": total, "completed": completed, "label_tags": {FINAL: completed}, "train": [],
    }  # fmt: skip


@router.put("/")
@router.put("/image")
async def add_image(request: Request, image: str) -> dict[str, str]:
    """Keep an uploaded image."""
    service = service_of(request)
    async with form_of(request) as form:
        upload = needed_upload(form, "file")
        added = await run_in_threadpool(service.files.add, image, upload)
    return {"image": added.id}


@router.api_route("/image", methods=["GET", "HEAD"])
def download_image(request: Request, image: str) -> FileResponse:
    """Send an image as a viewer loads it."""
    service = service_of(request)
    return _file(service.files.viewer_file(service.images.get(image)))


@router.get("/image/info")
def image_info(request: Request, image: str) -> dict[str, Any]:
    """Return name and hash of an image."""
    service = service_of(request)
    return sample_of(service, service.images.get(image), is_on_this_machine(request))


def sample_of(service: Service, image: ServedImage, with_path: bool) -> dict[str, Any]:
    """Return what a viewer needs to load an image by a call, or from this machine's disk.

    Args:
        service: that has the image.
        image: to be loaded.
        with_path: whether the caller may learn where its file is.
    """
    path = service.files.viewer_file(image)
    return {
        "id": image.id, "name": f"{image.file_name}{suffix_of(path)}",
        "url": f"/datastore/image?image={quote_plus(image.id)}", "checksum": _checksum(path),
        **({"path": str(path.resolve())} if with_path else {}),
    }  # fmt: skip


@router.put("/label")
async def save_label(request: Request, image: str, tag: str = FINAL) -> dict[str, Any]:
    """Save a label as a new version."""
    service = service_of(request)
    _check_tag(tag)
    async with form_of(request) as form:
        params, upload = params_of(form), needed_upload(form, "label")
        version = await run_in_threadpool(
            service.save_label,
            service.images.get(image), upload, named_numbers(params), author_of(request),
            client_of(params),
        )  # fmt: skip
    return {
        "image": version.image, "label": version.image, "version": version.version,
        "author": version.author, "time": version.time, "listed": version.listed,
    }  # fmt: skip


@router.api_route("/label", methods=["GET", "HEAD"])
def download_label(request: Request, label: str, tag: str = FINAL) -> FileResponse:
    """Send the newest label of an image."""
    service = service_of(request)
    path = service.cohort.label_of(service.images.get(label)) if tag == FINAL else None
    if path is None:
        raise UnknownError(f"label {label[:100]!r}: none with the tag {tag[:60]!r}")
    return _file(path)


@router.get("/label/info")
def label_info(request: Request, label: str, tag: str = FINAL) -> dict[str, Any]:
    """Return all versions of a label, with author and time, the oldest first."""
    service = service_of(request)
    _check_tag(tag)
    versions = service.cohort.versions(service.images.get(label))
    return {"versions": [version.model_dump() for version in versions]}


@router.delete("/{path:path}")
def remove(path: str) -> Response:
    """Refuse to remove anything: what a person has labelled is kept."""
    return Response(
        '{"detail": "images and labels are not removed by calls; remove them from the folder"}',
        HTTPStatus.METHOD_NOT_ALLOWED,
        media_type="application/json",
    )


def named_numbers(params: Mapping[str, Any]) -> list[NamedNumber]:
    """Return what a viewer says of the numbers in its label map.

    Raises:
        ValueError: it is not as plug-ins say it.
    """
    try:
        return NAMED_NUMBERS.validate_python(params.get("label_info") or [])
    except ValidationError as error:
        raise ValueError(f"label_info: {first_error(error)}") from None


def client_of(params: Mapping[str, Any]) -> str:
    """Return what a plug-in says of itself, as one short line."""
    return plain_line(params.get("client_id") or "", MAX_CLIENT_CHARACTERS)


def _object(image: ServedImage, label: NewestLabel | None) -> dict[str, Any]:
    labels = {}
    if label is not None:
        info = label.saved.model_dump() if label.saved else {}
        labels[FINAL] = {"ext": suffix_of(label.path), "info": info}
    return {"image": {"ext": suffix_of(image.path), "info": {}}, "labels": labels}


def _pairs(service: Service) -> list[dict[str, str]]:
    newest = service.cohort.newest()
    pairs = [(image, newest.get(image.file_name)) for image in service.images.all()]
    return [{"image": one.id, "label": label.path.name} for one, label in pairs if label]


def _check_tag(tag: str) -> None:
    if tag != FINAL:
        raise ValueError(f"tag: found {tag[:60]!r}, expected {FINAL}; every version is kept")


def _file(path: Path) -> FileResponse:
    return FileResponse(path, media_type=BINARY, filename=path.name)


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return f"SHA256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
