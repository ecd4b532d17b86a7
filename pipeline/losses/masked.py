"""The loss of filling in what is hidden of an image."""

from typing import Any

from torch import Tensor, nn

from pipeline.losses.checks import at_least_single, check_same_shape, check_weight_map


class MaskedL1Loss(nn.Module):
    """Mean absolute difference of what is predicted and what was hidden.

    Xie et al., SimMIM, CVPR 2022, section 3.4::

        |y_M - x_M|_1 / Omega(x_M)

    with y the prediction, x the image, M what was hidden and Omega the number of its values, here
    over the batch. What is seen adds nothing: a network that copied it would learn nothing. Of
    several heads the most refined one learns.

    Shapes:
        Prediction and target ``(B, C, *spatial)``; mask ``(B, 1, *spatial)``, 1 where the image is
        hidden and 0 elsewhere.

    Raises:
        ValueError: a target or mask of another shape.

    Example:
        >>> import torch
        >>> predicted, image = torch.tensor([[[5.0, 1.0, 9.0]]]), torch.tensor([[[2.0, 2.0, 2.0]]])
        >>> MaskedL1Loss()(predicted, image, torch.tensor([[[1.0, 1.0, 0.0]]]))  # (3 + 1) / 2
        tensor(2.)
    """

    def forward(self, prediction: Any, target: Tensor, mask: Tensor) -> Tensor:
        """Return the loss of grey values against those of the image."""
        while not isinstance(prediction, Tensor):  # heads, the most refined one first
            prediction = prediction[0]
        predicted = at_least_single(prediction)
        check_same_shape(type(self).__name__, predicted, target)
        check_weight_map(type(self).__name__, mask, predicted)
        difference = (predicted - target.to(predicted)).abs() * mask
        return difference.sum() / (mask.sum() * target.shape[1])
