"""A quick explanation: the same parts by fewer images, regions and shuffles."""

from typing import NamedTuple

from pipeline.explanation.case_explanation import CaseSettings
from pipeline.explanation.latent_explanation import LatentSettings
from pipeline.explanation.step_explanation import StepLimits

REGIONS, VERSIONS = 25, 4
LATENTS, MEASURED, LEARNT = 64, 24, 12
SHUFFLES = 99


class Quick(NamedTuple):
    """Settings of a quick explanation.

    Attributes:
        cases: settings of the explanation of single images.
        latent: settings of the clusters.
        limits: limits of the measured steps.
        cut: what is cut, in words.
    """

    cases: CaseSettings
    latent: LatentSettings
    limits: StepLimits
    cut: str


def quickened(cases: CaseSettings, latent: LatentSettings) -> Quick:
    """Return the settings of a quick explanation, and what they cut.

    Args:
        cases: settings of the explanation of single images.
        latent: settings of the clusters.
    """
    occlusion = cases.occlusion._replace(size=None, stride=None, draws=1, regions=REGIONS)
    return Quick(
        cases._replace(occlusion=occlusion, versions=min(VERSIONS, cases.versions)),
        latent._replace(images=LATENTS, shuffles=SHUFFLES),
        StepLimits(MEASURED, LEARNT, SHUFFLES),
        f"quick: the best and the worst of all images alone, about {REGIONS} hidden regions of "
        f"each, {min(VERSIONS, cases.versions)} versions, {LATENTS} images clustered, {MEASURED} "
        f"measured (probes: {LEARNT}), {SHUFFLES} shuffles, all at most",
    )
