"""The licence of weights: it is the licence of the images that they were trained on."""

COHORT_LICENCES = {
    "isbi2012": "ISBI 2012 challenge, published for the challenge: ask its organisers",
    "nuclei": "2018 Data Science Bowl, CC0: free",
    "shenzhen": "Shenzhen chest X-rays, masks CC BY-NC-SA 4.0: no commercial use, share alike",
    "pancreas_ct": "NIH Pancreas-CT, CC BY 3.0: name the source",
    "lung_ct": "made slices, free, or Issue and Measuring Lungs in CT Data: read its licence",
    "phantom cells": "made images: free",
}
"""Licences of public data sets, by the cohort name that ``unet-school data prepare`` gives."""
PRIVATE_COHORT = "images of the sender's own"
PLACEHOLDER = "Not stated."
"""The beginning of the text in a planned bundle."""


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
