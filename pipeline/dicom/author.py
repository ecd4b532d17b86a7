"""Who made a result: product, bundle and weights."""

from typing import Any, NamedTuple

from highdicom import AlgorithmIdentificationSequence
from pydicom.sr.codedict import codes

from pipeline.product import DISTRIBUTION
from pipeline.provenance import version_of

MAX_LONG_STRING = 64
"""Characters of DICOM's LO."""
NOTICE = "not for clinical use"
SERIES_NUMBERS = {"seg": 9001, "rtstruct": 9002, "sr": 9003, "capture": 9004}


class Author(NamedTuple):
    """The model that made a result.

    Attributes:
        bundle: its name.
        version: of the bundle.
        weights_sha256: hash of the weights' values.
    """

    bundle: str
    version: str
    weights_sha256: str

    @property
    def parameters(self) -> dict[str, str]:
        """What identifies the weights."""
        return {"weights_sha256": self.weights_sha256}

    def description(self, title: str) -> str:
        """Return the description of a series.

        Example:
            >>> Author("membranes", "0.1.0", "ab").description("Segmentation")
            'Segmentation by membranes, not for clinical use'
        """
        room = MAX_LONG_STRING - len(f"{title} by , {NOTICE}")
        return f"{title} by {self.bundle[:room]}, {NOTICE}"

    def algorithm(self) -> AlgorithmIdentificationSequence:
        """Return the identification of the algorithm."""
        return AlgorithmIdentificationSequence(
            name=self.bundle[:MAX_LONG_STRING],
            family=codes.DCM.ArtificialIntelligence,
            version=self.version,
            source=DISTRIBUTION,
            parameters=self.parameters,
        )

    def equipment(self) -> dict[str, Any]:
        """Return the arguments of highdicom's objects that name the equipment."""
        return {
            "manufacturer": DISTRIBUTION,
            "manufacturer_model_name": self.bundle[:MAX_LONG_STRING],
            "software_versions": version_of(DISTRIBUTION),
            "device_serial_number": self.weights_sha256,
        }
