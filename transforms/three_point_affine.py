"""A random affine map from displaced points."""

from collections.abc import Sequence

import torch
from monai.config import KeysCollection
from torch import Tensor

from transforms.warp import RandJointWarpd, RandWarp, check_sigma


class RandThreePointAffine(RandWarp):
    """Shift, turn, scale and shear an image by displacing three of its points at random.

    (Mane and Mittal, section 2.2: "Affine Transformation by randomly displacing 3 points within the
    image".) Three points determine an affine map of the plane, four that of a volume. The paper
    gives neither the points nor their displacement. This class uses the point at a quarter of each
    side from the origin, and for each axis the point moved to three quarters along it; each is
    displaced by N(0, sigma). The image is mirrored where a displaced position lies outside.

    Args:
        sigma: standard deviation of a displacement, in pixels.
        prob: probability of mapping.

    Shapes: ``(C, *spatial)``, two or three spatial dimensions, array or tensor.

    Raises:
        ValueError: a negative sigma, or an unknown mode.

    Example:
        >>> RandThreePointAffine()(torch.rand(1, 64, 48)).shape
        torch.Size([1, 64, 48])
    """

    def __init__(self, sigma: float = 10.0, prob: float = 1.0) -> None:
        super().__init__(prob)
        check_sigma(sigma)
        self.sigma = sigma
        self.displacement = torch.zeros(0)

    def draw(self, dims: int) -> None:
        """Draw the displacement of each point."""
        drawn = self.R.normal(0, self.sigma, (dims + 1, dims))
        self.displacement = torch.from_numpy(drawn).float()

    def positions(self, sides: Sequence[int]) -> Tensor:
        """Return the position that each output pixel samples, ``(dims, *sides)``.

        The displaced points are those drawn last.
        """
        size = torch.tensor(sides, dtype=torch.float32)
        points = torch.cat([torch.zeros(1, len(sides)), torch.eye(len(sides))]) * size / 2
        points = points + size / 4
        ones = torch.ones(len(points), 1)
        # (dims + 1) equations for each coordinate: [point, 1] @ affine = displaced point
        affine = torch.linalg.solve(torch.cat([points, ones], 1), points + self.displacement)
        axes = [torch.arange(side, dtype=torch.float32) for side in sides]
        pixels = torch.stack(torch.meshgrid(*axes, indexing="ij"))
        positions = torch.tensordot(affine[:-1].T, pixels, dims=1)
        return positions.add_(affine[-1].reshape(-1, *[1] * len(sides)))


class RandThreePointAffined(RandJointWarpd):
    """:class:`RandThreePointAffine` with the same points for all the named keys of a dictionary.

    Args:
        keys: images, labels and weight maps, of one spatial size.
        mode: for each key, or one for all, as :class:`transforms.RandElasticGridd`.
        sigma: as :class:`RandThreePointAffine`.
        prob: as :class:`RandThreePointAffine`.
    """

    def __init__(
        self,
        keys: KeysCollection,
        mode: str | Sequence[str] = "bilinear",
        sigma: float = 10.0,
        prob: float = 1.0,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, mode, RandThreePointAffine(sigma, prob), allow_missing_keys)
