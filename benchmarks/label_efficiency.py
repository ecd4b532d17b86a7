"""What pretraining on images without labels gains, the fewer cases are labelled.

For each seed the bundle is pretrained once, on the images of the training split and those of a
folder, if one is given. Then it is trained on a few of the training split's patients (on a few
images, where no patient is known), once from scratch and once from the pretrained weights, with the
same steps. The few of a seed are among the more. A row has the mean Dice over patients at
threshold 1/2 of each seed, and the difference, paired over patients, of the mean over seeds, with a
95 % interval over patients. Finished trainings are skipped, so an interrupted run continues::

    python benchmarks/label_efficiency.py BUNDLE --cohort DIR --out DIR [--images DIR]
        [--labelled 5 10 20 all] [--seeds 0 1 2] [--split validation] [--pretrain-epochs 50]
        [--with unetpp] [--set max_epochs=20 …]
"""

import argparse
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from bundle_runs import dice_by_patient, gain
from markdown import print_header, print_row

from pipeline.bundle import Bundle
from pipeline.bundle.overrides import read_settings
from pipeline.data.datalist import FILE_KEYS, Entry, read_datalist
from pipeline.files import write_json

ALL = "all"
OVERLAY = "pretraining/masked_images"
ARMS = ("scratch", "pretrained")


def patient_of(entry: Entry) -> str:
    return str(entry.columns.get("patient") or entry.image)


def write_labelled(cohort: Path, folder: Path, labelled: str, seed: int) -> int:
    """Write a datalist whose training split has some patients; return how many these are."""
    datalist = read_datalist(cohort)
    patients = sorted({patient_of(entry) for entry in datalist.listed("training")})
    drawn = np.random.default_rng(seed).permutation(patients)
    kept = set(drawn if labelled == ALL else drawn[: int(labelled)])
    content = {**datalist.description}
    for split, entries in datalist.splits.items():
        few = [entry for entry in entries if split != "training" or patient_of(entry) in kept]
        content[split] = [_from(folder, cohort, entry.to_json()) for entry in few]
    write_json(folder / "datalist.json", content)
    return len(kept)


def _from(folder: Path, cohort: Path, entry: Mapping[str, Any]) -> dict[str, Any]:
    """An entry whose files are named from another folder."""
    paths = {key: os.path.relpath(cohort / entry[key], folder) for key in FILE_KEYS if key in entry}
    return {**entry, **paths}


def pretrained(bundle: Bundle, folder: Path) -> Path:
    """Pretrain, unless done already, and return the weights."""
    model = folder / "pretrained" / "model.pt"
    if not model.is_file():
        places = {"models_dir": str(folder), "run_name": "pretraining"}
        bundle.with_overlay(OVERLAY).with_overrides(places).start("training")
    return model


def scored(bundle: Bundle, folder: Path, split: str) -> dict[str, float]:
    """Train and score, unless done already, and return the Dice of each patient."""
    result = folder / f"{split}.json"
    if not result.is_file():
        own = bundle.with_overrides({"models_dir": str(folder), "run_name": "trained"})
        if not (folder / "model.pt").is_file():
            own.start("training")
        of_model = own.with_overrides({"output_dir": str(folder / "evaluation")})
        write_json(result, dice_by_patient(of_model, split))
    content: dict[str, float] = json.loads(result.read_text())
    return content


def row(
    labelled: str, counts: Sequence[int], arms: Mapping[str, Sequence[Mapping[str, float]]]
) -> None:
    patients = sorted(arms["scratch"][0])
    scores = {
        arm: np.array([[seed[patient] for patient in patients] for seed in seeds])
        for arm, seeds in arms.items()
    }
    means = [" / ".join(f"{mean:.4f}" for mean in scores[arm].mean(axis=1)) for arm in ARMS]
    difference = gain(*(scores[arm].mean(axis=0) for arm in ARMS))
    print_row(f"{labelled} ({counts[0]})", len(arms["scratch"]), len(patients), *means, difference)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--cohort", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--images", type=Path)
    parser.add_argument("--labelled", nargs="+", default=["5", "10", "20", ALL])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--split", choices=("validation", "test"), default="validation")
    parser.add_argument("--pretrain-epochs", type=int, default=50)
    parser.add_argument("--with", nargs="*", default=[], dest="overlays")
    parser.add_argument("--set", nargs="*", default=[], dest="settings")
    options = parser.parse_args()
    cohort, out = options.cohort.resolve(), options.out.resolve()
    settings = {**read_settings(options.settings), "tracking_dir": str(out / "mlruns")}
    images = {} if options.images is None else {"unlabelled_dir": str(options.images.resolve())}
    begin = {"dataset_dir": str(cohort), "max_epochs": options.pretrain_epochs, **images}

    def bundle(**more: Any) -> Bundle:
        return Bundle(options.bundle, options.overlays, {**settings, **more})

    weights = {s: pretrained(bundle(seed=s, **begin), out / f"images_{s}") for s in options.seeds}
    print_header(
        "labelled (patients)", "seeds", "scored patients", "Dice from scratch", "pretrained",
        "difference",
    )  # fmt: skip
    for labelled in options.labelled:
        arms: dict[str, list[dict[str, float]]] = {arm: [] for arm in ARMS}
        counts = []
        for seed in options.seeds:
            folder = out / f"{labelled}_{seed}"
            counts.append(write_labelled(cohort, folder / "cohort", labelled, seed))
            for arm in ARMS:
                begun = {"init_from": str(weights[seed])} if arm == "pretrained" else {}
                own = bundle(seed=seed, dataset_dir=str(folder / "cohort"), **begun)
                arms[arm].append(scored(own, folder / arm, options.split))
        row(labelled, counts, arms)


if __name__ == "__main__":
    main()
