"""Three sites that train together by weights alone, each alone, and with their images pooled.

The cohort is one of chest X-rays with sex and finding, as ``unet-school data prepare shenzhen``
makes it; it is cut into three sites in two ways. ``groups``: men without findings, women without,
and all with findings. ``scanners``: every third image, where the second site's images are darker
(gamma 2), and the third's have a third of the contrast, are inverted and noisy. Each model is the
best of its own validation, and is scored on the site's test images at threshold 1/2; intervals
are of the bootstrap over patients. All trainings have the same number of steps::

    python benchmarks/federated.py --dataset_dir DIR --out DIR [--division groups] [--only alone …]
"""

import argparse
import itertools
import json
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from markdown import print_header, print_row
from skimage.io import imread, imsave

from pipeline import cli
from pipeline.bundle import Bundle
from pipeline.data.datalist import SPLITS, Datalist, Entry, read_datalist, write_datalist
from pipeline.federating.exchange import EXCHANGES
from pipeline.files import write_json
from pipeline.inference import TrainedModel
from pipeline.metrics.overlap import count_arrays, iou
from pipeline.metrics.statistics import bootstrap_interval

BUNDLE = Path(__file__).parents[1] / "bundles" / "lungs_xray"
SITES = ("A", "B", "C")
CASES = {"training": 40, "validation": 10, "test": 18}
"""Largest number of cases of a site."""
ROUNDS = 5
SETTINGS: dict[str, Any] = {
    "size": [64, 64],
    "patch": [64, 64],
    "window": [64, 64],
    "network_def#features": [8, 16, 32],
    "max_epochs": 10,
    "steps_per_epoch": 20,
    "val_interval": 2,
}
LAYER_NORM = {"network_def#norm": "layer"}
FEDERATED: dict[str, tuple[list[str], dict[str, Any]]] = {
    "federated": ([], {}),
    "federated, statistics by site": (["--statistics", "site"], {}),
    "federated, layer norm": ([], LAYER_NORM),
    "federated, FedProx 0.01": (["--fedprox", "0.01"], {}),
    "federated, percentile filter": (["--privacy", "percentile", "percentile=50", "gamma=0.1"], {}),
}
GROUPS: dict[str, Callable[[Entry], bool]] = {
    "A": lambda entry: entry.columns["sex"] == "male" and entry.columns["finding"] == "normal",
    "B": lambda entry: entry.columns["sex"] == "female" and entry.columns["finding"] == "normal",
    "C": lambda entry: entry.columns["finding"] != "normal",
}
NOISE = 8.0
"""Standard deviation of the third scanner's noise, of 255 grey values."""


def by_group(entries: tuple[Entry, ...], site: str) -> list[Entry]:
    return [entry for entry in entries if GROUPS[site](entry)]


def in_thirds(entries: tuple[Entry, ...], site: str) -> list[Entry]:
    return list(entries[SITES.index(site) :: len(SITES)])


def scanned(pixels: np.ndarray, site: str, rng: np.random.Generator) -> np.ndarray:
    """Return an image of 8 bits as the scanner of a site would show it."""
    shown = pixels / 255
    if site == "B":
        shown = shown**2
    if site == "C":
        shown = 1 - (shown / 3 + 1 / 3) + rng.normal(0, NOISE / 255, shown.shape)
    return (255 * shown.clip(0, 1)).round().astype(np.uint8)


def write_sites(source: Datalist, division: str, out: Path) -> dict[str, Path]:
    """Write the cohort of each site, and the pooled one; return their folders."""
    choose, changes = (in_thirds, True) if division == "scanners" else (by_group, False)
    rng = np.random.default_rng(0)
    folders = {name: out / "cohorts" / name for name in (*SITES, "pooled")}
    listed: dict[str, dict[str, list[dict[str, Any]]]] = {
        name: {split: [] for split in SPLITS} for name in folders
    }
    for site, split in itertools.product(SITES, SPLITS):
        for entry in choose(source.listed(split), site)[: CASES[split]]:
            image, label = (imread(source.path.parent / path) for path in entry.files().values())
            shown = scanned(image, site, rng) if changes else image
            files = {key: f"{key}s/{Path(path).name}" for key, path in entry.files().items()}
            for name in (site, "pooled"):
                _save(folders[name] / files["image"], shown)
                _save(folders[name] / files["label"], label)
                listed[name][split].append({**entry.unhashed(), **files})
    for name, folder in folders.items():
        write_datalist(folder, listed[name], name=name, seed=0)
    return folders


