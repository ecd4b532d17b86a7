"""``python -m pipeline.bundle.start run …``: ``python -m monai.bundle`` for a command of ours."""

import runpy
import sys
from importlib import import_module

from pipeline.children import end_with_parent
from pipeline.imports import no_garbage

if __name__ == "__main__":
    end_with_parent()
    with no_garbage():
        from pipeline.bundle.command_line import MONAI, begin

        import_module(MONAI)
    begin()
    sys.argv[0] = MONAI
    runpy.run_module(MONAI, run_name="__main__", alter_sys=True)
