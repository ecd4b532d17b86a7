"""Explanation of single images: occlusion, gradients, uncertainty, the maps of every step."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from matplotlib.figure import Figure
from monai.inferers import Inferer
from monai.transforms.inverse import InvertibleTransform
from torch import Tensor

from pipeline.data.columns import check_list
from pipeline.explanation.extremes import Extreme
from pipeline.explanation.gradients import grad_cam, map_agreement, saliency
from pipeline.explanation.images import Image, Images
from pipeline.explanation.maps import Correlations, mean_maps, redundancy, suggested_features
from pipeline.explanation.occlusion import (
    Harm,
    Occlusion,
    change_from,
    check_occlusion,
    count_passes,
    loss_against,
    occlusion_map,
    region_size,
)
from pipeline.explanation.pictures import Panel, as_grey, channels, panels
from pipeline.explanation.uncertainty import error_auc, uncertainty
from pipeline.losses import IgnoringLoss
from pipeline.networks import (
    bottleneck_of,
    check_feature_names,
    feature_maps,
    feature_modules,
)
from pipeline.progress import Work, count

AGAINST = ("truth", "prediction")
"""What the harm of an occlusion can be measured against."""


class CaseSettings(NamedTuple):
    """Settings of the explanation of single images.

    Attributes:
        inferer: MONAI inferer that passes images through the network.
        loss: training loss, which measures the harm of an occlusion against the truth, with the
            weight map where the data have one.
        occlusion: settings of the occlusion; its size and stride are in pixels of an image whose
            shortest side is ``side``.
        side: shortest side of that image in pixels; None: size and stride are in the network's own
            pixels.
        against: measure of the harm: ``truth`` for the change of the loss, ``prediction`` for the
            change of the probabilities.
        threshold: probability from which on a pixel is foreground.
        layers: names of the layers whose mean maps are drawn; empty: all that the network names.
        channels_of: name of the layer whose single channels are drawn; None: the bottleneck.
        cam_layer: name of the layer of Grad-CAM; None: the bottleneck.
        uncertainty: random and invertible transform of ``image`` that keeps its sides; None: no
            uncertainty.
        versions: number of augmented versions of an image, for the uncertainty.
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


class ExplanationPart(NamedTuple):
    """One part of an explanation.

    Attributes:
        summary: numbers for ``explanation.json``.
        tables: rows of each table, by its name.
        pictures: figures by name.
    """

    summary: dict[str, Any]
    tables: dict[str, list[dict[str, Any]]]
    pictures: dict[str, Figure]


