"""``python -m pipeline.sharing.sample_comparison SAMPLE OUTPUT``: compare in a process of its own.

It decodes files of a sender, and runs in the sandbox; one line of JSON is all that it says.
"""

import sys
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from pipeline.sharing.archive import RefusedError
from pipeline.sharing.sample_results import SampleAgreement, compare_sample

MAX_TEXT = 400
Text = Annotated[str, StringConstraints(max_length=MAX_TEXT)]


class Refusal(BaseModel):
    """What a :class:`RefusedError` says."""

    model_config = ConfigDict(extra="forbid")
    place: Text
    value: Text
    reason: Text


class Comparison(BaseModel):
    """What the process says: the agreement, or why there is none."""

    model_config = ConfigDict(extra="forbid")
    agreement: SampleAgreement | None = None
    refusal: Refusal | None = None


def read_comparison(printed: str) -> SampleAgreement:
    """Return the agreement that the process printed.

    Raises:
        RefusedError: it refused the results, or printed something else.

    Example:
        >>> read_comparison('{"agreement": {"difference": 0, "dice": 1}}').enough
        True
    """
    try:
        comparison = Comparison.model_validate_json(printed)
    except ValidationError:
        raise RefusedError("sample", "no comparison", "its results cannot be compared") from None
    if comparison.agreement is not None:
        return comparison.agreement
    refusal = comparison.refusal or Refusal(place="sample", value="no comparison", reason="empty")
    raise RefusedError(refusal.place, refusal.value, refusal.reason)


def compare(sample: Path, output: Path) -> Comparison:
    """Compare a result with the expected one; a refusal is part of the answer."""
    try:
        return Comparison(agreement=compare_sample(sample, output))
    except RefusedError as error:
        texts = {"place": error.place, "value": error.value, "reason": error.reason}
        return Comparison(
            refusal=Refusal(**{name: text[:MAX_TEXT] for name, text in texts.items()})
        )


if __name__ == "__main__":
    print(compare(*map(Path, sys.argv[1:])).model_dump_json())
