import pytest
import torch

from pipeline.precision import bfloat16_instructions, chosen_precision, computing_in


@pytest.mark.parametrize(
    ("capabilities", "chosen"),
    [
        ({"avx512_bf16": True, "amx_bf16": False}, "bfloat16"),
        ({"amx_bf16": True}, "bfloat16"),
        ({"avx512_f": True, "avx512_bf16": False}, "float32"),
        ({"bf16": True}, "float32"),  # ARM, where it was not measured
    ],
)
def test_auto_is_bfloat16_where_it_was_measured_to_be_faster(monkeypatch, capabilities, chosen):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    assert chosen_precision("auto", "cpu") == chosen
    assert chosen_precision("float32", "cpu") == "float32"
    assert chosen_precision("bfloat16", "cpu") == "bfloat16"


def test_a_torch_that_does_not_say_computes_in_float32(monkeypatch):
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    assert bfloat16_instructions() is None
    assert chosen_precision("auto", "cpu") == "float32"


@pytest.mark.parametrize(("in_hardware", "chosen"), [(True, "bfloat16"), (False, "float32")])
def test_auto_on_a_card_is_what_the_card_has(monkeypatch, in_hardware, chosen):
    def is_supported(including_emulation):
        return in_hardware or including_emulation

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", is_supported)
    assert chosen_precision("auto", torch.device("cuda", 0)) == chosen


def test_auto_on_a_mac_is_float32():
    assert chosen_precision("auto", "mps") == "float32"


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_convolutions_compute_in_it(precision):
    with computing_in(precision, "cpu"):
        output = torch.nn.Conv2d(1, 1, 1)(torch.zeros(1, 1, 2, 2))
    assert output.dtype == getattr(torch, precision)
