"""Explaining single images: occlusion, gradients, doubt, and what every step makes of them."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from matplotlib.figure import Figure
from monai.inferers import Inferer
from monai.transforms.inverse import InvertibleTransform
from torch import Tensor
from tqdm import tqdm

from pipeline.explanation.extremes import Extreme
from pipeline.explanation.gradients import grad_cam, map_agreement, saliency
from pipeline.explanation.maps import correlations, mean_maps, redundancy
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
from pipeline.training.images import Image, Images

AGAINST = ("truth", "prediction")


class Cases(NamedTuple):
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
        doubt: random and invertible transforms of ``image`` for the uncertainty; None: without.
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
    doubt: InvertibleTransform | None = None
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
        cases: how.

    Raises:
        ValueError: an unknown layer, or a harm against something else than truth or prediction.
    """

    def __init__(self, network: torch.nn.Module, cases: Cases) -> None:
        self.network, self.cases = network, cases
        if cases.against not in AGAINST:
            raise ValueError(f"against: found '{cases.against}', expected truth or prediction")
        self.layers = tuple(cases.layers or feature_modules(network))
        self.channels_of = cases.channels_of or bottleneck_of(network)
        self.cam_layer = cases.cam_layer or bottleneck_of(network)
        check_feature_names(network, [*self.layers, self.channels_of, self.cam_layer])
        self.device = next(network.parameters()).device

    def predict(self, images: Tensor) -> Tensor:
        """Images ``(B, C, *spatial)`` to logits."""
        logits: Tensor = self.cases.inferer(images, self.network)
        return logits

    def occlusion_for(self, image: Image) -> Occlusion:
        """The occlusion in the network's own pixels.

        Raises:
            ValueError: it does not fit the image.
        """
        given, side = self.cases.occlusion, self.cases.side
        scale = 1.0 if side is None else min(image.pixels.shape[1:]) / side
        own = given._replace(
            size=max(1, round(given.size * scale)),
            stride=None if given.stride is None else max(1, round(given.stride * scale)),
        )
        check_occlusion(own, image.pixels.shape[1:])
        return own

    def explain(self, image: Image, title: str) -> tuple[dict[str, Any], list[Panel], list[Panel]]:
        """Explain one image: its numbers, its panels of what matters, its panels of every step."""
        pixels, truth = image.pixels.to(self.device), image.truth.to(self.device)
        own = self.occlusion_for(image)
        logits = self._logits(pixels)
        probability = logits.sigmoid()[0]
        inside = probability >= self.cases.threshold
        hidden = occlusion_map(self.predict, pixels, self._harm(logits, image), own, title)
        slopes = saliency(self.network, pixels, inside)
        row: dict[str, Any] = {
            "harm_mean": float(hidden.mean()),
            "harm_largest": float(hidden.max()),
            "agreement_saliency": map_agreement(hidden, slopes, own.size),
        }
        cam = grad_cam(self.network, pixels, inside, feature_modules(self.network)[self.cam_layer])
        row["agreement_grad_cam"] = map_agreement(hidden, cam, own.size)
        grey = as_pixels(pixels)
        matters = [
            Panel("image", grey),
            Panel("truth", truth.amax(0)),
            Panel("probability", probability.amax(0)),
            Panel("occlusion", grey, hidden),
            Panel("saliency", grey, slopes),
            Panel(f"Grad-CAM {self.cam_layer}", grey, cam),
        ]
        if self.cases.doubt is not None:
            doubt = uncertainty(
                self.predict, pixels, self.cases.doubt, self.cases.versions, own.seed
            )
            row["uncertainty_mean"] = float(doubt.deviation.mean())
            wrong = (inside != (truth != 0)).any(0).cpu()
            row["uncertainty_finds_errors"] = finds_errors(doubt.deviation, wrong)
            matters.append(Panel("uncertainty", grey, doubt.deviation))
        maps = mean_maps(self._maps(pixels, self.layers))
        steps = [Panel(name, each, colours="viridis") for name, each in maps.items()]
        return row, matters, [matters[0], *steps, matters[2], matters[1]]

    def _logits(self, pixels: Tensor) -> Tensor:
        with torch.inference_mode():
            logits = self.predict(pixels[None]).float()
        if logits.shape[2:] != pixels.shape[1:]:
            raise ValueError(
                f"explain_inferer: found logits of {tuple(logits.shape[2:])} for an image of "
                f"{tuple(pixels.shape[1:])}; give one that tiles: "
                '--explain_inferer "@window_inferer"'
            )
        return logits

    def _harm(self, logits: Tensor, image: Image) -> Harm:
        if self.cases.against == "prediction":
            return change_from(logits)
        weights = () if image.weight is None else (image.weight[None].to(self.device),)
        return loss_against(
            lambda hidden, truth: self.cases.loss(hidden, truth, *weights),
            image.truth.to(self.device),
        )

    def _maps(self, pixels: Tensor, names: Sequence[str]) -> dict[str, Tensor]:
        return feature_maps(self.network, pixels[None], names)

    def maps_of_all(self, images: Sequence[Image], name: str) -> list[Tensor]:
        """The map of one layer for each image."""
        return [self._maps(image.pixels.to(self.device), [name])[name] for image in images]


def explain_cases(
    explainer: CaseExplainer, images: Images, chosen: Sequence[Extreme], metric: str
) -> Explained:
    """Explain the images that were chosen, and count what the network's channels repeat on them."""
    rows, what_matters, every_step = [], [], []
    some = [images[each.image] for each in chosen]
    for each, image in zip(chosen, tqdm(some, desc="images"), strict=True):
        of = "\n".join((*each.why, f"{metric} {each.value:.3f}"))
        row, matters, steps = explainer.explain(image, f"hiding regions of {each.image}")
        known = {"image": each.image, "why": "; ".join(each.why), metric: each.value}
        rows.append({**known, "split": image.split, **row})
        what_matters.append((of, matters))
        every_step.append((of, steps))
    spare = [_spare(explainer, some, name) for name in explainer.layers]
    pictures = {
        "occlusion": panels(what_matters),
        "feature_maps": panels(every_step),
        "channels": channels(explainer.maps_of_all(some[:1], explainer.channels_of)[0]),
    }
    found = {"occlusion": _told(explainer, some[0]), "cases": rows, "redundancy": spare}
    return Explained(found, {"occlusion": rows, "redundancy": spare}, pictures)


def _spare(explainer: CaseExplainer, images: Sequence[Image], name: str) -> dict[str, Any]:
    return {
        "step": name,
        **redundancy(correlations(explainer.maps_of_all(images, name)))._asdict(),
    }


def _told(explainer: CaseExplainer, image: Image) -> dict[str, Any]:
    """What was hidden, in both kinds of pixels."""
    own, given = explainer.occlusion_for(image), explainer.cases
    return {
        **own._asdict(),
        "stride": own.stride or own.size,
        "image": list(image.pixels.shape[1:]),
        "given": f"{given.occlusion.size} pixels of an image of "
        f"{given.side or min(image.pixels.shape[1:])}",
        "against": given.against,
    }
