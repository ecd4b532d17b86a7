import shutil
import subprocess
import sys
import time

import psutil
import pytest
import torch

from pipeline.doctor import machine
from pipeline.doctor.machine import bf16, busy_processes, device, load, memory, threads


@pytest.mark.parametrize(
    ("number", "level", "remedy"),
    [(8, "slow", "--set threads=4"), (2, "note", "OMP_NUM_THREADS=4"), (4, "fine", "")],
)
def test_threads_are_compared_with_the_cores(number, level, remedy):
    check = threads(number, 4)
    assert check.level == level
    assert remedy in check.remedy


def test_a_container_has_fewer_cores_than_its_machine(tmp_path, monkeypatch):
    quota = tmp_path / "cpu.max"
    monkeypatch.setattr(machine, "CPU_QUOTA", quota)
    monkeypatch.setattr(psutil.Process, "cpu_affinity", lambda _: range(64), raising=False)
    for text, cores in (("max 100000\n", 64), ("150000 100000\n", 2)):
        quota.write_text(text)
        assert machine.usable_cores() == cores
    quota.unlink()
    assert machine.usable_cores() == 64


def test_a_busy_process_is_named_and_this_one_is_not(monkeypatch):
    monkeypatch.setattr(machine, "BUSY_PERCENT", 1)
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as process:
        try:
            deadline = time.monotonic() + 60
            while not (names := [name for name, _ in busy_processes() if str(process.pid) in name]):
                assert time.monotonic() < deadline
        finally:
            process.kill()
    assert names
    assert not [name for name, _ in busy_processes() if f"({psutil.Process().pid})" in name]


def test_the_load_is_slow_from_half_of_the_cores_on():
    assert load([], 2).level == "fine"
    assert load([("backup (7)", 40.0)], 2).level == "fine"
    check = load([(f"train ({number})", 90.0) for number in range(5)], 2)
    assert check.level == "slow"
    assert check.value == "of a core: train (0) 90 %, train (1) 90 %, train (2) 90 % and 2 more"


@pytest.mark.parametrize(
    ("instructions", "level", "value"),
    [
        (["avx512_bf16"], "fine", "in hardware (avx512_bf16)"),
        ([], "note", "not in hardware"),
        (None, "note", "not known: this version of torch does not say"),
    ],
)
def test_bf16_is_what_the_processor_says(instructions, level, value):
    check = bf16(instructions)
    assert (check.level, check.value) == (level, value)


def test_little_memory_fails():
    assert memory(2**29) == (
        "memory", "0.5 GiB free", "fails", "end other programs: a small training takes 1.0 GiB"
    )  # fmt: skip
    assert memory(2**33).level == "fine"


def test_a_graphics_card_that_torch_leaves_out_is_slow(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(shutil, "which", lambda _: None)
    assert device().level == "fine"
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(torch.version, "cuda", None)
    check = device()
    assert check.level == "slow"
    assert check.value.endswith("but torch is built without CUDA")
