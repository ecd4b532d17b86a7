"""Seconds that a one-epoch run takes beyond its epoch: imports, reading, start and end of tracking.

Runs the bundle's command on phantoms with an existing tracking database, and beside it, in turns,
the interpreter that does no more than import MONAI, which every bundle run does.

    python benchmarks/start_up.py [--rounds 5]
"""

import argparse
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from markdown import print_header, print_row
from turns import ratio

from pipeline.data.phantom import write_cells

CONFIG = Path(__file__).parents[1] / "bundles" / "membranes" / "configs" / "train.yaml"
EPOCH = re.compile(r"^ +1 .*\| \S+ +(?P<seconds>[\d.]+)  ", re.MULTILINE)


def timed(*arguments: str) -> tuple[float, str]:
    """Wall time and output of a fresh interpreter."""
    start = time.perf_counter()
    command = [sys.executable, "-W", "ignore", *arguments]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return time.perf_counter() - start, done.stdout


def training(folder: Path) -> float:
    """Wall time of a one-epoch run without the epoch itself, its validation included."""
    seconds, output = timed(
        *("-m", "monai.bundle", "run", "training", "--config_file", str(CONFIG)),
        *("--dataset_dir", str(folder / "data"), "--models_dir", str(folder / "models")),
        *("--tracking_dir", str(folder / "mlruns"), "--window", "[256,256]"),
        *("--max_epochs", "1", "--val_interval", "1", "--steps_per_epoch", "4"),
    )
    epoch = EPOCH.search(output)
    if epoch is None:
        raise RuntimeError(f"no line of an epoch in {output!r}")
    return seconds - float(epoch["seconds"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_cells(folder / "data", count=10, size=256, seed=0)
        training(folder)  # makes the database
        pairs = [(training(folder), timed("-c", "import monai.bundle")[0]) for _ in range(rounds)]
    runs, imports = zip(*pairs, strict=True)
    print_header("a run of one epoch, beyond its epoch, s", "import of MONAI alone, s", "ratio")
    print_row(statistics.median(runs), statistics.median(imports), ratio(runs, imports))


if __name__ == "__main__":
    main()
