"""Covariances of values that come in parts."""

import torch
from torch import Tensor


class Covariances:
    """Means and covariances of values over samples that are added part by part.

    Example:
        >>> covariances = Covariances()
        >>> covariances.add(torch.tensor([[0.0, 1.0], [0.0, 3.0]]))
        >>> covariances.add(torch.tensor([[2.0], [6.0]]))
        >>> covariances.means.tolist()
        [1.0, 3.0]
        >>> covariances.matrix().round(decimals=3).tolist()
        [[0.667, 2.0], [2.0, 6.0]]
    """

    def __init__(self) -> None:
        self.samples = 0
        self.sums: Tensor | float = 0.0
        self.products: Tensor | float = 0.0

    def add(self, values: Tensor) -> None:
        """Add samples ``(values, samples)``."""
        exact = values.double()
        self.samples += exact.shape[1]
        self.sums = self.sums + exact.sum(1)
        self.products = self.products + exact @ exact.mT

    @property
    def means(self) -> Tensor:
        """Mean of each value."""
        return torch.as_tensor(self.sums) / self.samples

    def matrix(self) -> Tensor:
        """Return the covariances ``(values, values)``, over all samples."""
        return torch.as_tensor(self.products) / self.samples - self.means.outer(self.means)
