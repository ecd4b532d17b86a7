"""``python -m pipeline.bundle.start run …``: ``python -m monai.bundle`` for a command of ours."""

import runpy
import sys

from pipeline.children import end_with_parent
from pipeline.imports import MONAI, import_monai
from pipeline.shared_processor import share_processor

if __name__ == "__main__":
    end_with_parent()
    share_processor()
    import_monai()
    from pipeline.bundle.command_line import begin

    begin()
    sys.argv[0] = MONAI
    runpy.run_module(MONAI, run_name="__main__", alter_sys=True)
