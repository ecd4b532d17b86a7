"""Count the alarms of `unet-school watch` over made weeks, without and with a shift.

The test images of a cohort, which neither trained nor chose the model, are inferred as they are and
with each shift; their rows in the table of inferences are drawn into weeks without replacement.

    python benchmarks/watching.py BUNDLE --data DIR --model MODEL.pt
"""

import argparse
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.cli import main as unet_school
from pipeline.data import read_datalist
from pipeline.inference.recorder import VARIABLE, Inference, InferenceTable
from pipeline.inference.trained_model import read_record
from pipeline.inference.validation_values import ValidationValues
from pipeline.watching.shifts import ALPHA, compare_week

Change = Callable[[np.ndarray, np.random.Generator], np.ndarray]
SHIFTS: dict[str, Change] = {
    "none": lambda image, rng: image,
    "gain 1.05": lambda image, rng: 1.05 * image,
    "gain 1.1": lambda image, rng: 1.1 * image,
    "gain 1.2": lambda image, rng: 1.2 * image,
    "gamma 0.9": lambda image, rng: 255 * (image / 255) ** 0.9,
    "gamma 0.8": lambda image, rng: 255 * (image / 255) ** 0.8,
    "gamma 0.7": lambda image, rng: 255 * (image / 255) ** 0.7,
    "noise 1 of 255": lambda image, rng: image + rng.normal(0, 1, image.shape),
    "noise 2 of 255": lambda image, rng: image + rng.normal(0, 2, image.shape),
    "noise 4 of 255": lambda image, rng: image + rng.normal(0, 4, image.shape),
}
"""Changes of grey values, 0 to 255."""
STUDIES = (5, 10, 20, 40)
"""Studies of a week."""
FOUND = 0.9
"""Share of the weeks in which a shift that is found raises an alarm."""


def infer(options: argparse.Namespace, name: str, work: Path) -> list[Inference]:
    """Infer the test images with a shift, and return their rows."""
    rng = np.random.default_rng(options.seed)
    folder, table = work / name / "images", work / name / "inferences.db"
    folder.mkdir(parents=True)
    for entry in read_datalist(options.data).entries("test"):
        image = np.asarray(Image.open(entry.image))
        if image.dtype != np.uint8:
            raise SystemExit(f"{entry.image}: {image.dtype}; the shifts are of 8 bits")
        shifted = SHIFTS[name](image.astype(np.float64), rng).round().clip(0, 255)
        Image.fromarray(shifted.astype(np.uint8)).save(folder / f"{Path(entry.image).stem}.png")
    os.environ[VARIABLE] = str(table)
    words = ["infer", str(options.bundle), "--images", str(folder), "--out", str(work / name)]
    if unet_school([*words, "--set", f"model={options.model}", "engine=float32"]):
        raise SystemExit(f"{name}: infer failed")
    return InferenceTable(table).of_model(read_record(options.model).sha256)


def alarms(
    rows: list[Inference], usual: ValidationValues, studies: int, weeks: int, alpha: float
) -> int:
    """Return in how many made weeks there is an alarm."""
    rng = np.random.default_rng(0)
    drawn = (rng.choice(len(rows), studies, replace=False) for _ in range(weeks))
    return sum(bool(compare_week([rows[i] for i in week], usual, alpha).alarms) for week in drawn)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle", type=Path, help="its folder")
    parser.add_argument("--data", type=Path, required=True, help="folder of the cohort")
    parser.add_argument("--model", type=Path, required=True, help="weights that were evaluated")
    parser.add_argument("--weeks", type=int, default=1000, help="without a shift (1000)")
    parser.add_argument("--shifted_weeks", type=int, default=200, help="with each shift (200)")
    parser.add_argument("--alpha", type=float, default=ALPHA, help=f"of an alarm ({ALPHA})")
    parser.add_argument("--seed", type=int, default=0, help="of the noise (0)")
    options = parser.parse_args()
    usual = read_record(options.model).validation_values
    if usual is None:
        raise SystemExit(f"{options.model}: evaluate it first")
    with tempfile.TemporaryDirectory() as work:
        rows = {name: infer(options, name, Path(work)) for name in SHIFTS}
    print(f"weeks with an alarm, by studies of a week; alpha {options.alpha:g}")
    print(f"{'shift':16}{'weeks':>8}" + "".join(f"{n:>8}" for n in STUDIES) + f"{'found from':>12}")
    for name, own in rows.items():
        weeks = options.weeks if name == "none" else options.shifted_weeks
        counts = {n: alarms(own, usual, n, weeks, options.alpha) for n in STUDIES}
        found = [n for n, k in counts.items() if k >= FOUND * weeks]
        cells = "".join(f"{k:8}" for k in counts.values())
        print(f"{name:16}{weeks:8}{cells}{found[0] if found else '–':>12}", flush=True)


if __name__ == "__main__":
    main()
