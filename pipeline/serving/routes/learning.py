"""``/activelearning`` and ``/train``: the next image, and a training on the labels."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool

from pipeline.data.dicom_header import read_tags
from pipeline.serving.images import ServedImage
from pipeline.serving.refusals import UnknownError
from pipeline.serving.routes.datastore import sample_of
from pipeline.serving.routes.forms import author_of, body_of, is_on_this_machine, service_of
from pipeline.serving.service import Service

router = APIRouter()
STUDY = ("StudyInstanceUID", "SeriesInstanceUID", "Modality", "StudyDate", "StudyTime")
"""What OHIF shows of the next image, and opens it by; it shows the patient by itself."""


@router.post("/activelearning/{strategy}")
async def next_image(request: Request, strategy: str) -> dict[str, Any]:
    """Return the image to be labelled next; empty where none is left."""
    await body_of(request)
    return await run_in_threadpool(
        _next, service_of(request), strategy, author_of(request), is_on_this_machine(request)
    )


@router.get("/train/")
def train_status(request: Request, check_if_running: bool = False) -> dict[str, Any]:
    """Return the status of the last training; none that runs is an error where that is asked."""
    training = service_of(request).training
    if check_if_running and not training.is_running:
        raise UnknownError("train: none is running")
    return _without_places(service_of(request), training.status())


@router.post("/train/")
async def start_all(request: Request) -> dict[str, Any]:
    """Start a training."""
    await body_of(request)
    service = service_of(request)
    return _without_places(service, await run_in_threadpool(service.start_training))


@router.post("/train/{model}")
async def start(request: Request, model: str) -> dict[str, Any]:
    """Start a training of the served model."""
    service_of(request).check_model(model)
    return await start_all(request)


@router.delete("/train/")
def stop(request: Request) -> dict[str, Any]:
    """End the training."""
    service = service_of(request)
    return _without_places(service, service.training.stop())


def _next(service: Service, strategy: str, user: str, with_path: bool) -> dict[str, Any]:
    chosen = service.segmenter.next_images.next(strategy, service.unlabelled(), user)
    if chosen is None:
        return {}
    sample = sample_of(service, chosen.image, with_path)
    return {**sample, **_study_of(chosen.image), "weight": chosen.weight}


def _study_of(image: ServedImage) -> dict[str, str]:
    """Return by which attributes OHIF finds a series in its archive; empty: it is no DICOM."""
    if image.header is None:
        return {}
    data = read_tags(image.header.path, STUDY)
    return {keyword: str(data.get(keyword) or "") for keyword in STUDY}


def _without_places(service: Service, status: dict[str, Any]) -> dict[str, Any]:
    """Return the status of a training; the lines that it printed name files without their place."""
    return {**status, "details": [service.names_only(line) for line in status["details"]]}
