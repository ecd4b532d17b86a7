"""Instances, such as nuclei or lesions, as the structures of a result: one for each."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from pipeline.bundle.codes import Structure
from pipeline.dicom.structure_masks import StructureMasks
from pipeline.inference.structures import Sizes
from pipeline.pages.pictures import LABEL_COLOURS

MAX_LISTED = 255
"""Instances of a binary segmentation, of contours and of a report: each is listed by a viewer, and
cornerstone3D, on which OHIF stands, shows no segment above it."""
MAX_NUMBERED = 2**16 - 1
"""Instances of a label map, whose pixels have 16 bits."""


def check_count(image: Path, count: int, kinds: Collection[str], segments: str) -> None:
    """Refuse more instances than a kind of result can hold.

    Args:
        image: of the instances, for the message.
        count: number of instances.
        kinds: of results that are wanted.
        segments: how a segmentation stores its segments.

    Raises:
        ValueError: there are more.

    Example:
        >>> check_count(Path("a.dcm"), 300, ["seg"], "binary")
        Traceback (most recent call last):
        ValueError: a.dcm: found 300 instances, and a binary seg lists at most 255; give ...
    """
    is_map = segments == "labelmap"
    limits = {
        "seg": (f"a {segments} seg", MAX_NUMBERED if is_map else MAX_LISTED,
                "leave seg out of --dicom" if is_map else "give --dicom-seg labelmap"),
        "rtstruct": ("an rtstruct", MAX_LISTED, "leave rtstruct out of --dicom"),
        "sr": ("an sr", MAX_LISTED, "leave sr out of --dicom"),
    }  # fmt: skip
    for name, most, remedy in (limits[kind] for kind in limits if kind in kinds):
        if count > most:
            raise ValueError(
                f"{image}: found {count} instances, and {name} lists at most {most}; {remedy}"
            )


def instance_masks(masks: StructureMasks, numbers: NDArray[Any], count: int) -> StructureMasks:
    """Return the masks of the instances of the one structure.

    Neighbours have different colours, as in the pages of an inference: one colour for all would
    hide where they touch.

    Args:
        masks: of the structure.
        numbers: of the instances from 1, in the order of the planes.
        count: how many there are.
    """
    [structure] = masks.structures
    instances = [_instance(structure, number) for number in range(1, count + 1)]
    labels = {instance.name: instance.number for instance in instances}
    maps = [one for one in masks.maps for _ in instances]  # each has the structure's probabilities
    return StructureMasks(instances, labels, numbers, maps)


def named_sizes(masks: StructureMasks, sizes: Collection[dict[str, float]]) -> Sizes:
    """Return the size of each instance by its name, from those in the order of the numbers."""
    names = (structure.name for structure in masks.structures)
    return dict(zip(names, sizes, strict=True))


def _instance(structure: Structure, number: int) -> Structure:
    colour = LABEL_COLOURS[(number - 1) % len(LABEL_COLOURS)]
    return structure._replace(number=number, name=f"{structure.name} {number}", colour=colour)
