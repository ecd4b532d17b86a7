"""Elastic deformation by a coarse grid of random displacements."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from monai.config import KeysCollection
from torch import Tensor

from transforms.warp import RandJointWarpd, RandWarp, check_sigma


class RandElasticGrid(RandWarp):
    """Deform an image smoothly, as the original U-Net was trained.

    A displacement is drawn from N(0, sigma) for each axis at each point of a coarse grid, 3 x 3 by
    default, that reaches from corner to corner, and interpolated to every pixel by bicubic
    interpolation (Ronneberger et al. 2015, section 3.1: "random displacement vectors on a coarse 3
    by 3 grid", "Gaussian distribution with 10 pixels standard deviation"). The image is mirrored
    where a displaced position lies outside. (``monai.transforms.Rand2DElastic`` draws from a
    uniform distribution, on a grid of given spacing.)

    Args:
        sigma: standard deviation of a displacement, in pixels.
        points: number of points of the coarse grid along each axis.
        prob: probability of deforming.

    Shapes: ``(C, *spatial)``, two or three spatial dimensions, array or tensor.

    Raises:
        ValueError: a negative sigma, fewer than two points, or an unknown mode.

    Example:
        >>> deform = RandElasticGrid()
        >>> deform.set_random_state(seed=0) is deform
        True
        >>> deform(torch.rand(1, 64, 48)).shape
        torch.Size([1, 64, 48])
    """

    def __init__(self, sigma: float = 10.0, points: int = 3, prob: float = 1.0) -> None:
        super().__init__(prob)
        check_sigma(sigma)
        if points < 2:
            raise ValueError(f"points: found {points}, expected 2 or more; 3 is the paper's")
        self.sigma, self.points = sigma, points
        self.coarse = torch.zeros(0)

    def draw(self, dims: int) -> None:
        """Draw the coarse grid."""
        size = (dims, *[self.points] * dims)
        self.coarse = torch.from_numpy(self.R.normal(0, self.sigma, size)).float()

    def positions(self, sides: Sequence[int]) -> Tensor:
        """Return the position that each output pixel samples, ``(dims, *sides)``.

        The grid is the one drawn last.
        """
        positions = self.coarse
        for side in sides:
            matrix = cubic_interpolation(self.points, side)
            positions = torch.tensordot(positions, matrix, dims=([1], [1]))
        for axis, side in enumerate(sides):
            positions[axis] += torch.arange(side).reshape(-1, *[1] * (len(sides) - 1 - axis))
        return positions


class RandElasticGridd(RandJointWarpd):
    """:class:`RandElasticGrid` with one grid for all the named keys of a dictionary.

    Args:
        keys: images, labels and weight maps, of one spatial size.
        mode: for each key, or one for all: ``"nearest"`` for labels, ``"bilinear"`` for weight
            maps, which it keeps positive, ``"bilinear"`` or ``"bicubic"`` for images.
        sigma: as :class:`RandElasticGrid`.
        points: as :class:`RandElasticGrid`.
        prob: as :class:`RandElasticGrid`.
    """

    def __init__(
        self,
        keys: KeysCollection,
        mode: str | Sequence[str] = "bilinear",
        sigma: float = 10.0,
        points: int = 3,
        prob: float = 1.0,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, mode, RandElasticGrid(sigma, points, prob), allow_missing_keys)


def cubic_interpolation(points: int, side: int) -> Tensor:
    """Return the matrix ``(side, points)`` of cubic interpolation from corner to corner."""
    columns = torch.eye(points)[None, :, :, None]
    fine = F.interpolate(columns, size=(side, 1), mode="bicubic", align_corners=True)
    return fine[0, :, :, 0].T
