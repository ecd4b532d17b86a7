import pytest
import torch

from pipeline.inference import engine
from pipeline.inference.engine import EngineTrial, in_engine
from pipeline.inference.int8_program import Int8Program, int8_path
from pipeline.inference.trained_model import TrainedModel, save_model
from pipeline.networks import UNet, UNet3Plus, UNetPlusPlus

pytest.importorskip("nncf", reason="an extra")

NETWORKS = {
    "unet": lambda: UNet(2, 1, 1, features=[4, 8, 8], norm="batch"),
    "leaky": lambda: UNet(2, 2, 3, features=[4, 8, 8], norm="instance", act="leaky_relu"),
    "volumes": lambda: UNet(3, 1, 2, features=[4, 8, 8], norm="batch"),
    "unet++": lambda: UNetPlusPlus(2, 1, 3, features=[4, 8, 8, 8, 8], deep_supervision=True),
    "unet3+": lambda: UNet3Plus(2, 1, 1, features=[4, 8, 8, 8, 8], skip_channels=4),
}


def network_of(name="unet"):
    torch.manual_seed(0)
    network = NETWORKS[name]()
    with torch.inference_mode():
        for _ in range(20):  # statistics of batch norm
            network.train()(torch.rand(2, *sides(name)))
    return network.eval()


def sides(name="unet"):
    return (2, 32, 48) if name == "leaky" else (1, 16, 16, 16) if name == "volumes" else (1, 32, 48)


def windows_of(name="unet", count=6):
    return list(torch.rand(count, 1, *sides(name), generator=torch.Generator().manual_seed(1)))


@pytest.fixture(autouse=True)
def with_openvino(monkeypatch):
    monkeypatch.setattr(engine, "has_openvino", lambda: True)


@pytest.fixture
def model(tmp_path):
    network = network_of()
    save_model(tmp_path / "model.pt", network.state_dict(), bundle="b")
    return TrainedModel(tmp_path / "model.pt", network)


@pytest.mark.parametrize("name", NETWORKS)
def test_integers_of_8_bits_predict_nearly_what_the_network_predicts(tmp_path, name):
    network = network_of(name)
    save_model(tmp_path / "model.pt", network.state_dict(), bundle="b")
    program = TrainedModel(tmp_path / "model.pt", network).quantise(windows_of(name))
    computed = in_engine(network, "openvino_int8", "cpu", program)
    images = torch.rand(3, *sides(name))
    with torch.inference_mode():
        output, expected = computed(images), network(images)
        assert output.dtype == torch.float32
        both = torch.stack([output.flatten(), expected.flatten()])
        assert torch.corrcoef(both)[0, 1] > 0.8  # of few channels and random weights
        assert not torch.equal(output, expected), "it is not quantised"
        each = torch.cat([computed(image[None]) for image in images])
        assert torch.equal(output, each), "a window does not depend on the others of its batch"


def test_a_window_of_another_size_is_computed_in_float32(model):
    computed = in_engine(model.network, "openvino_int8", "cpu", model.quantise(windows_of()))
    images = torch.rand(1, 1, 64, 32)
    with torch.inference_mode():
        assert torch.allclose(computed(images), model.network(images), atol=1e-4)


def test_windows_of_several_shapes_have_no_one_program(model):
    with pytest.raises(ValueError, match=r"windows of one shape are expected, found \(1, 1, 16"):
        model.quantise([torch.rand(1, 1, 32, 48), torch.rand(1, 1, 16, 16)])
    with pytest.raises(ValueError, match="found no windows"):
        model.quantise([])


def trial(program, accepted=True):
    return EngineTrial(
        engine="openvino_int8", seconds=0.1, accepted=accepted, program_sha256=program.sha256
    )


def test_an_accepted_program_is_kept_beside_the_weights_and_used_by_the_next_process(model):
    program = model.quantise(windows_of())
    model.store(model.operating_point, [trial(program)])
    again = TrainedModel(model.path, network_of())
    assert again.engine("auto") == "openvino_int8"
    images = windows_of()[0]
    with torch.inference_mode():
        expected = in_engine(model.network, "openvino_int8", "cpu", program)(images)
        assert torch.equal(again.network_in("openvino_int8")(images), expected)


def test_a_program_that_lost_too_much_is_not_kept(model):
    program = model.quantise(windows_of())
    model.store(model.operating_point, [trial(program, accepted=False)])
    assert not int8_path(model.path).exists()
    assert TrainedModel(model.path, network_of()).engine("auto") == "float32"


def test_a_program_that_is_not_the_measured_one_is_refused(model):
    program = model.quantise(windows_of())
    model.store(model.operating_point, [trial(program)])
    Int8Program(program.content[:-1]).write(model.path)
    again = TrainedModel(model.path, network_of())
    with pytest.raises(ValueError, match=r"int8.zip: not the program that .* evaluate again"):
        again.network_in("openvino_int8")
    int8_path(model.path).unlink()
    assert again.engine("auto") == "float32", "a package leaves the program out"
