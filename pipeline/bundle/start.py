"""``python -m pipeline.bundle.start run …``: ``python -m monai.bundle``, with errors of one line.

What MONAI says before a bundle's own ``initialize`` runs (warnings, a stack trace of an override
whose parent does not exist) is filtered or becomes one line.
"""

import runpy
import sys

from pipeline.bundle.quiet import ignore_foreign_warnings
from pipeline.errors import show_one_line


def main() -> None:
    """Run MONAI's command line."""
    show_one_line()
    ignore_foreign_warnings()
    sys.argv[0] = "monai.bundle"
    runpy.run_module("monai.bundle", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
