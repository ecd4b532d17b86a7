"""The licence that weights carry: that of the images they were trained on."""

OF_COHORTS = {
    "isbi2012": "ISBI 2012 challenge, published for the challenge: ask its organisers",
    "nuclei": "2018 Data Science Bowl, CC0: free",
    "shenzhen": "Shenzhen chest X-rays, masks CC BY-NC-SA 4.0: no commercial use, share alike",
    "pancreas_ct": "NIH Pancreas-CT, CC BY 3.0: name the source",
    "lung_ct": "made slices, free, or Issue and Measuring Lungs in CT Data: read its licence",
    "phantom cells": "made images: free",
}
"""What the public sets ask for, by the name that ``unet-school data prepare`` gives a cohort."""
OWN = "images of the sender's own"
UNSTATED = "Not stated."
"""How the text of a planned bundle begins."""


def licence_text(cohort: str, told: str) -> str:
    """Return a bundle's text on licences, below what the cohort itself asks for.

    The bundle's text is written by hand, and may be of other images than those that trained the
    weights; a public cohort is known by its name.

    Args:
        cohort: name in the datalist.
        told: ``docs/data_license.txt`` of the bundle.

    Raises:
        ValueError: the text is still the planned bundle's.

    Example:
        >>> print(licence_text("nuclei", "No data comes with this bundle."))
        Weights: trained on 2018 Data Science Bowl, CC0: free.
        <BLANKLINE>
        No data comes with this bundle.
    """
    if told.startswith(UNSTATED):
        raise ValueError(
            "docs/data_license.txt: not stated; say whose images trained this bundle, and what may "
            "be done with them"
        )
    return f"Weights: trained on {OF_COHORTS.get(cohort, OWN)}.\n\n{told}"
