"""The licence of weights: it is the licence of the images that they were trained on."""

import re
from typing import NamedTuple

from pipeline.sharing.archive import RefusedError

LICENCE = "docs/data_license.txt"
"""The text on the licence of the data, and so of the weights."""
COHORT_LICENCES = {
    "isbi2012": "ISBI 2012 challenge, published for the challenge: ask its organisers",
    "nuclei": "2018 Data Science Bowl, CC0: free",
    "shenzhen": "Shenzhen chest X-rays, masks CC BY-NC-SA 4.0: no commercial use, share alike",
    "pancreas_ct": "NIH Pancreas-CT, CC BY 3.0: name the source",
    "lung_ct": "lung CT slices, made ones, free, or those of Finding and Measuring Lungs in CT "
    "Data: read its licence",
    "phantom cells": "made images: free",
}
"""Licences of public data sets, by the cohort name that ``unet-school data prepare`` gives."""
SPDX_LICENCES = {"nuclei": "CC0-1.0", "shenzhen": "CC-BY-NC-SA-4.0", "pancreas_ct": "CC-BY-3.0"}
"""SPDX identifiers of those licences that have one."""
LICENCE_PAGES = {
    "isbi2012": "https://imagej.net/events/isbi-2012-segmentation-challenge",
    "lung_ct": "https://www.kaggle.com/datasets/kmader/finding-lungs-in-ct-data",
}
"""Pages that state the terms of the others, where there is one."""
PRIVATE_COHORT = "images of the sender's own"
PLACEHOLDER = "Not stated."
"""The beginning of the text in a planned bundle."""
MAX_LICENCES = 8
"""Cohorts that one after the other trained weights."""


def licence_text(cohort: str, bundle_text: str) -> str:
    """Return a bundle's text on licences: a line on the training cohort, then the bundle's text.

    The bundle's text is written by hand, and may describe other images than those that trained the
    weights. A public cohort is recognised by its name.

    Args:
        cohort: the cohort's name in the datalist.
        bundle_text: the bundle's ``docs/data_license.txt``.

    Raises:
        ValueError: the bundle's text is still the planned one.

    Example:
        >>> print(licence_text("nuclei", "No data comes with this bundle."))
        Weights: trained on 2018 Data Science Bowl, CC0: free.
        <BLANKLINE>
        No data comes with this bundle.
    """
    if bundle_text.startswith(PLACEHOLDER):
        raise ValueError(
            "docs/data_license.txt: not stated; say whose images trained this bundle, and what may "
            "be done with them"
        )
    return f"Weights: trained on {COHORT_LICENCES.get(cohort, PRIVATE_COHORT)}.\n\n{bundle_text}"


class WeightsLicence(NamedTuple):
    """The licence that one cohort gives to the weights that it trained.

    Attributes:
        images: text on the images and what may be done with them.
        cohort: name of the public cohort; None: images of a sender's own.
        spdx: SPDX identifier of the licence; None: it has none.
    """

    images: str
    cohort: str | None
    spdx: str | None

    @property
    def page(self) -> str | None:
        """The page that states terms which have no SPDX identifier."""
        return LICENCE_PAGES.get(self.cohort or "")

    @property
    def title(self) -> str:
        """The name of the images alone."""
        return re.split("[,:]", self.images)[0]


def weights_licences(text: str) -> list[WeightsLicence]:
    """Return the licences of weights, the last training's first, from the text on licences.

    Fine-tuned weights carry the licences of both cohorts.

    Args:
        text: the result of :func:`licence_text`.

    Raises:
        RefusedError: there are more than :data:`MAX_LICENCES`.

    Example:
        >>> [licence.spdx for licence in weights_licences(licence_text("nuclei", "Nothing else."))]
        ['CC0-1.0']
    """
    cohorts = {images: cohort for cohort, images in COHORT_LICENCES.items()}
    stated = re.findall(r"^Weights: trained on (.+?)\.?$", text, re.MULTILINE) or [PRIVATE_COHORT]
    if len(stated) > MAX_LICENCES:
        reason = f"expected {MAX_LICENCES} at most"
        raise RefusedError(LICENCE, f"{len(stated)} licences of weights", reason)
    return [
        WeightsLicence(images, cohort := cohorts.get(images), SPDX_LICENCES.get(cohort or ""))
        for images in stated
    ]
