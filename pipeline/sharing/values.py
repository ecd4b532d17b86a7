"""The values of a packed bundle: all that its configs say beside wiring and places.

A package is data. Its ``values.json`` holds what a scientist may choose: knobs, network, loss,
transforms, and their order. :mod:`pipeline.sharing.packed_configs` makes the configs from it.
"""

import json
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from pipeline.schemas import first_error
from pipeline.sharing.archive import RefusedError
from pipeline.sharing.parsing import strict_json

VALUES = "configs/values.json"
MAX_VALUES_BYTES = 1 << 16
"""Ten times what our bundles need; configs are made of it in about a second."""


class Values(BaseModel):
    """What each config says of its own, by key; ``#`` leads into the wiring: ``train#sampler``.

    Attributes:
        train: of every config.
        evaluate: over ``train``, of the evaluation; so for the next two.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    train: dict[str, Any]
    evaluate: dict[str, Any]
    inference: dict[str, Any]
    explain: dict[str, Any]

    def to_json(self) -> bytes:
        """Return the file's bytes; ASCII, which every system reads alike."""
        return (json.dumps(self.model_dump(), indent=1) + "\n").encode("ascii")

    def of(self, config: str) -> dict[str, Any]:
        """Return what a config says, that of ``train`` included."""
        own: dict[str, Any] = getattr(self, config)
        return {**self.train, **own}


def read_values(content: bytes) -> Values:
    """Read ``values.json``.

    Raises:
        RefusedError: it has another form.
    """
    if len(content) > MAX_VALUES_BYTES:
        raise RefusedError(
            VALUES, f"{len(content)} bytes", f"expected {MAX_VALUES_BYTES} bytes at most"
        )
    if not content.isascii():
        raise RefusedError(VALUES, "letters beyond ASCII", "expected escapes, as pack writes them")
    try:
        return Values.model_validate(strict_json(content, VALUES))
    except ValidationError as error:
        raise RefusedError(VALUES, first_error(error), "expected what pack writes") from None
