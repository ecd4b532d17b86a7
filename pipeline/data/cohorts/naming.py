"""How the name of a mask follows from the name of its image."""

import itertools
import re
from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

from pipeline.errors import few

NAME = "{name}"
MASK_WORDS = ("mask", "masks", "seg", "segmentation", "label", "labels", "gt")
"""What masks are usually called, before or after the name of the case."""
IMAGE_WORDS = ("img", "image", "im")
CHANNEL_ENDING = "_0000"
"""What nnU-Net calls the first image of a case."""
SEPARATORS = "_.-"
MAX_EXAMPLES = 3


class Naming(NamedTuple):
    """Names of an image and of its mask, without suffix; ``{name}`` is what both have in common.

    Attributes:
        mask: name of the mask.
        image: name of the image.

    Example:
        >>> Naming("{name}_mask").mask_of("img_7")
        'img_7_mask'
        >>> Naming("mask_{name}", image="img_{name}").mask_of("img_7")
        'mask_7'
    """

    mask: str = NAME
    image: str = NAME

    @property
    def pattern(self) -> str:
        """The naming as a person gives it by ``--pattern``."""
        return self.mask if self.image == NAME else f"{self.image}:{self.mask}"

    def mask_of(self, image: str) -> str | None:
        """Return the name of an image's mask; None: no image is named so."""
        name = _common_part(self.image, image)
        return None if name is None else self.mask.replace(NAME, name)

    def is_mask(self, name: str) -> bool:
        """Return whether a file of this name is a mask."""
        return _common_part(self.mask, name) is not None


def parse_pattern(pattern: str) -> Naming:
    """Read ``MASK`` or ``IMAGE:MASK``, as ``{name}_mask`` or ``{name}_img:{name}_mask``.

    Raises:
        ValueError: a part without ``{name}``, or more than two parts.

    Example:
        >>> parse_pattern("{name}_img:{name}_mask")
        Naming(mask='{name}_mask', image='{name}_img')
    """
    *images, mask = pattern.split(":")
    if len(images) > 1 or any(part.count(NAME) != 1 for part in (*images, mask)):
        raise ValueError(
            f"mask pattern '{pattern}': expected {NAME} in it, as in {NAME}_mask, or "
            f"{NAME}_img:{NAME}_mask where images end on _img"
        )
    return Naming(mask, *images)


def guess_naming(
    images: Sequence[Collection[str]], masks: Collection[str], one_folder: bool
) -> Naming:
    """Return the usual naming that gives most images a mask.

    Args:
        images: names of each image, of a DICOM series also those of its folders; in one folder
            those of the masks, too.
        masks: names of the masks; in one folder those of the images, too.
        one_folder: whether images and masks are in one folder.

    Raises:
        ValueError: no usual naming gives any image a mask, or two give different ones.

    Example:
        >>> guess_naming([{"a_img"}, {"b_img"}], {"a_seg", "b_seg"}, one_folder=False).pattern
        '{name}_img:{name}_seg'
    """
    pairings = {
        naming: pairs
        for naming in _candidates(images, masks, one_folder)
        if any(pairs := _pairs(naming, images, masks))
    }
    if not pairings:
        raise ValueError(f"{_examples(images, masks, one_folder)}; {_remedy(images, one_folder)}")
    count = max(sum(map(bool, pairs)) for pairs in pairings.values())
    best = [naming for naming, pairs in pairings.items() if sum(map(bool, pairs)) == count]
    for other in best[1:]:
        if pairings[other] != pairings[best[0]]:
            raise ValueError(
                f"{count} images have two masks each, by --pattern '{best[0].pattern}' and "
                f"'{other.pattern}'; give one of the two"
            )
    return best[0]


def _common_part(template: str, name: str) -> str | None:
    before, _, after = template.partition(NAME)
    if len(name) <= len(before) + len(after):
        return None
    if not (name.startswith(before) and name.endswith(after)):
        return None
    return name[len(before) : len(name) - len(after)]


def _candidates(
    images: Sequence[Collection[str]], masks: Collection[str], one_folder: bool
) -> Iterator[Naming]:
    """Yield the namings that the names allow, the plainest first."""
    of_masks = _templates(masks, MASK_WORDS)
    of_images = _templates(itertools.chain(*images), IMAGE_WORDS)
    if any(name.endswith(CHANNEL_ENDING) for names in images for name in names):
        of_images.append(f"{NAME}{CHANNEL_ENDING}")
    if not one_folder:
        of_masks.insert(0, NAME)
    for image, mask in itertools.product([NAME, *of_images], of_masks):
        yield Naming(mask, image)


def _templates(names: Collection[str] | Iterator[str], words: Sequence[str]) -> list[str]:
    """Return the templates of names that begin or end on a word, written as the names have it."""
    word, separator = f"(?:{'|'.join(words)})", f"[{re.escape(SEPARATORS)}]"
    beginning = re.compile(f"({word}{separator}).+", re.IGNORECASE)
    ending = re.compile(f".+?({separator}{word})", re.IGNORECASE)
    templates = set()
    for name in names:
        if match := ending.fullmatch(name):
            templates.add(f"{NAME}{match[1]}")
        if match := beginning.fullmatch(name):
            templates.add(f"{match[1]}{NAME}")
    return sorted(templates)


def _pairs(
    naming: Naming, images: Sequence[Collection[str]], masks: Collection[str]
) -> list[frozenset[str]]:
    """Return the masks of each image."""
    return [
        frozenset(mask for name in names if (mask := naming.mask_of(name)) in masks and mask)
        for names in images
    ]


def _examples(images: Sequence[Collection[str]], masks: Collection[str], one_folder: bool) -> str:
    names = few(sorted(min(names, key=len) for names in images), MAX_EXAMPLES)
    if one_folder:
        return f"no image with a mask among the {len(images)} files of one folder, as {names}"
    of_masks = few(sorted(masks), MAX_EXAMPLES) or "nothing"
    return f"no image has a mask: the images are named {names}, the masks {of_masks}"


def _remedy(images: Sequence[Collection[str]], one_folder: bool) -> str:
    first = min(sorted(min(names, key=len) for names in images))
    folder = ", or the folder of the masks by --masks" if one_folder else ""
    return (
        f"give the mask's name by --pattern, as '{NAME}_mask' for {first}_mask{folder}; where "
        "names have nothing in common, name each mask as its image"
    )
