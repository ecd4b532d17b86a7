"""One case as every network segments it, beside its truth."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from matplotlib.figure import Figure

from pipeline.comparing.trainings import Networks
from pipeline.evaluation.cases import Case
from pipeline.evaluation.one_case import predict_case
from pipeline.evaluation.overlays import INVENTED, MISSED, stretched
from pipeline.evaluation.shown_cases import median_place
from pipeline.files import atomic
from pipeline.pages.pictures import LABEL_COLOURS
from pipeline.tracking.store import MODEL

OPACITY = 0.55
PANEL_INCHES = 2.6


class Section(NamedTuple):
    """A flat image of a case, or the slice of a volume that holds most of its truth.

    Attributes:
        image: ``(H, W)`` in [0, 1].
        truth: of each label, ``(K, H, W)``, above 0 is foreground, below 0 is ignored.
        masks: of each network, ``(K, H, W)``.
    """

    image: np.ndarray
    truth: np.ndarray
    masks: dict[str, np.ndarray]


def write_picture(networks: Networks, path: Path) -> str:
    """Draw the median case of the first network as all networks of the first seed segment it.

    Args:
        networks: that are all trained and evaluated.
        path: of the picture.

    Returns:
        The name of the case.
    """
    rows = networks.rows(networks.names[0], 0)
    place = median_place(rows, networks.metric)
    tables = {name: networks.rows(name, 0) for name in networks.names}
    scores = {name: float(table[place][networks.metric]) for name, table in tables.items()}
    figure = case_figure(_section(networks, place), scores, networks.metric)
    with atomic(path) as temporary:
        figure.savefig(temporary, dpi=120, format="png")
    return str(rows[place]["image"])


def case_figure(section: Section, scores: dict[str, float], metric: str) -> Figure:
    """Draw masks above errors: a column for the image and its truth, and one for each network.

    Args:
        section: of the case.
        scores: of each network, for the titles.
        metric: its name.
    """
    height, width = section.image.shape
    size = (PANEL_INCHES * (1 + len(scores)), 2 * PANEL_INCHES * height / width + 0.6)
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(2, 1 + len(scores), squeeze=False)
    grey = np.repeat(section.image[..., None], 3, axis=-1)
    _show(panels[0, 0], grey, "image")
    _show(panels[1, 0], _tinted(grey, section.truth > 0), "truth")
    for column, (name, score) in enumerate(scores.items(), start=1):
        masks = section.masks[name]
        _show(panels[0, column], _tinted(grey, masks), f"{name}, {metric} {score:.3f}")
        wrong = _errors(grey, section.truth, masks)
        _show(panels[1, column], wrong, "blue missed, orange invented")
    return figure


def _section(networks: Networks, place: int) -> Section:
    masks: dict[str, np.ndarray] = {}
    z: int | None = None
    for name in networks.names:
        case, predicted = _predict(networks, name, place)
        if not masks and case.image.ndim == 3:
            z = int((case.truth > 0).sum((0, 1, 2)).argmax())
        masks[name] = _slice(torch.from_numpy(predicted), z)
    return Section(_slice(stretched(case.image), z), _slice(case.truth, z), masks)


def _predict(networks: Networks, name: str, place: int) -> tuple[Case, np.ndarray]:
    """Predict a case by the training of the first seed."""
    model = str((networks.models(name, 0) / MODEL).resolve())
    bundle = networks.run_of(name, 0).with_overrides({"model": model})
    case, scoring, _labels = predict_case(bundle, place)
    return case, scoring.masks_of(case)[0]


def _slice(values: torch.Tensor, z: int | None) -> np.ndarray:
    """A flat image as it is; of a volume a slice, its first axis from left to right."""
    flat: np.ndarray = (values if z is None else values[..., z].mT).numpy(force=True)
    return flat


def _show(axes: Any, picture: np.ndarray, title: str) -> None:
    axes.imshow(picture, interpolation="nearest")
    axes.set_title(title, fontsize=8)
    axes.set_axis_off()


def _tinted(grey: np.ndarray, masks: np.ndarray) -> np.ndarray:
    picture = grey.copy()
    for number, mask in enumerate(masks.astype(bool)):
        colour = np.array(LABEL_COLOURS[number % len(LABEL_COLOURS)]) / 255
        picture[mask] = (1 - OPACITY) * picture[mask] + OPACITY * colour
    return picture


def _errors(grey: np.ndarray, truth: np.ndarray, masks: np.ndarray) -> np.ndarray:
    picture = grey / 2 + 0.25
    predicted = masks.astype(bool) & (truth >= 0)
    picture[((truth > 0) & ~predicted).any(0)] = np.array(MISSED) / 255
    picture[(predicted & ~(truth > 0)).any(0)] = np.array(INVENTED) / 255
    return picture
