"""``python -m pipeline.bundle.start run …``: ``python -m monai.bundle`` for a command of ours."""

import runpy
import sys

from pipeline.bundle.command_line import MONAI, begin
from pipeline.children import end_with_parent

if __name__ == "__main__":
    begin()
    end_with_parent()
    sys.argv[0] = MONAI
    runpy.run_module(MONAI, run_name="__main__", alter_sys=True)
