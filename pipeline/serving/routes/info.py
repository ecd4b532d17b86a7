"""``/info``: what a plug-in builds its panel from."""

from typing import Any

from fastapi import APIRouter, Request

from pipeline.serving.next_image import STRATEGIES
from pipeline.serving.routes.datastore import statistics
from pipeline.serving.routes.forms import service_of
from pipeline.serving.service import Service

router = APIRouter()
NO_PROMPTS = "It takes no points, boxes or scribbles."
"""Plug-ins show it with the model; those that read ``prompts`` find none."""


@router.get("/info/")
def info(request: Request) -> dict[str, Any]:
    """Describe bundle, labels, strategies and images."""
    return describe(service_of(request))


def describe(service: Service) -> dict[str, Any]:
    """Return what ``/info/`` answers.

    Labels are in the order of their numbers, which is that of a viewer's segments. There is no
    background among them: viewers number what they are given.
    """
    inference, numbers = service.inference, service.numbers
    model = {
        "type": "segmentation", "labels": numbers, "dimension": inference.spatial_dims,
        "description": f"{inference.description} {NO_PROMPTS}", "config": {}, "prompts": [],
    }  # fmt: skip
    trainer = {"description": f"unet-school train {inference.bundle}", "config": {}}
    strategies = {name: {"description": text, "config": {}} for name, text in STRATEGIES.items()}
    return {
        "name": inference.bundle, "description": inference.description,
        "version": inference.version, "labels": list(numbers),
        "models": {inference.bundle: model},
        "trainers": {inference.bundle: trainer} if service.training.is_allowed else {},
        "strategies": strategies, "scoring": {}, "train_stats": {}, "config": {},
        "datastore": statistics(service),
    }  # fmt: skip
