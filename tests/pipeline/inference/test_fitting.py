"""Inference goes on in smaller steps where memory runs out."""

import multiprocessing
import resource

import psutil
import pytest
import torch
from monai.inferers import SimpleInferer, SlidingWindowInferer

from pipeline.errors import error_line
from pipeline.inference import DihedralInferer, OverlapTileInferer, stitching
from pipeline.inference.fitting import FittingInferer, fitting
from pipeline.memory_errors import is_out_of_memory, memory_line
from pipeline.networks import UNet

ERRORS = [
    MemoryError(),
    RuntimeError("[enforce fail at alloc_cpu] . DefaultCPUAllocator: can't allocate memory"),
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    RuntimeError("could not create a primitive"),
]


class Card:
    """A network that takes so many pixels at a time."""

    def __init__(self, pixels, error=ERRORS[0]):
        self.pixels, self.error, self.calls = pixels, error, []

    def __call__(self, batch):
        self.calls.append(tuple(batch.shape))
        if batch.numel() > self.pixels:
            raise self.error
        return 2 * batch


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_first_the_batch_then_the_window_is_halved_and_stays_so(error, capsys):
    card, image = Card(64 * 128, error), torch.rand(1, 1, 256, 256)
    inferer = fitting(SlidingWindowInferer((128, 128), sw_batch_size=4, mode="gaussian"))
    torch.testing.assert_close(inferer(image, card), 2 * image)
    assert capsys.readouterr().out.splitlines() == [
        "out of memory: goes on with 2 windows at a time",
        "out of memory: goes on with 1 windows at a time",
        "out of memory: goes on with windows of 64 x 128",
    ]
    assert inferer.reduced == "windows of 64 x 128, since memory ran out, and not of 128 x 128"
    card.calls.clear()
    inferer(image, card)
    assert set(card.calls) == {(1, 1, 64, 128)}


def test_tiles_become_fewer_then_smaller(capsys):
    card, image = Card(24 * 32), torch.rand(1, 1, 50, 70)
    inferer = fitting(OverlapTileInferer(tile=32, margin=4, multiple=4, batch_size=4))
    torch.testing.assert_close(inferer(image, card), 2 * image)
    assert capsys.readouterr().out.splitlines() == [
        "out of memory: goes on with 2 tiles at a time",
        "out of memory: goes on with 1 tiles at a time",
        "out of memory: goes on with tiles of 20 x 32",
    ]
    assert inferer.reduced == ""  # the result is the same
    with pytest.raises(MemoryError):
        inferer(image, Card(11 * 12))  # a margin twice and one multiple


@torch.no_grad()
@pytest.mark.parametrize("padding", ["valid", "same"])
def test_smaller_tiles_of_a_network_give_the_same(padding):
    torch.manual_seed(0)
    network = UNet(2, 1, 1, features=(3, 4, 5), padding=padding).eval()
    margin, tile = (20, 76) if padding == "valid" else (24, 88)
    image = torch.rand(1, 1, 61, 130)
    inferer = OverlapTileInferer(tile, margin, multiple=4)
    expected = inferer(image, network)
    while inferer.shrink(dims=2):
        torch.testing.assert_close(inferer(image, network), expected)
    assert set(inferer.tile) == {2 * margin + 4}


@pytest.mark.parametrize("limit", [None, 100], ids=["32 bits", "8 bits"])
def test_all_symmetries_of_an_image_see_the_same_windows(limit, monkeypatch):
    """Memory runs out at the third symmetry; the first two are made again."""
    if limit:
        monkeypatch.setattr(stitching, "MAX_FLOAT_BYTES", limit)
    window_mean = Card(64 * 64)
    calls = iter(range(10**6))

    def network(windows):  # depends on the window, as a network does
        window_mean.pixels = 64 * 64 if next(calls) < 20 else 32 * 64
        window_mean(windows)
        return windows - windows.mean((2, 3), keepdim=True)

    image = 5 * torch.rand(1, 1, 128, 128)
    found = DihedralInferer(SlidingWindowInferer((64, 64), 1))(image, network)
    expected = DihedralInferer(SlidingWindowInferer((32, 64), 1))(image, network)
    assert window_mean.calls[0] == (1, 1, 64, 64)
    assert found.dtype == (torch.uint8 if limit else torch.float32)
    torch.testing.assert_close(found, expected)


def test_what_does_not_fit_at_all_and_other_errors_are_passed_on():
    inferer = fitting(SlidingWindowInferer((64, 64), sw_batch_size=1))
    with pytest.raises(MemoryError):
        inferer(torch.rand(1, 1, 64, 64), Card(10))
    with pytest.raises(RuntimeError, match="a bug"):
        inferer(torch.rand(1, 1, 64, 64), Card(10, RuntimeError("a bug")))
    with pytest.raises(MemoryError):
        fitting(SimpleInferer())(torch.rand(1, 1, 64, 64), Card(10))


def test_an_inferer_is_wrapped_once():
    inner = SimpleInferer()
    assert fitting(fitting(inner)).inferer is inner
    assert isinstance(DihedralInferer(SimpleInferer()).inferer, FittingInferer)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_out_of_memory_is_one_line(error):
    assert is_out_of_memory(error)
    line = error_line(error)
    assert line == memory_line(error)
    assert "--batch_size" in line
    assert "--patch" in line


def test_all_that_torch_says_where_memory_runs_out_is_known():
    """A real network under RLIMIT_AS of 64 KiB to 4 MiB, each limit in a process of its own."""
    context = multiprocessing.get_context("fork")
    said = context.SimpleQueue()
    for kibibytes in range(64, 4096, 256):
        child = context.Process(target=_infer_within, args=(kibibytes * 1024, said))
        child.start()
        child.join()
        assert child.exitcode == 0
        assert said.get() in {"fits", "out of memory"}


def _infer_within(limit, said):
    network = UNet(spatial_dims=2, in_channels=1, out_channels=1, features=(16, 16)).eval()
    used = psutil.Process().memory_info().vms
    resource.setrlimit(resource.RLIMIT_AS, (used + limit, resource.RLIM_INFINITY))
    try:
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            network(torch.zeros(1, 1, 128, 128))
        said.put("fits")
    except (MemoryError, RuntimeError) as error:
        said.put("out of memory" if is_out_of_memory(error) else str(error))


def test_a_killed_worker_is_one_line():
    error = RuntimeError("DataLoader worker (pid(s) 41, 42) exited unexpectedly")
    assert error_line(error).startswith("a worker of the data loader was killed (41, 42)")
