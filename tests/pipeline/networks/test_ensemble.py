import pytest
import torch

from pipeline.networks import Ensemble, UNet, UNetPlusPlus


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_an_ensemble_of_networks_with_heads_as_torchscript():
    torch.manual_seed(0)
    deep = UNetPlusPlus(2, 1, 1, (2, 3), deep_supervision=True)
    ensemble = Ensemble([UNet(2, 1, 1, (2, 3)), deep]).eval()
    image = torch.randn(1, 1, 9, 8)
    with torch.no_grad():
        assert torch.equal(torch.jit.script(ensemble)(image), ensemble(image))


def test_heads_of_a_member_in_training_are_refused():
    ensemble = Ensemble([UNetPlusPlus(2, 1, 1, (2, 3), deep_supervision=True)])
    with pytest.raises(TypeError, match="a member in training"):
        ensemble(torch.zeros(1, 1, 8, 8))
