"""Cases in memory: without loss, small, and not more than fit."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis.extra.numpy import arrays
from monai.data import MetaTensor
from monai.transforms import Compose, Lambdad, RandShiftIntensityd

from pipeline.data import cache, memory
from pipeline.data.cache import BoundedCache
from pipeline.data.compact import Codes, packed, size_of, unpacked


def image(values, side=64, seed=0):
    """An image of so many different values, as one of so many grey levels that was normalised."""
    levels = np.random.default_rng(seed).integers(0, values, (1, side, side))
    return torch.from_numpy(((levels - 7.3) / 31.7).astype(np.float32))


@pytest.mark.parametrize(("values", "share"), [(200, 0.3), (4000, 0.9)])
def test_an_image_of_few_values_takes_a_fraction(values, share):
    case = {"image": image(values), "label": (image(2) > 0).float()}
    kept = packed(case)
    plain = sum(value.nbytes for value in case.values())
    assert size_of(kept) < share * plain
    for key, value in unpacked(kept).items():
        assert torch.equal(value, case[key])
        assert value.dtype == torch.float32


@given(arrays(np.uint32, (3, 5)))
def test_every_bit_comes_back(bits):
    value = torch.from_numpy(bits.view(np.float32).copy())
    again = unpacked(packed({"image": value}))["image"]
    assert np.array_equal(again.numpy().view(np.uint32), bits)


def test_interpolated_values_stay_as_they_are():
    case = {"image": torch.rand(1, 300, 300)}
    kept = packed(case)
    assert not isinstance(kept["image"], Codes)
    again = unpacked(kept)["image"]
    assert torch.equal(again, case["image"])
    again.zero_()
    assert kept["image"].sum() > 0


def test_meta_data_come_back():
    tensor = MetaTensor(image(9), affine=torch.diag(torch.tensor([2.0, 3.0, 1.0, 1.0])))
    tensor.meta["filename_or_obj"] = "a.png"
    tensor.applied_operations.append({"class": "Flip"})
    again = unpacked(packed({"image": tensor}))["image"]
    assert isinstance(again, MetaTensor)
    assert torch.equal(again.as_tensor(), tensor.as_tensor())
    assert torch.equal(again.affine, tensor.affine)
    assert again.meta["filename_or_obj"] == "a.png"
    assert again.applied_operations == tensor.applied_operations
    again.meta["filename_or_obj"] = "b.png"
    assert unpacked(packed({"image": tensor}))["image"].meta["filename_or_obj"] == "a.png"


@pytest.fixture
def read():
    """The numbers of the cases that were read."""
    return []


def data_set(read, rate=1.0, cases=6):
    def load(number):
        read.append(number)
        return image(50, seed=number)

    steps = Compose([Lambdad("image", load), RandShiftIntensityd("image", 0.5, prob=1.0)])
    steps.set_random_state(0)
    return BoundedCache([{"image": n} for n in range(cases)], steps, cache_rate=rate)


def test_what_does_not_fit_is_read_each_time_and_is_the_same(read, monkeypatch, capsys):
    whole = data_set(read)
    assert capsys.readouterr().out.startswith("training: 6 of 6 cases kept in memory, 0.0 MiB\n")
    of_one = size_of(whole._cache[0])
    monkeypatch.setattr(cache, "available_memory", lambda: int(2 * 3.5 * of_one))
    read.clear()
    part = data_set(read)
    assert part.cache_num == 3
    printed = capsys.readouterr().out
    assert printed.startswith("training: 3 of 6 cases kept in memory")
    assert "read each time" in printed
    read.clear()
    for index in (0, 5, 2, 4, 0, -1):
        assert torch.equal(whole[index]["image"], part[index]["image"])
    assert read == [5, 4, 5]
    assert len(list(part)) == len(list(whole)) == 6  # a loop ends


def test_the_share_of_the_cases_is_an_upper_limit(read, capsys):
    assert data_set(read, rate=0.5).cache_num == 3
    assert data_set(read, rate=0.0).cache_num == 0
    assert capsys.readouterr().out.startswith("training: 3 of 6 cases kept in memory, 0.")


def test_memory_of_a_container_and_of_a_process(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "CGROUP", tmp_path)
    free = memory.available_memory()
    (tmp_path / "memory.max").write_text("1000000\n")
    (tmp_path / "memory.current").write_text("400000\n")
    assert memory.available_memory() == 600_000
    (tmp_path / "memory.stat").write_text("anon 5\ninactive_file 50000\n")
    assert memory.available_memory() == 650_000
    (tmp_path / "memory.max").write_text("max\n")
    assert memory.available_memory() == pytest.approx(free, rel=0.5)
