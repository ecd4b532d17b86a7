"""Explaining single images: occlusion, gradients, uncertainty, the maps of every step."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from matplotlib.figure import Figure
from monai.inferers import Inferer
from monai.transforms.inverse import InvertibleTransform
from torch import Tensor
from tqdm import tqdm

from pipeline.data.columns import check_list
from pipeline.explanation.extremes import Extreme
from pipeline.explanation.gradients import grad_cam, map_agreement, saliency
from pipeline.explanation.maps import Correlations, mean_maps, suggested_features, redundancy
from pipeline.explanation.occlusion import (
    Harm,
    Occlusion,
    change_from,
    check_occlusion,
    loss_against,
    occlusion_map,
)
from pipeline.explanation.pictures import Panel, as_pixels, channels, panels
from pipeline.explanation.uncertainty import finds_errors, uncertainty
from pipeline.networks import (
    bottleneck_of,
    check_feature_names,
    feature_maps,
    feature_modules,
)
from pipeline.explanation.images import Image, Images

AGAINST = ("truth", "prediction")


class CaseSettings(NamedTuple):
    """How single images are explained.

    Attributes:
        inferer: how images pass the network.
        loss: of training, by which an occlusion's harm is measured against the truth, with the
            weight map where the data have one.
        occlusion: what is hidden; its size and stride are in pixels of an image whose shortest side
            is ``side``.
        side: see there; None: sizes are in the network's own pixels.
        against: ``truth``: the loss; ``prediction``: how much the probabilities change.
        threshold: at and above which a pixel is foreground.
        layers: whose mean maps are drawn; empty: all that the network names.
        channels_of: the layer whose single channels are drawn; None: the bottleneck.
        cam_layer: of Grad-CAM; None: the bottleneck.
        uncertainty: random and invertible transforms of ``image`` that keep its sides; None:
            without.
        versions: of the image, for the uncertainty.
    """

    inferer: Inferer
    loss: Callable[..., Tensor]
    occlusion: Occlusion = Occlusion()
    side: int | None = None
    against: str = "truth"
    threshold: float = 0.5
    layers: Sequence[str] = ()
    channels_of: str | None = None
    cam_layer: str | None = None
    uncertainty: InvertibleTransform | None = None
    versions: int = 8


class Explained(NamedTuple):
    """What was found: numbers, tables by name, pictures by name."""

    found: dict[str, Any]
    tables: dict[str, list[dict[str, Any]]]
    pictures: dict[str, Figure]


class CaseExplainer:
    """Explains images one by one with one network.

    Args:
        network: in evaluation.
        settings: how.

    Raises:
        ValueError: an unknown layer, or a setting that cannot be.
    """

    def __init__(self, network: torch.nn.Module, settings: CaseSettings) -> None:
        self.network, self.settings = network, settings
        if settings.against not in AGAINST:
            raise ValueError(f"against: found '{settings.against}', expected truth or prediction")
        if settings.side is not None and settings.side < 1:
            raise ValueError(f"occlusion_side: found {settings.side}, expected 1 or more pixels")
        check_list("layers", settings.layers)
        named = (name for name in feature_modules(network) if "." not in name)
        self.layers = tuple(settings.layers or named)
        self.channels_of = settings.channels_of or bottleneck_of(network)
        self.cam_layer = settings.cam_layer or bottleneck_of(network)
        check_feature_names(network, [*self.layers, self.channels_of, self.cam_layer])
        self.device = next(network.parameters()).device
        self.correlations = {name: Correlations() for name in self.layers}

    def predict(self, images: Tensor) -> Tensor:
        """Images ``(B, C, *spatial)`` to logits on the network's device."""
        logits: Tensor = self.settings.inferer(images.to(self.device), self.network)
        return logits

    def occlusion_for(self, image: Image) -> Occlusion:
        """The occlusion in the network's own pixels.

        Raises:
            ValueError: it does not fit the image.
        """
        given, side = self.settings.occlusion, self.settings.side
        sides = image.pixels.shape[1:]
        check_occlusion(given, sides if side is None else [side])
        scale = 1.0 if side is None else min(sides) / side
        return given._replace(
            size=max(1, round(given.size * scale)),
            stride=None if given.stride is None else max(1, round(given.stride * scale)),
        )

    def explain(self, image: Image, title: str) -> tuple[dict[str, Any], list[Panel], list[Panel]]:
        """Explain one image: its numbers, its panels of what matters, its panels of every step."""
        pixels, truth = image.pixels.to(self.device), image.truth.to(self.device)
        own = self.occlusion_for(image)
        logits = self._logits(pixels)
        probability = logits.sigmoid()[0]
        inside = probability >= self.settings.threshold
        hidden = occlusion_map(self.predict, pixels, self._harm(logits, image), own, title)
        slopes = saliency(self.network, pixels, inside)
        cam = grad_cam(self.network, pixels, inside, feature_modules(self.network)[self.cam_layer])
        row: dict[str, Any] = {
            "hidden_pixels": own.size,
            "harm_mean": float(hidden.mean()),
            "harm_largest": float(hidden.max()),
            "agreement_saliency": map_agreement(hidden, slopes, own.size),
            "agreement_grad_cam": map_agreement(hidden, cam, own.size),
        }
        grey = as_pixels(pixels)
        start, end = Panel("image", grey), Panel("truth", truth.amax(0))
        matters = [
            start,
            end,
            Panel("probability", probability.amax(0)),
            Panel("occlusion", grey, hidden),
            Panel("saliency", grey, slopes),
            Panel(f"Grad-CAM {self.cam_layer}", grey, cam),
        ]
        if self.settings.uncertainty is not None:
            unsure = uncertainty(
                self.predict, pixels, self.settings.uncertainty, self.settings.versions, own.seed
            ).deviation.cpu()
            row["uncertainty_mean"] = float(unsure.mean())
            wrong = (inside != (truth != 0)).any(0).cpu()
            row["uncertainty_finds_errors"] = finds_errors(unsure, wrong)
            matters.append(Panel("uncertainty", grey, unsure))
        steps = [Panel(name, m, colours="viridis") for name, m in self._steps(pixels).items()]
        return row, matters, [start, *steps, Panel("prediction", inside.any(0).float()), end]

    def channels(self, image: Image) -> Tensor:
        """The single channels of one step."""
        pixels = image.pixels[None].to(self.device)
        return feature_maps(self.network, pixels, [self.channels_of])[self.channels_of]

    def _steps(self, pixels: Tensor) -> dict[str, Tensor]:
        maps = feature_maps(self.network, pixels[None], self.layers)
        for name, each in maps.items():
            self.correlations[name].add(each)
        return mean_maps(maps)

    def _logits(self, pixels: Tensor) -> Tensor:
        with torch.inference_mode():
            return self.predict(pixels[None]).float()

    def _harm(self, logits: Tensor, image: Image) -> Harm:
        if self.settings.against == "prediction":
            return change_from(logits)
        weights = () if image.weight is None else (image.weight[None].to(self.device),)
        return loss_against(
            lambda hidden, truth: self.settings.loss(hidden, truth, *weights),
            image.truth.to(self.device),
        )


