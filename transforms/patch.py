"""Random patches: around foreground or anywhere, turned and scaled, read from the whole image."""

import itertools
import math
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform, Randomizable
from monai.utils import convert_to_dst_type, convert_to_tensor, ensure_tuple_rep
from torch import Tensor

from transforms.mirror import crop_mirrored
from transforms.naming import file_of
from transforms.warp import check_mode, sampling_grid, warped


class RandPatchd(Randomizable, MapTransform):
    """Draw a patch of an image and of all that belongs to it; turn and scale it at random.

    As nnU-Net draws its patches (Isensee et al., Nature Methods 2021, "Training"): a share of them
    lies around a pixel of the foreground, of a label that is drawn first, so that rare labels are
    seen as often as frequent ones; the others lie anywhere. No patch is outside of the image. With
    a probability each, a patch is turned about its centre, by an angle in every plane of ``axes``,
    and scaled by one factor along them: above 1 it shows more of the image, smaller.

    A turned patch is read from the whole image, with one interpolation; what lies beyond the
    border of the image is its mirror image. A patch that is neither turned nor scaled is cut out.
    Pixels of the label below 0, which are to be ignored, are no foreground. (MONAI's
    ``RandCropByPosNegLabeld`` takes the first of several labels for the background, and
    ``RandAffined`` reads from what was cropped before.)

    Args:
        keys: image, label and weight map, of one spatial size.
        mode: for each key, or one for all: ``"nearest"`` for labels, ``"bilinear"`` for others.
        spatial_size: sides of a patch, pixels.
        label_key: label with a channel for each structure, whose pixels above 0 are foreground.
        foreground: share of patches around the foreground, in [0, 1]. An image without any gives a
            patch from anywhere.
        axes: spatial axes in whose planes a patch is turned, and along which it is scaled; fewer
            than all for volumes of thick slices.
        rotation: largest angle to either side, radians.
        scale: smallest and largest factor.
        prob: probability of turning, and that of scaling.

    Shapes: ``(C, *spatial)`` to ``(C, *spatial_size)``, array or tensor.

    Raises:
        ValueError: an unknown mode, a share or a probability outside [0, 1], a factor that is not
            above 0, an axis that the image does not have, or an image of another size than the
            first.

    Example:
        >>> data = {"image": torch.rand(1, 40, 50), "label": torch.zeros(1, 40, 50)}
        >>> patch = RandPatchd(["image", "label"], ["bilinear", "nearest"], [32, 64], axes=[0, 1])
        >>> patch.set_random_state(0)(data)["image"].shape
        torch.Size([1, 32, 64])
    """

    def __init__(
        self,
        keys: KeysCollection,
        mode: str | Sequence[str],
        spatial_size: Sequence[int],
        label_key: str = "label",
        foreground: float = 1 / 3,
        axes: Sequence[int] = (0, 1),
        rotation: float = math.pi,
        scale: tuple[float, float] = (0.7, 1.4),
        prob: float = 0.2,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.mode = ensure_tuple_rep(mode, len(self.keys))
        for name in self.mode:
            check_mode(name)
        for parameter, value in {"foreground": foreground, "prob": prob}.items():
            if not 0 <= value <= 1:
                raise ValueError(f"{parameter}: found {value}, expected a share from 0 to 1")
        if min(scale) <= 0:
            raise ValueError(f"scale: found {scale}, expected two factors above 0; 1 changes none")
        if not set(axes) <= set(range(len(spatial_size))):
            raise ValueError(
                f"axes: found {list(axes)}, expected some of {list(range(len(spatial_size)))}, "
                "those of a patch"
            )
        self.sides, self.label_key, self.foreground = list(spatial_size), label_key, foreground
        self.axes, self.rotation, self.scale, self.prob = sorted(axes), rotation, scale, prob

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return the dictionary with the same patch of all its images."""
        out = dict(data)
        modes = dict(self.key_iterator(out, self.mode))
        first = out[next(iter(modes))]
        start = self._start(first.shape[1:], out[self.label_key])
        matrix = self._matrix()
        for key, mode in modes.items():
            if out[key].shape[1:] != first.shape[1:]:
                raise ValueError(
                    f"{file_of(out[key])}: size {tuple(out[key].shape[1:])}; expected "
                    f"{tuple(first.shape[1:])} as the first key has, to be cut in the same way"
                )
            out[key] = patch_of(out[key], start, self.sides, matrix, mode)
        return out

    def _start(self, shape: Sequence[int], label: Any) -> list[int]:
        """Draw the first pixel of the patch along each axis."""
        rooms = [side - length for side, length in zip(shape, self.sides, strict=True)]
        pixel = self._foreground_pixel(label) if self.R.uniform() < self.foreground else None
        if pixel is None:
            return [self.R.randint(room + 1) if room > 0 else room // 2 for room in rooms]
        return [
            min(max(place - length // 2, 0), room) if room > 0 else room // 2
            for place, length, room in zip(pixel, self.sides, rooms, strict=True)
        ]

    def _foreground_pixel(self, label: Any) -> list[int] | None:
        """Draw a label that the image has, and a pixel of it; None: it has none."""
        masks = convert_to_tensor(label, track_meta=False) > 0
        present = masks.flatten(1).any(dim=1).nonzero().flatten()
        if not len(present):
            return None
        mask = masks[present[self.R.randint(len(present))]]
        pixels = mask.flatten().nonzero().flatten()
        drawn = pixels[self.R.randint(len(pixels))]
        return [int(place) for place in torch.unravel_index(drawn, mask.shape)]

    def _matrix(self) -> Tensor | None:
        """Draw what turns and scales; None: neither."""
        matrix = torch.eye(len(self.sides), dtype=torch.float64)
        turned, scaled = (self.R.uniform() < self.prob for _ in range(2))
        if turned:
            for plane in itertools.combinations(self.axes, 2):
                angle = self.R.uniform(-self.rotation, self.rotation)
                matrix = matrix @ rotation_matrix(len(self.sides), plane, angle)
        if scaled:
            matrix[:, self.axes] *= self.R.uniform(*self.scale)
        return matrix if turned or scaled else None


def rotation_matrix(dims: int, plane: tuple[int, int], angle: float) -> Tensor:
    """Return the rotation in a plane of two axes, ``(dims, dims)``.

    Example:
        >>> rotation_matrix(2, (0, 1), math.pi / 2).round().tolist()
        [[0.0, -1.0], [1.0, 0.0]]
    """
    first, second = plane
    matrix = torch.eye(dims, dtype=torch.float64)
    matrix[first, first] = matrix[second, second] = math.cos(angle)
    matrix[first, second], matrix[second, first] = -math.sin(angle), math.sin(angle)
    return matrix


def patch_of(
    image: Any, start: Sequence[int], sides: Sequence[int], matrix: Tensor | None, mode: str
) -> Any:
    """Return a patch of an image, which is mirrored at its border.

    Args:
        image: ``(C, *spatial)``, array or tensor.
        start: first pixel along each axis, before the patch is turned.
        sides: of the patch.
        matrix: ``(dims, dims)``, maps the distance of a pixel from the centre of the patch to that
            of the pixel of the image that it shows; None: the patch is cut out.
        mode: interpolation, see :func:`transforms.warp.warp`.

    Example:
        >>> image = torch.arange(16.0).reshape(1, 4, 4)
        >>> patch_of(image, [1, 1], [2, 2], None, "nearest").tolist()
        [[[5.0, 6.0], [9.0, 10.0]]]
        >>> quarter = rotation_matrix(2, (0, 1), math.pi / 2)
        >>> patch_of(image, [1, 1], [2, 2], quarter, "nearest").tolist()
        [[[9.0, 5.0], [10.0, 6.0]]]
    """
    pixels = convert_to_tensor(image, track_meta=False)
    if matrix is None:
        cut, *_ = convert_to_dst_type(crop_mirrored(pixels, start, sides), image)
        return cut
    reach = (torch.tensor(sides, dtype=torch.float64) - 1) / 2
    centre = torch.tensor(start, dtype=torch.float64) + reach
    distance = matrix.abs() @ reach
    low = (centre - distance).floor().long() - 1  # a pixel more than rounding may ask for
    shown = (centre + distance).ceil().long() + 2 - low
    axes = [torch.arange(side) - middle for side, middle in zip(sides, reach, strict=True)]
    offsets = torch.stack(torch.meshgrid(*axes, indexing="ij"))
    positions = torch.tensordot(matrix, offsets, dims=1)
    positions += (centre - low).reshape(-1, *[1] * len(sides))
    window = crop_mirrored(pixels, low.tolist(), shown.tolist())
    sampled = warped(window, sampling_grid(positions.float(), shown.tolist()), mode)
    out, *_ = convert_to_dst_type(sampled, image)
    return out
