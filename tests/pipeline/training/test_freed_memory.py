import platform
import subprocess
import sys

import pytest

PROGRAM = """
import psutil, sys, torch
from pipeline.training.freed_memory import keep_freed_memory
if sys.argv[1] == "keep":
    assert keep_freed_memory()
before = psutil.Process().memory_info().rss
for _ in range(40):
    block = torch.ones(50 * 2**20)
    del block
print((psutil.Process().memory_info().rss - before) / 2**20)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
@pytest.mark.parametrize(("mode", "least", "most"), [("keep", 190, 2000), ("free", -50, 30)])
def test_the_memory_of_a_freed_tensor_is_used_again(mode, least, most):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, mode], capture_output=True, text=True, check=True
    )
    assert least < float(done.stdout) < most  # MiB; 40 tensors of 200 without reuse: 8000
