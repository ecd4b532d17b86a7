"""``python -m pipeline.planning.wiring BUNDLE …``: write the wiring of bundles anew."""

import sys
from pathlib import Path

from pipeline.planning.wiring import rewire

for folder in sys.argv[1:]:
    for path in rewire(Path(folder)):
        print(path)