def _save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    imsave(path, pixels, check_contrast=False)


def train(data: Path, out: Path) -> Path:
    """Train on one cohort, and return the folder of the model."""
    places = {"dataset_dir": str(data), "models_dir": str(out), "tracking_dir": str(out / "mlruns")}
    Bundle(BUNDLE, [], {**SETTINGS, **places}).run("training")
    return out


def federate(
    data: Mapping[str, Path], out: Path, words: list[str], more: Mapping[str, Any]
) -> dict[str, Path]:
    """Train at all sites together, and return the folder of each site's model."""
    settings = {key: value for key, value in SETTINGS.items() if key != "val_interval"} | more
    sites = [f"{site}={data[site]}" for site in SITES]
    call = ["federate", str(BUNDLE), "--sites", *sites, "--rounds", str(ROUNDS), *words]
    places = ["--out", str(out), "--tracking", str(out.parent / "mlruns")]
    if cli.main([*call, *places, "--set", *(f"{k}={v}" for k, v in settings.items())]):
        raise SystemExit(1)
    return {site: out / "sites" / site / "models" for site in SITES}


def score(models: Path, data: Path, more: Mapping[str, Any] | None = None) -> list[float]:
    """Return the IoU of each test image."""
    settings = {key: SETTINGS[key] for key in ("size", "window", "network_def#features")}
    places = {"models_dir": str(models), "threshold": 0.5, **(more or {})}
    model = TrainedModel.load(BUNDLE, overrides={**settings, **places})
    return [
        iou(count_arrays(model.predict(entry.image).masks["lung"], imread(entry.label) != 0))
        for entry in read_datalist(data).entries("test")
    ]


def sent_bytes(models: Path) -> int:
    """Return what a site sent in all rounds."""
    (path,) = models.glob(f"*/{EXCHANGES}")
    return sum(one["sent_bytes"] for one in json.loads(path.read_text()))


def trainings(data: Mapping[str, Path], out: Path) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Yield each training by its name: a function that returns scores and bytes of each site."""

    def alone() -> Any:
        models = {site: train(data[site], out / f"alone_{site}") for site in SITES}
        return {site: score(models[site], data[site]) for site in SITES}, 0

    def pooled() -> Any:
        models = train(data["pooled"], out / "pooled_model")
        return {site: score(models, data[site]) for site in SITES}, 0

    def together(name: str) -> Callable[[], Any]:
        def run() -> Any:
            words, more = FEDERATED[name]
            folder = out / name.replace(" ", "_").replace(",", "").replace(".", "")
            models = federate(data, folder, words, more)
            scores = {site: score(models[site], data[site], more) for site in SITES}
            return scores, sent_bytes(models["A"])

        return run

    yield "each alone", alone
    yield "pooled", pooled
    for name in FEDERATED:
        yield name, together(name)


def cells(scores: Mapping[str, list[float]], sent: int) -> Iterator[str]:
    """Yield the cells of a training: its scores at each site, rounds, and what a site sent."""
    for values in scores.values():
        interval = bootstrap_interval(values)
        yield f"{interval.mean:.3f} ({interval.low:.3f} to {interval.high:.3f})"
    yield from (str(ROUNDS), f"{sent / 1e6:.2f} MB") if sent else ("—", "—")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset_dir", type=Path, required=True, help="folder of the X-rays")
    parser.add_argument("--out", type=Path, required=True, help="new folder for all trainings")
    parser.add_argument("--division", choices=("groups", "scanners"), default="groups")
    parser.add_argument("--only", nargs="+", help="beginnings of the names of the rows to measure")
    options = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    out = options.out.resolve() / options.division
    out.mkdir(parents=True)
    data = write_sites(read_datalist(options.dataset_dir), options.division, out)
    counts = {site: len(read_datalist(data[site]).listed("test")) for site in SITES}
    sites = [f"{site} ({count} test images)" for site, count in counts.items()]
    print_header("training", *sites, "rounds", "sent by a site")
    for name, run in trainings(data, out):
        if options.only and not name.startswith(tuple(options.only)):
            continue
        scores, sent = run()
        write_json(out / f"{name}.json", {"iou": scores, "sent_bytes": sent})
        print_row(name, *cells(scores, sent))


if __name__ == "__main__":
    main()
