"""Seconds of each step of a hand-over, of a bundle of 31 million parameters.

The U-Net of 64 to 1024 filters is trained for one step and evaluated on made images, packed,
signed, audited and received. The steps are timed within one process; a command of its own adds the
imports, whose time is that of `start`.

    python benchmarks/handing_over.py
"""

import tempfile
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from pipeline import cli
from pipeline.bundle import Bundle

IMPORTED = ("sharing.pack", "sharing.registry", "sharing.receive", "sharing.protocol")
ROOT = Path(__file__).parents[1]
BUNDLE = ROOT / "bundles" / "membranes"
LARGE = {
    "network_def#features": [64, 128, 256, 512, 1024],
    "network_def#pixel_unshuffle": 1,
    "patch": [64, 64],
    "window": [128, 128],
    "max_epochs": 1,
    "steps_per_epoch": 1,
    "batch_size": 1,
    "val_interval": 1,
    "tta_versions": 1,
}


def timed(what: str, call: Callable[[], object]) -> None:
    began = time.perf_counter()
    call()
    print(f"| {what} | {time.perf_counter() - began:.1f} |", flush=True)


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cohort, package, keys = folder / "cohort", folder / "bundle.zip", folder / "keys"
        cli.main(
            [
                *["data", "phantom", "--kind", "cells", "--count", "10", "--size", "128", "--out"],
                str(cohort),
            ]
        )
        places = {
            "dataset_dir": str(cohort),
            "models_dir": str(folder / "m"),
            "tracking_dir": str(folder / "t"),
        }
        training = {key: value for key, value in LARGE.items() if key != "tta_versions"}
        Bundle(BUNDLE, overrides={**places, **training, "run_name": "large"}).start("training")
        evaluating = {**places, **LARGE, "output_dir": str(folder / "e")}
        Bundle(BUNDLE, overrides=evaluating).start("evaluating")
        cli.main(["key", "new", "--out", str(keys)])
        private, public = keys / "private.pem", keys / "public.pem"
        pack = ["pack", str(BUNDLE), "--run", "large", "--tracking", str(folder / "t")]
        calls = {
            "pack": [*pack, "--out", str(package)],
            "sign": ["sign", str(package), "--key", str(private)],
            "audit": ["audit", str(package)],
            "verify": ["verify", str(package), "--key", str(public)],
            "receive": ["receive", str(package), "--key", str(public), "--out", str(folder / "r")],
        }
        print("| step | s |\n|---|---|")
        timed("start", lambda: [import_module(f"pipeline.{name}") for name in IMPORTED])
        for what, words in calls.items():
            timed(what, lambda words=words: cli.main(words))


if __name__ == "__main__":
    main()
