import json

import pytest
import torch
from ignite.engine import Events
from monai.inferers import SimpleInferer, SlidingWindowInferer

from pipeline.networks import UNet3Plus
from pipeline.networks.heads import GuidedOutput
from pipeline.states import read_state
from pipeline.training.autocast import AutocastInferer, in_precision
from tests.pipeline.training.test_resume import bare, folder_of, parts, stopped, train

__all__ = ["bare"]


def test_the_network_computes_in_bfloat16_and_its_output_is_float32():
    network, seen = torch.nn.Conv2d(1, 2, 1), []
    network.register_forward_hook(lambda module, inputs, output: seen.append(output.dtype))
    images = torch.rand(1, 1, 8, 8)
    for inferer in (SimpleInferer(), SlidingWindowInferer(roi_size=(4, 4))):
        output = AutocastInferer(inferer, "cpu")(images, network)
        assert output.dtype == torch.float32
        assert torch.allclose(output, network(images), atol=0.02)
    assert seen[0] == torch.bfloat16


def test_every_head_is_float32():
    network = UNet3Plus(
        spatial_dims=2, in_channels=1, out_channels=1, features=[4, 8, 8, 8, 8], skip_channels=4,
        deep_supervision=True, classification_guided=True,
    )  # fmt: skip
    output = AutocastInferer(SimpleInferer(), "cpu")(torch.rand(2, 1, 32, 32), network.train())
    assert isinstance(output, GuidedOutput)
    assert {part.dtype for part in (*output.heads, output.presence)} == {torch.float32}


def test_an_inferer_in_float32_is_left_as_it_is():
    inferer = SimpleInferer()
    assert in_precision(inferer, "float32", "cpu") is inferer


@pytest.fixture
def seen(monkeypatch):
    """The formats of the outputs of a training's network, before they become float32."""
    formats, call = set(), torch.nn.Conv2d.forward

    def watched(self, images):
        output = call(self, images)
        formats.add(output.dtype)
        return output

    monkeypatch.setattr(torch.nn.Conv2d, "forward", watched)
    return formats


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_training_computes_in_it_also_when_it_validates(start, seen, precision):
    workflow = start(precision=precision, max_epochs=1)
    formats = []
    workflow.trainer.add_event_handler(
        Events.ITERATION_COMPLETED, lambda: formats.append(set(seen))
    )
    workflow.run()
    assert set.union(*formats, seen) == {getattr(torch, precision)}
    weights = read_state(folder_of(workflow) / "last.pt")["network"].values()
    assert {weight.dtype for weight in weights} <= {torch.float32, torch.int64}


def test_a_resumed_training_in_bfloat16_ends_as_the_uninterrupted_one(start, bare, monkeypatch):
    settings = {"precision": "bfloat16", "max_epochs": 3}
    whole = train(start(**settings))
    half = stopped(start, **settings)
    assert parts(train(bare(half))) == parts(whole)


@pytest.mark.parametrize("in_hardware", [True, False])
def test_a_run_records_what_auto_means_and_is_resumed_in_it(
    start, bare, monkeypatch, seen, in_hardware
):
    capabilities = {"avx512_bf16": in_hardware}
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    half = stopped(start, max_epochs=2)
    recorded = json.loads(read_state(half / "last.pt")["run"]["config"])["precision"]
    assert recorded == ("bfloat16" if in_hardware else "float32")
    seen.clear()
    capabilities["avx512_bf16"] = not in_hardware  # another machine
    train(bare(half))
    assert seen == {getattr(torch, recorded)}


def test_an_unknown_precision_is_refused(start):
    with pytest.raises(ValueError, match="precision: found 'half', expected one of auto, float32"):
        start(precision="half")
