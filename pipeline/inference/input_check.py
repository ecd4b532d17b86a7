"""Whether an image that is to be inferred is like those that the model was trained on."""

import json
from pathlib import Path
from typing import Any

from pipeline.data.drift import strange
from pipeline.data.image_statistics import image_facts, read_pixels


class InputCheck:
    """Says of an image's file in what it differs from the training images.

    Args:
        fingerprint: of the training cohort, a file by :func:`pipeline.data.drift.told_cohort`.

    Raises:
        FileNotFoundError: no such file.
    """

    def __init__(self, fingerprint: str) -> None:
        path = Path(fingerprint)
        if not path.is_file():
            raise FileNotFoundError(f"{path}: no such file; a packed bundle has it")
        self.told: dict[str, Any] = json.loads(path.read_text("utf-8"))

    def __call__(self, image: Path) -> list[str]:
        """Return a line for each difference; none: it is like them."""
        return strange(image_facts(read_pixels(image)), self.told)
