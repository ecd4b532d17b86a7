"""Whether an image that is to be inferred is like those that the model was trained on."""

import json
from pathlib import Path
from typing import Any

from pipeline.data.drift import differences
from pipeline.data.image_statistics import image_statistics
from pipeline.data.readers import read_pixels


class InputCheck:
    """Says in what an image's file differs from the training images.

    Args:
        fingerprint: of the training cohort, a file by
            :func:`pipeline.data.drift.describe_cohort`.

    Raises:
        FileNotFoundError: no such file.
    """

    def __init__(self, fingerprint: str) -> None:
        path = Path(fingerprint)
        if not path.is_file():
            raise FileNotFoundError(f"{path}: no such file; a packed bundle has it")
        self.cohort: dict[str, Any] = json.loads(path.read_text("utf-8"))

    def __call__(self, image: Path) -> list[str]:
        """Return a line for each difference; none: it is like them."""
        return differences(image_statistics(read_pixels(image)), self.cohort)