class CaseExplainer:
    """Explains the images of one network one by one.

    Args:
        network: network in evaluation mode.
        settings: settings of the explanation.

    Raises:
        ValueError: an unknown layer, or a setting outside its range.
    """

    def __init__(self, network: torch.nn.Module, settings: CaseSettings) -> None:
        self.network, self.settings = network, settings
        if settings.against not in AGAINST:
            raise ValueError(f"against: found '{settings.against}', expected truth or prediction")
        if settings.side is not None and settings.side < 1:
            raise ValueError(
                f"case_settings#side: found {settings.side}, expected 1 or more pixels"
            )
        check_list("layers", settings.layers)
        steps = (name for name in feature_modules(network) if "." not in name)
        self.layers = tuple(settings.layers or steps)
        self.channels_of = settings.channels_of or bottleneck_of(network)
        self.cam_layer = settings.cam_layer or bottleneck_of(network)
        check_feature_names(network, [*self.layers, self.channels_of, self.cam_layer])
        self.device = next(network.parameters()).device
        self.correlations = {name: Correlations() for name in self.layers}

    def predict(self, images: Tensor) -> Tensor:
        """Return the logits of images ``(B, C, *spatial)``, on the network's device."""
        logits: Tensor = self.settings.inferer(images.to(self.device), self.network)
        return logits

    def occlusion_for(self, image: Image) -> Occlusion:
        """Return the occlusion of an image, in the network's own pixels.

        Raises:
            ValueError: it does not fit into the image.
        """
        given, side = self.settings.occlusion, self.settings.side
        sides = image.pixels.shape[1:]
        check_occlusion(given, sides if side is None or given.size is None else [side])
        scale = 1.0 if side is None else min(sides) / side
        size = region_size(given, sides)
        return given._replace(
            size=size if given.size is None else max(1, round(size * scale)),
            stride=None if given.stride is None else max(1, round(given.stride * scale)),
        )

    def explain(
        self, image: Image, advance: Callable[[int], None]
    ) -> tuple[dict[str, Any], list[Panel], list[Panel]]:
        """Explain one image.

        Args:
            image: image to explain.
            advance: called with the number of regions that were hidden since the last call.

        Returns:
            Its row of numbers, its panels of maps over the image, and its panels of every step.
        """
        pixels, truth = image.pixels.to(self.device), image.truth.to(self.device)
        occlusion = self.occlusion_for(image)
        size = region_size(occlusion, pixels.shape[1:])
        logits = self._logits(pixels)
        probability = logits.sigmoid()[0]
        inside = probability >= self.settings.threshold
        harm = occlusion_map(self.predict, pixels, self._harm(logits, image), occlusion, advance)
        gradient = saliency(self.network, pixels, inside)
        cam = grad_cam(self.network, pixels, inside, feature_modules(self.network)[self.cam_layer])
        row: dict[str, Any] = {
            "hidden_pixels": size,
            "harm_mean": float(harm.mean()),
            "harm_largest": float(harm.max()),
            "agreement_saliency": map_agreement(harm, gradient, size),
            "agreement_grad_cam": map_agreement(harm, cam, size),
        }
        grey = as_grey(pixels)
        first, last = Panel("image", grey), Panel("truth", truth.amax(0).clamp(min=0))
        overlays = [
            first,
            last,
            Panel("probability", probability.amax(0)),
            Panel("occlusion", grey, harm),
            Panel("saliency", grey, gradient),
            Panel(f"Grad-CAM {self.cam_layer}", grey, cam),
        ]
        if self.settings.uncertainty is not None:
            deviation = uncertainty(
                self.predict,
                pixels,
                self.settings.uncertainty,
                self.settings.versions,
                occlusion.seed,
            ).deviation.cpu()
            row["uncertainty_mean"] = float(deviation.mean())
            wrong = (inside != (truth > 0)).any(0).cpu()
            counted = (truth >= 0).all(0).cpu()  # the others are ignored
            row["uncertainty_finds_errors"] = error_auc(deviation[counted], wrong[counted])
            overlays.append(Panel("uncertainty", grey, deviation))
        steps = [Panel(name, m, colours="viridis") for name, m in self._steps(pixels).items()]
        return row, overlays, [first, *steps, Panel("prediction", inside.any(0).float()), last]

    def channels(self, image: Image) -> Tensor:
        """Return the single channels of the step ``channels_of``, ``(1, channels, *spatial)``."""
        pixels = image.pixels[None].to(self.device)
        return feature_maps(self.network, pixels, [self.channels_of])[self.channels_of]

    def _steps(self, pixels: Tensor) -> dict[str, Tensor]:
        """Return the mean map of every step, and add its channels to the correlations."""
        maps = feature_maps(self.network, pixels[None], self.layers)
        for name, features in maps.items():
            self.correlations[name].add(features)
        return mean_maps(maps)

    def _logits(self, pixels: Tensor) -> Tensor:
        with torch.inference_mode():
            return self.predict(pixels[None]).float()

    def _harm(self, logits: Tensor, image: Image) -> Harm:
        if self.settings.against == "prediction":
            return change_from(logits)
        loss = IgnoringLoss(self.settings.loss)
        weights = () if image.weight is None else (image.weight[None].to(self.device),)
        return loss_against(
            lambda hidden, truth: loss(hidden, truth, *weights),
            image.truth.to(self.device),
        )


def explain_cases(
    explainer: CaseExplainer, images: Images, chosen: Sequence[Extreme], metric: str
) -> ExplanationPart:
    """Explain the chosen images, and count the channels that repeat others on them."""
    cases = [images[extreme.image] for extreme in chosen]
    # before the work, since an occlusion that does not fit into an image fails
    occlusions = [(explainer.occlusion_for(image), image.pixels.shape[1:]) for image in cases]
    sizes = sorted({region_size(*each) for each in occlusions})
    passes = sum(count_passes(*each) for each in occlusions)
    rows, overlays, steps = [], [], []
    with Work(f"hiding regions of {count(len(cases), 'image')}", passes, "region") as work:
        for extreme, image in zip(chosen, cases, strict=True):
            title = "\n".join((*extreme.why, f"{metric} {extreme.value:.3f}"))
            row, of_image, of_steps = explainer.explain(image, work.advance)
            identity = {"image": extreme.image, "why": "; ".join(extreme.why)}
            rows.append({**identity, metric: extreme.value, "split": image.split, **row})
            overlays.append((title, of_image))
            steps.append((title, of_steps))
    by_step = [(name, redundancy(sums.matrix())) for name, sums in explainer.correlations.items()]
    table = [{"step": name, **counts._asdict()} for name, counts in by_step]
    summary = {
        "occlusion": _occlusion_summary(explainer.settings, sizes),
        "cases": rows,
        "redundancy": table,
        "suggested_features": suggested_features(by_step),
        "channels_of": explainer.channels_of,
    }
    pictures = {
        "occlusion": panels(overlays),
        "feature_maps": panels(steps),
        "channels": channels(explainer.channels(cases[0])),
    }
    return ExplanationPart(summary, {"occlusion": rows, "redundancy": table}, pictures)


def _occlusion_summary(settings: CaseSettings, sizes: Sequence[int]) -> dict[str, Any]:
    """Return the settings of the occlusion, its size both in the network's pixels and as given."""
    given, side = settings.occlusion, settings.side
    return {
        **given._asdict(),
        "size": f"{sizes[0]}" if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}",
        "given": ""
        if side is None or given.size is None
        else f"{given.size} pixels of an image of {side}",
        "against": settings.against,
    }