def explain_cases(
    explainer: CaseExplainer, images: Images, chosen: Sequence[Extreme], metric: str
) -> Explained:
    """Explain the images that were chosen, and count what the network's channels repeat on them."""
    some = [images[each.image] for each in chosen]
    sizes = sorted({explainer.occlusion_for(image).size for image in some})  # fails before the work
    rows, what_matters, every_step = [], [], []
    for each, image in zip(chosen, tqdm(some, desc="images"), strict=True):
        of = "\n".join((*each.why, f"{metric} {each.value:.3f}"))
        row, matters, steps = explainer.explain(image, f"hiding regions of {each.image}")
        known = {"image": each.image, "why": "; ".join(each.why), metric: each.value}
        rows.append({**known, "split": image.split, **row})
        what_matters.append((of, matters))
        every_step.append((of, steps))
    spare = [(name, redundancy(each.matrix())) for name, each in explainer.correlations.items()]
    table = [{"step": name, **each._asdict()} for name, each in spare]
    found = {
        "occlusion": _told(explainer.settings, sizes),
        "cases": rows,
        "redundancy": table,
        "suggested_features": suggested_features(spare),
        "channels_of": explainer.channels_of,
    }
    pictures = {
        "occlusion": panels(what_matters),
        "feature_maps": panels(every_step),
        "channels": channels(explainer.channels(some[0])),
    }
    return Explained(found, {"occlusion": rows, "redundancy": table}, pictures)


def _told(settings: CaseSettings, sizes: Sequence[int]) -> dict[str, Any]:
    """What was hidden, in both kinds of pixels."""
    given, side = settings.occlusion, settings.side
    return {
        **given._asdict(),
        "size": f"{sizes[0]}" if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}",
        "given": "" if side is None else f"{given.size} pixels of an image of {side}",
        "against": settings.against,
    }
