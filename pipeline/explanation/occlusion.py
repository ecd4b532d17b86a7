"""Which regions a segmentation depends on: each is hidden in turn, and the harm is measured."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import NamedTuple

import torch
from monai.transforms import GaussianSmooth
from torch import Tensor
from tqdm import tqdm

FILLS = ("noise", "mean", "blur")
"""What can stand where a region is hidden."""
SEVERAL = 16
"""Hidden versions that pass the network at a time."""

Harm = Callable[[Tensor], float]
"""How bad the logits ``(1, K, *spatial)`` of a hidden version are."""


class Occlusion(NamedTuple):
    """How regions are hidden.

    Attributes:
        size: side of the square (cube) that is hidden, in pixels of the network's image.
        stride: from one to the next; None: the size, so that they tile the image.
        fill: ``noise`` (normal, of the image's own mean and deviation), ``mean`` (the image's), or
            ``blur`` (the image through a Gaussian as wide as half the size).
        draws: how many fills are averaged; only noise differs between them.
        seed: of the noise.
        batch: hidden versions that pass the network at a time.
    """

    size: int = 14
    stride: int | None = None
    fill: str = "noise"
    draws: int = 1
    seed: int = 0
    batch: int = SEVERAL


def occlusion_map(
    predict: Callable[[Tensor], Tensor],
    image: Tensor,
    harm: Harm,
    occlusion: Occlusion,
    progress: str | None = None,
) -> Tensor:
    r"""Hide each region of an image in turn and return by how much that harms the prediction.

    .. math:: H(r) = h(f(x_r)) - h(f(x))

    where :math:`x_r` is the image :math:`x` with region :math:`r` hidden, :math:`f` the network and
    :math:`h` the harm. With the training loss as harm and noise as fill it is the occlusion test of
    "A look into U-Net" (its section 6.3), which hides each 14 x 14 region of a 512 x 512 image.

    Unlike :class:`monai.visualize.OcclusionSensitivity`, which expects class scores, it takes the
    whole predicted map, measures it against the truth, and fills with seeded noise.

    Args:
        predict: images ``(B, C, *spatial)`` to logits ``(B, K, *spatial)``.
        image: ``(C, *spatial)`` as the network takes it.
        harm: of logits ``(1, K, *spatial)``; see :func:`loss_against` and :func:`change_from`.
        occlusion: how regions are hidden.
        progress: what to call the work on a progress bar; None: no bar.

    Returns:
        ``spatial``, on the image's device: the mean harm of the regions that a pixel lies in.
        Positive where hiding makes things worse.

    Raises:
        ValueError: a region larger than the image, an unknown fill, or a size, stride, number of
            draws or batch below one, or a stride that leaves pixels unhidden.

    Example:
        A network that looks at one corner alone:

        >>> def corner(images):
        ...     seen = torch.zeros_like(images)
        ...     seen[..., :4, :4] = images[..., :4, :4]
        ...     return seen
        >>> image = torch.arange(64.0).reshape(1, 8, 8)
        >>> harm = change_from(corner(image[None]))
        >>> found = occlusion_map(corner, image, harm, Occlusion(size=4, fill="mean"))
        >>> (found > 0).nonzero().amax(0).tolist(), (found[4:] == 0).all().item()
        ([3, 3], True)
    """
    check_occlusion(occlusion, image.shape[1:])
    regions = list(_regions(image.shape[1:], occlusion))
    total = torch.zeros(image.shape[1:], device=image.device)
    times = torch.zeros_like(total)
    generator = torch.Generator().manual_seed(occlusion.seed)
    draws = occlusion.draws if occlusion.fill == "noise" else 1
    fills = [_filled(image, occlusion, generator) for _ in range(draws)]
    starts = range(0, len(regions), occlusion.batch)
    batches = [regions[start : start + occlusion.batch] for start in starts]
    work = list(itertools.product(fills, batches))
    with torch.inference_mode():
        plain = harm(predict(image[None]))

    def harms_of(job: tuple[Tensor, Sequence[tuple[slice, ...]]]) -> list[float]:
        fill, some = job
        hidden = image.repeat(len(some), *(1 for _ in image.shape))
        for version, region in zip(hidden, some, strict=True):
            version[region] = fill[region]
        with torch.inference_mode():
            return [harm(logits[None]) - plain for logits in predict(hidden)]

    with _workers(image.device) as pool:
        # None: on a terminal alone, for a log would hold every step
        silent = None if progress else True
        done = tqdm(pool.map(harms_of, work), progress, len(work), leave=False, disable=silent)
        for (_, some), harms in zip(work, done, strict=True):
            for region, value in zip(some, harms, strict=True):
                total[region[1:]] += value
                times[region[1:]] += 1
    return total / times


def loss_against(loss: Callable[[Tensor, Tensor], Tensor], truth: Tensor) -> Harm:
    """Return the harm that is the training loss against the truth.

    Args:
        loss: of logits and truth.
        truth: ``(K, *spatial)``.
    """
    return lambda logits: float(loss(logits, truth[None].to(logits)))


def change_from(logits: Tensor) -> Harm:
    """Return the harm that needs no truth: the mean change of the probabilities.

    Args:
        logits: ``(1, K, *spatial)`` of the image as it is.
    """
    plain = logits.float().sigmoid()
    return lambda hidden: float((hidden.float().sigmoid() - plain).abs().mean())


def check_occlusion(occlusion: Occlusion, sides: Sequence[int]) -> None:
    """Refuse an occlusion that cannot be.

    Raises:
        ValueError: see :func:`occlusion_map`.
    """
    for name in ("size", "stride", "draws", "batch"):
        value = getattr(occlusion, name)
        if value is not None and value < 1:
            raise ValueError(f"occlusion {name}: found {value}, expected 1 or more")
    if occlusion.fill not in FILLS:
        raise ValueError(
            f"occlusion fill: found '{occlusion.fill}', expected one of {', '.join(FILLS)}"
        )
    if occlusion.size > min(sides):
        raise ValueError(
            f"occlusion size: found {occlusion.size} pixels for an image of "
            f"{' x '.join(map(str, sides))}; expected at most {min(sides)}"
        )
    if occlusion.stride is not None and occlusion.stride > occlusion.size:
        raise ValueError(
            f"occlusion stride: found {occlusion.stride}, larger than the size {occlusion.size}, "
            "so that pixels between are never hidden; expected at most the size"
        )


@contextmanager
def _workers(device: torch.device) -> Iterator[ThreadPoolExecutor]:
    """Threads that take a batch each, which is faster than all of them at one batch."""
    threads = torch.get_num_threads()
    several = threads if device.type == "cpu" else 1
    try:
        with ThreadPoolExecutor(several, "occlusion", torch.set_num_threads, (1,)) as pool:
            yield pool
    finally:
        torch.set_num_threads(threads)


def _regions(sides: Sequence[int], occlusion: Occlusion) -> Iterator[tuple[slice, ...]]:
    """Every region, with all channels; the last of each row ends at the border."""
    stride = occlusion.stride or occlusion.size
    starts = [
        [*range(0, side - occlusion.size, stride), side - occlusion.size]  # may overlap at the end
        for side in sides
    ]
    for corner in itertools.product(*starts):
        yield (slice(None), *(slice(start, start + occlusion.size) for start in corner))


def _filled(image: Tensor, occlusion: Occlusion, generator: torch.Generator) -> Tensor:
    """The image that is seen through the regions."""
    if occlusion.fill == "noise":
        noise = torch.randn(image.shape, generator=generator).to(image)
        return noise * image.std() + image.mean()
    if occlusion.fill == "mean":
        return image.mean().expand_as(image)
    blurred: Tensor = GaussianSmooth(occlusion.size / 2)(image)
    return blurred
