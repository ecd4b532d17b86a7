"""What every network must pass; a network joins by one line in NETWORKS."""

import io
import math
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn

from pipeline.networks import UNet, UNet3Plus, UNetPlusPlus
from pipeline.networks.heads import GuidedOutput
from tests.pipeline.networks.paper_networks import ANDERSEN, ERICKSON_CAI

NARROW = (2, 3, 4, 5, 6)


@dataclass(frozen=True)
class Case:
    """A network, the images it takes, and how many heads it has in training."""

    build: type
    arguments: dict
    poolings: int = 4
    heads: int = 1
    guided: bool = False
    dynamic_sides: int = 2  # sides that the exported graph leaves open; each costs export time

    @property
    def multiples(self) -> tuple[int, ...]:
        """What the sides of a fitting image are multiples of, by axis."""
        if "strides" not in self.arguments:
            return (2**self.poolings,) * self.spatial_dims
        unshuffled = self.arguments.get("pixel_unshuffle", 1)
        by_axis = zip(*self.arguments["strides"], strict=True)
        return tuple(unshuffled * math.prod(factors) for factors in by_axis)

    @property
    def bias_before_norm(self) -> bool:
        return bool(self.arguments.get("norm")) or self.build is UNet3Plus

    def network(self) -> nn.Module:
        torch.manual_seed(0)
        return self.build(
            **{"spatial_dims": 2, "in_channels": 1, "out_channels": 1} | self.arguments
        )

    @property
    def spatial_dims(self) -> int:
        return self.arguments.get("spatial_dims", 2)

    def image(self, batch: int = 2, multiple: int = 2, odd: int = 0) -> Tensor:
        """Unequal sides: a multiple of the poolings each, less ``odd`` pixels."""
        sides = [
            pooled * (multiple + dim) - min(odd, pooled - 1)
            for dim, pooled in enumerate(self.multiples)
        ]
        channels = self.arguments.get("in_channels", 1)
        return torch.randn(batch, channels, *sides, generator=torch.Generator().manual_seed(1))


UNET_3D = {"spatial_dims": 3, "features": (2, 3, 4)}
DEEP = {"deep_supervision": True}
THICK = {"strides": [[2, 2, 1], [2, 2, 2]], "kernels": [[3, 3, 1], [3, 3, 3], [3, 3, 3]]}
"""Slices that are pooled and convolved across from the second level on."""
VERY_THICK = {
    "strides": [[2, 2, 1], [2, 2, 1], [2, 2, 2], [2, 1, 2]],
    "kernels": [[3, 3, 1], [3, 3, 1], [3, 3, 3], [3, 3, 3], [3, 3, 3]],
}
FLAT = {"strides": [[2, 1], [2, 2]], "kernels": [[3, 1], [3, 3], [3, 3]]}
GUIDED = {"deep_supervision": True, "classification_guided": True}
NETWORKS = {
    "unet": Case(UNet, {"features": NARROW}),
    "unet, batch norm, 3 classes": Case(
        UNet, {"features": (2, 3, 4), "norm": "batch", "in_channels": 2, "out_channels": 3}, 2
    ),
    "unet, linear, instance norm": Case(
        UNet, {"features": (2, 3, 4), "upsample": "linear", "norm": "instance", "act": "elu"}, 2
    ),
    "unet, pixel unshuffle": Case(
        UNet, {"features": (2, 3, 4), "pixel_unshuffle": 2, "out_channels": 2}, 3
    ),
    "unet, 3D": Case(UNet, UNET_3D | {"upsample": "linear"}, 2),
    "unet, thick slices": Case(UNet, UNET_3D | THICK | {"norm": "batch"}, 2),
    "unet, thick slices, linear": Case(UNet, UNET_3D | THICK | {"upsample": "linear"}, 2),
    "unet, deep": Case(UNet, {"features": NARROW, "norm": "batch"} | DEEP, heads=3),
    "unet, deep, pixel unshuffle": Case(
        UNet, {"features": (2, 3, 4, 5), "pixel_unshuffle": 2, "out_channels": 2} | DEEP, 4, heads=2
    ),
    "unet, deep, thick slices": Case(
        UNet, {"spatial_dims": 3, "features": NARROW} | VERY_THICK | DEEP, heads=3
    ),
    "unet, by axis, pixel unshuffle": Case(
        UNet, {"features": (2, 3, 4), "pixel_unshuffle": 2, "first_kernel_size": 5} | FLAT, 2
    ),
    "andersen": Case(UNet, ANDERSEN),
    "erickson and cai": Case(UNet, ERICKSON_CAI, 5),
    "unet++": Case(UNetPlusPlus, {"features": NARROW}),
    "unet++, deep": Case(UNetPlusPlus, {"features": (2, 3, 4)} | DEEP, 2, heads=2),
    "unet++, deep, 3 classes": Case(
        UNetPlusPlus, {"features": (2, 3, 4), "out_channels": 3, "norm": "batch"} | DEEP, 2, heads=2
    ),
    "unet++, 3D": Case(UNetPlusPlus, UNET_3D | DEEP, 2, heads=2),
    "unet++, thick slices": Case(UNetPlusPlus, UNET_3D | THICK | DEEP, 2, heads=2),
    "unet++, by axis": Case(UNetPlusPlus, {"features": (2, 3, 4)} | FLAT | DEEP, 2, heads=2),
    "unet 3+": Case(UNet3Plus, {"features": NARROW, "skip_channels": 2}, dynamic_sides=1),
    "unet 3+, guided": Case(
        UNet3Plus, {"features": NARROW, "skip_channels": 2} | GUIDED, heads=5, guided=True
    ),
    "unet 3+, 3D": Case(
        UNet3Plus, {"spatial_dims": 3, "features": NARROW, "skip_channels": 2} | DEEP, heads=5
    ),
    "unet 3+, thick slices": Case(
        UNet3Plus,
        {"spatial_dims": 3, "features": NARROW, "skip_channels": 2} | VERY_THICK | DEEP,
        heads=5,
    ),
}
EXPORTED = (
    "unet, batch norm, 3 classes", "unet, pixel unshuffle", "unet++, deep", "unet 3+",
    "unet, thick slices", "unet, deep", "unet++, by axis", "unet 3+, thick slices",
)  # fmt: skip


