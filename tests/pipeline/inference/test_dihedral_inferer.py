import pytest
import torch
from monai.inferers import SimpleInferer

from pipeline.inference import DihedralInferer


def test_the_mean_of_probabilities_by_hand():
    # the network looks at the left column only: 4 of the 8 versions see each side on the left
    def left_only(image):
        return torch.where(torch.arange(image.shape[-1]) == 0, image, torch.zeros(()))

    image = torch.full((1, 1, 2, 2), 2.0)
    mean = DihedralInferer(SimpleInferer())(image, left_only).sigmoid()
    expected = (torch.tensor(2.0).sigmoid() + 0.5) / 2
    assert torch.allclose(mean, expected.expand_as(mean), atol=1e-6)


def test_one_version_is_the_plain_network():
    image = torch.randn(2, 1, 4, 6)
    network = torch.nn.Conv2d(1, 1, 3, padding=1)
    assert torch.equal(DihedralInferer(SimpleInferer(), 1)(image, network), network(image))


def test_the_result_turns_with_the_image():
    network = torch.nn.Conv2d(1, 1, 3, padding=1)
    infer = DihedralInferer(SimpleInferer())
    image = torch.randn(1, 1, 6, 6)
    turned = infer(image.rot90(1, (2, 3)), network)
    assert torch.allclose(turned, infer(image, network).rot90(1, (2, 3)), atol=1e-5)


@pytest.mark.parametrize("versions", [0, 9])
def test_versions_outside_one_to_eight(versions):
    with pytest.raises(ValueError, match="expected 1"):
        DihedralInferer(SimpleInferer(), versions)
