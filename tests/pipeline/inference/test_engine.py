from typing import get_args

import pytest
import torch

from pipeline.bundle.knobs import knob_error
from pipeline.inference import engine as engines
from pipeline.inference.compiled_network import MAX_SHAPES
from pipeline.inference.engine import Engine, EngineTrial, chosen_engine, in_engine, usable_engines
from pipeline.networks import UNet, UNet3Plus, UNetPlusPlus

torch.manual_seed(0)
NETWORKS = {
    "unet": UNet(2, 1, 1, features=[4, 8, 8], norm="batch"),
    "volumes": UNet(3, 1, 2, features=[4, 8, 8], norm="batch"),
    "unet++": UNetPlusPlus(2, 1, 3, features=[4, 8, 8, 8, 8], deep_supervision=True),
    "unet3+": UNet3Plus(2, 1, 1, features=[4, 8, 8, 8, 8], skip_channels=4, deep_supervision=True),
}


@pytest.fixture
def machine(monkeypatch):
    """Return a function that says what this machine has."""

    def has(bfloat16=False, openvino=False, onnxruntime=False):
        monkeypatch.setattr(engines, "computes_in_bfloat16", lambda device: bfloat16)
        monkeypatch.setattr(engines, "has_openvino", lambda: openvino)
        monkeypatch.setattr(engines, "has_onnxruntime", lambda: onnxruntime)

    return has


def trial(engine, accepted=True):
    return EngineTrial(engine=engine, seconds=1.0, accepted=accepted)


TRIALS = [trial("openvino_bfloat16"), trial("bfloat16", False), trial("openvino"), trial("float32")]


@pytest.mark.parametrize("name", ["auto", *get_args(Engine)])
def test_every_engine_may_be_asked_for(name):
    assert not knob_error("engine", name)


def test_engines_are_those_that_the_machine_has(machine):
    machine()
    assert list(usable_engines("cpu")) == ["float32"]
    machine(openvino=True)
    assert list(usable_engines("cpu")) == ["float32", "openvino"]
    machine(bfloat16=True, openvino=True)
    assert list(usable_engines("cpu")) == [
        "float32", "bfloat16", "openvino", "openvino_bfloat16"
    ]  # fmt: skip
    assert list(usable_engines("cuda", int8=True)) == ["float32", "bfloat16"]
    machine(openvino=True, onnxruntime=True)
    assert list(usable_engines("cpu", int8=True)) == [
        "float32", "onnxruntime", "openvino", "openvino_int8"
    ]  # fmt: skip


def test_auto_is_the_fastest_accepted_one_that_the_machine_has(machine):
    machine(bfloat16=True, openvino=True)
    assert chosen_engine("auto", TRIALS, "cpu") == "openvino_bfloat16"
    machine(openvino=True)
    assert chosen_engine("auto", TRIALS, "cpu") == "openvino"
    machine(bfloat16=True)
    assert chosen_engine("auto", TRIALS, "cpu") == "float32"
    assert chosen_engine("auto", [], "cpu") == "float32"


def test_an_engine_that_the_machine_lacks_is_refused_with_its_remedy(machine):
    machine(bfloat16=True)
    with pytest.raises(ValueError, match=r"expected one of auto, float32, bfloat16; OpenVINO"):
        chosen_engine("openvino", TRIALS, "cpu")
    machine(openvino=True)
    with pytest.raises(ValueError, match=r"expected one of auto, float32, openvino$"):
        chosen_engine("openvino_bfloat16", TRIALS, "cpu")
    with pytest.raises(ValueError, match="an evaluation on this machine makes the program"):
        chosen_engine("openvino_int8", TRIALS, "cpu")
    with pytest.raises(ValueError, match="ONNX Runtime comes with: pip install"):
        chosen_engine("onnxruntime", TRIALS, "cpu")


def test_a_quantised_program_is_used_where_it_lies(machine):
    machine(openvino=True)
    trials = [trial("openvino_int8"), *TRIALS]
    assert chosen_engine("auto", trials, "cpu", int8=True) == "openvino_int8"
    assert chosen_engine("auto", trials, "cpu") == "openvino"


@pytest.mark.parametrize("engine", ["bfloat16", "onnxruntime", "openvino"])
@pytest.mark.parametrize("name", NETWORKS)
def test_an_engine_predicts_what_the_network_predicts(name, engine):
    if engine != "bfloat16":
        pytest.importorskip(engine, reason="an extra")
    network = NETWORKS[name].eval()
    computed = in_engine(network, engine, "cpu").eval()
    torch.manual_seed(0)
    shape = (16, 16, 16) if name == "volumes" else (32, 48)
    with torch.inference_mode():
        for batch in (2, 1):
            images = torch.rand(batch, 1, *shape)
            output, expected = computed(images), network(images)
            assert output.dtype == torch.float32
            tolerance = 0.05 if engine == "bfloat16" else 1e-4
            assert torch.allclose(output.sigmoid(), expected.sigmoid(), atol=tolerance)


def test_the_output_of_openvino_outlives_the_next_call():
    pytest.importorskip("openvino", reason="an extra")
    computed = in_engine(NETWORKS["unet"].eval(), "openvino", "cpu")
    first = computed(torch.zeros(1, 1, 32, 32))
    before = first.clone()
    computed(torch.ones(1, 1, 32, 32))
    assert torch.equal(first, before)


def test_few_programs_are_kept():
    pytest.importorskip("openvino", reason="an extra")
    computed = in_engine(NETWORKS["unet"].eval(), "openvino", "cpu")
    for side in range(8, 8 * (MAX_SHAPES + 2), 8):
        computed(torch.zeros(1, 1, side, 8))
    assert len(computed.programs) == MAX_SHAPES
    assert (1, 1, 8, 8) not in computed.programs