@pytest.fixture(params=NETWORKS.values(), ids=NETWORKS.keys())
def case(request):
    return request.param


def heads_of(output) -> list[Tensor]:
    if isinstance(output, GuidedOutput):
        return output.heads
    return output if isinstance(output, list) else [output]


def total(output) -> Tensor:
    guided = output.presence.sum() if isinstance(output, GuidedOutput) else 0
    return sum((head**2).sum() for head in heads_of(output)) + guided


def test_training_gives_every_head_and_evaluation_one_tensor(case):
    network, image = case.network(), case.image()
    classes = case.arguments.get("out_channels", 1)
    expected = (2, classes, *image.shape[2:])
    output = network(image)
    assert isinstance(output, GuidedOutput) == case.guided
    assert isinstance(output, list) == (case.heads > 1 and not case.guided)
    assert [tuple(head.shape) for head in heads_of(output)] == [expected] * case.heads
    answer = network.eval()(image)
    assert type(answer) is Tensor
    assert tuple(answer.shape) == expected


def test_gradients_reach_every_parameter(case):
    network = case.network()
    total(network(case.image())).backward()
    without = [
        name
        for name, weight in network.named_parameters()
        if weight.grad is None or not weight.grad.any()
    ]
    if case.bias_before_norm:  # its gradient is zero but for rounding: the norm takes it off again
        without = [n for n in without if not n.endswith("convolution.bias") and "branches" not in n]
    assert not without


def test_any_size_works_and_a_fitting_one_is_untouched(case):
    network = case.network().eval()
    image = case.image(batch=1, odd=3)
    with torch.no_grad():
        assert network(image).shape[2:] == image.shape[2:]
        fitting = case.image(batch=1)
        sides = image.shape[2:]
        far = [(0, whole - side) for whole, side in zip(fitting.shape[2:], sides, strict=True)]
        cut = fitting[(..., *map(slice, sides))]
        padded = nn.functional.pad(
            cut, [p for pair in reversed(far) for p in pair], mode="replicate"
        )
        expected = network(padded)[(..., *(slice(side) for side in cut.shape[2:]))]
        assert torch.equal(network(cut), expected)


def test_state_dict_round_trip(case):
    first, image = case.network(), case.image()
    first(image)  # moves the running statistics
    file = io.BytesIO()
    torch.save(first.state_dict(), file)
    file.seek(0)
    torch.manual_seed(7)
    second = case.build(**{"spatial_dims": 2, "in_channels": 1, "out_channels": 1} | case.arguments)
    with torch.no_grad():
        assert not torch.equal(first.eval()(image), second.eval()(image))
        second.load_state_dict(torch.load(file, weights_only=True))
        assert torch.equal(first(image), second(image))


