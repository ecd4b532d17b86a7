"""The room on the disk that an inference takes, estimated from the sizes of its images' files."""

from collections.abc import Sequence

from pipeline.files import check_room
from pipeline.inference.report import InferenceCase
from pipeline.inference.writer import WritePredictions
from pipeline.progress import count

MASK_SHARE = 0.01
"""Bytes of a mask for each byte of its image: about half of what X-rays have as PNG, the smallest
share that was measured (X-rays .017, MR as NIfTI .023, nuclei .036, CT .044)."""
MAP_SHARES = {8: 0.03, 32: 0.1}
"""The same of a label's probability map, by its bits (X-rays .06 and .19, MR .4 and 2)."""


def check_room_for(writer: WritePredictions, cases: Sequence[InferenceCase]) -> None:
    """Refuse to begin where there is no room for the masks and maps of all images.

    The shares are small ones: what would fit is not refused. Files of earlier inferences in the
    folder, which are replaced, count as room.

    Args:
        writer: that will write them.
        cases: the images to come.

    Raises:
        ValueError: there is less room.
    """
    labels = max(1, len(writer.labels))
    needed = predicted_bytes(cases, labels, writer.probabilities, 1 + len(writer.outer))
    purpose = f"the masks of {count(len(cases), 'image')}"
    if writer.probabilities:
        purpose += f" and their probability maps in {writer.probabilities} bits"
    check_room(writer.folder, needed - writer.report.earlier_bytes(), purpose, "--output_dir")


def predicted_bytes(
    cases: Sequence[InferenceCase], labels: int, bits: int | None, masks: int = 1
) -> int:
    """Return the bytes that masks and maps take at least.

    Args:
        cases: the images.
        labels: that have a map each.
        bits: of the maps; None: there are none.
        masks: of an image.
    """
    images = sum(size for case in cases for _, size, _ in case.stamps())
    share = masks * MASK_SHARE + (labels * MAP_SHARES[bits] if bits else 0)
    return int(images * share)
