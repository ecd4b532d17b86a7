"""``python -m pipeline.bundle.start run …``: ``python -m monai.bundle`` for a command of ours."""

import runpy
import sys

from pipeline.bundle.command_line import MONAI, begin

if __name__ == "__main__":
    begin()
    sys.argv[0] = MONAI
    runpy.run_module(MONAI, run_name="__main__", alter_sys=True)