def test_bfloat16_autocast_trains_and_stays_close(case):
    network, image = case.network(), case.image()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        total(network(image)).backward()
    assert all(weight.grad.isfinite().all() for weight in network.parameters())
    network.eval()
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        half = network(image).float()
    with torch.no_grad():
        full = network(image)
    open_gate = full > -99  # a gate may fall the other way in half precision
    assert (half - full)[open_gate & (half > -99)].abs().mean() < 0.05 * full.abs().mean() + 0.05


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_channels_last_gives_the_same(case):
    network, image = case.network().eval(), case.image()
    layout = torch.channels_last if case.spatial_dims == 2 else torch.channels_last_3d
    with torch.no_grad():
        expected = network(image)
        logits = network.to(memory_format=layout)(image.contiguous(memory_format=layout))
    torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-5)


def test_each_activation_and_its_gradient_have_their_channels_last(case):
    """Where one of the two has not, a backward pass takes several times as long."""
    network = case.network().train()
    layout = torch.channels_last if case.spatial_dims == 2 else torch.channels_last_3d
    network, layouts = network.to(memory_format=layout), []

    def watch(module, inputs, output):
        here = output.is_contiguous(memory_format=layout)
        output.register_hook(
            lambda gradient: layouts.append((here, gradient.is_contiguous(memory_format=layout)))
        )

    for module in network.modules():
        if isinstance(module, nn.ReLU | nn.LeakyReLU | nn.ELU):
            module.register_forward_hook(watch)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = network(case.image().contiguous(memory_format=layout))
    total(output).backward()
    assert set(layouts) == {(True, True)}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning:torch")
def test_traced_torchscript_gives_the_same_at_other_sizes(case):
    network = case.network().eval()
    with torch.no_grad():
        traced = torch.jit.trace(network, case.image(), check_trace=False)
        for other in (case.image(batch=1, multiple=3), case.image(batch=3, odd=3)):
            torch.testing.assert_close(traced(other), network(other))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_scripted_torchscript_gives_the_same_at_any_size(case):
    network = case.network()
    file = io.BytesIO()
    torch.jit.save(torch.jit.script(network), file)
    file.seek(0)
    with torch.no_grad(), torch.jit.optimized_execution(False):
        scripted = torch.jit.load(file)
        for training, image in (
            (True, case.image()), (False, case.image(batch=1)), (False, case.image(odd=3)),
        ):  # fmt: skip
            results = []
            for each in (network, scripted):
                torch.manual_seed(2)  # of dropout
                results.append(each.train(training)(image))
            assert_equal(*results)


def assert_equal(output, scripted) -> None:
    """TorchScript makes a type of its own of a named tuple."""
    if isinstance(output, GuidedOutput):
        assert_equal(output.heads, scripted.heads)
        assert_equal(output.presence, scripted.presence)
    elif isinstance(output, list):
        assert len(output) == len(scripted)
        for own, other in zip(output, scripted, strict=True):
            assert_equal(own, other)
    else:
        assert torch.equal(output, scripted)


@pytest.fixture(scope="module", params=EXPORTED)
def exported(request):
    """A network and its exported graph, batch and sides open."""
    case = NETWORKS[request.param]
    network = case.network().eval()
    dims = {0: torch.export.Dim("batch")}
    for side in range(case.dynamic_sides):
        dims[2 + side] = case.multiples[side] * torch.export.Dim(f"side{side}")
    return case, network, torch.export.export(network, (case.image(),), dynamic_shapes=(dims,))


def other_image(case: Case) -> Tensor:
    image = case.image(batch=3)
    return torch.cat([image, image], dim=2)


@pytest.mark.slow
def test_torch_export_gives_the_same_at_other_sizes(exported):
    case, network, program = exported
    with torch.no_grad():
        torch.testing.assert_close(
            program.module()(other_image(case)), network(other_image(case)), rtol=1e-4, atol=1e-5
        )


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_onnx_gives_the_same_at_other_sizes(exported):
    pytest.importorskip("onnxscript")
    runtime = pytest.importorskip("onnxruntime")
    case, network, program = exported
    file = io.BytesIO()
    torch.onnx.export(program, dynamo=True, verbose=False).save(file)
    session = runtime.InferenceSession(file.getvalue())
    image = other_image(case)
    (logits,) = session.run(None, {session.get_inputs()[0].name: image.numpy()})
    with torch.no_grad():
        torch.testing.assert_close(torch.from_numpy(logits), network(image), rtol=1e-3, atol=1e-4)
