"""Whether an image can be inferred, and whether it is like those that the model was trained on."""

import json
from typing import Any, NamedTuple

from pipeline.bundle.received import containment
from pipeline.data.drift import differences
from pipeline.data.drift_features import drift_features
from pipeline.data.image_statistics import ImageStatistics, image_statistics
from pipeline.data.modality import modality_of, technique
from pipeline.data.pixels import Pixels
from pipeline.data.readers import first_path, read_case, read_pages, split_page

FINGERPRINT = "fingerprint.json"
NOT_CHECKED = "not checked: no description of the training images beside the model"


class InspectedImage(NamedTuple):
    """What was seen of an image before it is inferred.

    Attributes:
        differences: from the training images, a line each; none: it is like them.
        features: by :func:`pipeline.data.drift_features.drift_features`.
    """

    differences: list[str]
    features: dict[str, float]


class InputCheck:
    """Refuses what cannot be inferred, and says in what an image differs from the training images.

    Args:
        fingerprint: of the training cohort, a file by
            :func:`pipeline.data.drift.describe_cohort`; None: beside the model, where training
            writes it.
        model: the weights.
        spatial_dims: dimensions of the network.
        in_channels: channels of its input.
    """

    def __init__(
        self,
        fingerprint: str | None = None,
        model: str = "",
        spatial_dims: int = 2,
        in_channels: int = 1,
    ) -> None:
        self.places = containment()
        if fingerprint is None:
            path = self.places.contained(model, "--model").with_name(FINGERPRINT)
        else:
            path = self.places.contained(fingerprint, "input_check#fingerprint")
        self.cohort: dict[str, Any] | None = None
        if path.is_file():
            self.cohort = json.loads(path.read_text("utf-8"))
        self.spatial_dims, self.in_channels = spatial_dims, in_channels

    def __call__(self, image: str | list[str]) -> list[str]:
        """Return a line for each difference; none: it is like the training images.

        Args:
            image: as :meth:`inspect`.

        Raises:
            ValueError: as :meth:`inspect`.
        """
        return self.inspect(image).differences

    def inspect(self, image: str | list[str]) -> InspectedImage:
        """Return in what an image differs from the training images, and its features.

        To a network of two dimensions each page of a stack, and each slice of a volume, is an
        image: its sides are those of a page, its intensities those of all pages, unless one is
        named (``stack.tif#3``).

        Args:
            image: file of the image, or files of its channels.

        Raises:
            ValueError: another modality, values that are NaN or infinite, one value everywhere,
                one slice where a volume is expected, or another number of channels.
        """
        name = image if isinstance(image, str) else image[0]
        self.places.contained(first_path(name), "image")
        self._check_modality(name)
        pixels, statistics = read_image(image, self.spatial_dims)
        separate = pixels.channels > 1 and not (pixels.colour or pixels.alpha)
        if separate and pixels.channels != self.in_channels:
            raise ValueError(
                f"{name}: {pixels.channels} values a pixel; the network takes {self.in_channels}; "
                "give the images that it was trained on"
            )
        if self.spatial_dims == 3 and len(statistics.size) == 2:
            raise ValueError(f"{name}: one slice; the network takes volumes; give the whole series")
        _refuse_unusable(name, statistics)
        lines = [NOT_CHECKED] if self.cohort is None else differences(statistics, self.cohort)
        return InspectedImage(lines, drift_features(pixels, statistics))

    def _check_modality(self, name: str) -> None:
        expected = (self.cohort or {}).get("modality", "")
        own = modality_of(first_path(name))
        if expected and own and technique(own) != technique(expected):
            raise ValueError(
                f"{name}: modality {own}; the network was trained on {expected}; give images of "
                "this modality"
            )


def read_image(image: str | list[str], spatial_dims: int) -> tuple[Pixels, ImageStatistics]:
    """Read an image as a network takes it, and its statistics.

    Args:
        image: file of the image, or files of its channels.
        spatial_dims: dimensions of the network; to one of two, the sides of a volume are those of a
            page.
    """
    names = [image] if isinstance(image, str) else image
    if spatial_dims == 2 and any(split_page(name)[1] is not None for name in names):
        page = read_pages(names)
        return page, image_statistics(page)
    pixels = read_case(names)
    statistics = image_statistics(pixels)
    if spatial_dims == 2 and pixels.affine is not None:
        of_page = image_statistics(read_pages([f"{name}#0" for name in names]))
        statistics = statistics._replace(size=of_page.size, spacing=of_page.spacing)
    return pixels, statistics


def _refuse_unusable(name: str, statistics: ImageStatistics) -> None:
    if statistics.not_finite:
        raise ValueError(
            f"{name}: {statistics.not_finite} values that are NaN or infinite; export it again"
        )
    if statistics.values == 1:
        raise ValueError(f"{name}: all pixels are {statistics.mean:g}; restore it")
