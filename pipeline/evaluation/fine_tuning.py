"""After a received model was tuned: it and the tuned one, scored on each test split at hand."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.files import write_json
from pipeline.evaluation.comparison import Comparison, compare
from pipeline.bundle.process import bundle_run
from pipeline.training.data import image_hashes
from pipeline.evaluation.evaluation_run import refuse_trained_on
from pipeline.tracking.store import CASES

RECEIVED, TUNED = "received", "tuned"
TOLD = "both_models.json"


def check_fine_tuning(received: str | None, dataset_dir: str, sender_dir: str | None) -> None:
    """Refuse, before a training and not after it, test images that would have been seen.

    Args:
        received: weights that the training begins from; None: it begins from none.
        dataset_dir: the own cohort.
        sender_dir: the sender's, or None where it is not at hand.

    Raises:
        FileNotFoundError: no such cohort.
        ValueError: a test image that one of the models was trained or chosen by.
    """
    if received is None:
        return
    refuse_trained_on(Path(received), dataset_dir)
    if sender_dir is None:
        return
    refuse_trained_on(Path(received), sender_dir)
    tested = image_hashes(sender_dir, "test")
    for split in ("training", "validation"):
        for digest, name in image_hashes(dataset_dir, split).items():
            if digest in tested:
                raise ValueError(
                    f"{name}: of the own {split} split, and of the sender's test split; leave "
                    "sender_dir out, or split anew"
                )


def compare_fine_tuning(
    bundle: str,
    received: str | None,
    tuned: str,
    dataset_dir: str,
    sender_dir: str | None,
    folder: str,
    tracking_dir: str,
    metric: str = "dice",
) -> None:
    """Evaluate the received and the tuned model on the own test split, and on the sender's.

    Each is a run of its own, with its report, below ``folder``. The received model keeps what its
    sender chose; threshold and cleaning of the tuned one are chosen on the own validation split,
    and kept for the sender's. What the tuning gained and what it cost is printed, and written to
    ``both_models.json``.

    Args:
        bundle: folder of the received bundle.
        received: weights that the training began from; None: it began from none, nothing is done.
        tuned: weights that it led to.
        dataset_dir: the own cohort.
        sender_dir: the sender's, or None where it is not at hand.
        folder: of the training, which gets the evaluations.
        tracking_dir: the tracking store.
        metric: of the per-image table, by which the two are compared.

    Raises:
        ValueError: an evaluation stopped; its own message stands above.
    """
    if received is None:
        return
    found = {}
    for whose, cohort in {"own": dataset_dir, "sender": sender_dir}.items():
        if cohort is None:
            continue
        rows = {}
        for which, model in {RECEIVED: received, TUNED: tuned}.items():
            out = Path(folder) / f"{which}_on_{whose}"
            settings = {
                "dataset_dir": Path(cohort),
                "model": Path(model),
                "output_dir": out,
                "tracking_dir": Path(tracking_dir),
            }
            print(f"\n{which} model on the test split, {whose}", flush=True)
            bundle_run("evaluating", [Path(bundle) / "configs" / "evaluate.yaml"], settings)
            rows[which] = json.loads((out / CASES).read_text("utf-8"))
        (compared,) = compare(rows, metric)
        found[whose] = _told(rows, compared, metric)
    write_json(Path(folder) / TOLD, {"metric": metric, **found})
    print("\n".join(_table(found, metric)))
    print(f"both        {Path(folder) / TOLD}")


def _told(
    rows: dict[str, list[dict[str, Any]]], compared: Comparison, metric: str
) -> dict[str, Any]:
    means = {name: sum(row[metric] for row in its) / len(its) for name, its in rows.items()}
    return {**means, "difference": compared.difference._asdict(), "p": compared.p}


def _table(found: Mapping[str, dict[str, Any]], metric: str) -> list[str]:
    lines = [
        f"\n{f'{metric}, test split':18}{RECEIVED:>10}{TUNED:>10}{'gained':>10}  95 % interval"
    ]
    for whose, each in found.items():
        gained = each["difference"]
        ends = "too few to tell"
        if gained["low"] is not None:
            ends = f"{gained['low']:+.4f} to {gained['high']:+.4f}"
        means = f"{each[RECEIVED]:10.4f}{each[TUNED]:10.4f}{gained['mean']:+10.4f}"
        lines.append(
            f"{whose:18}{means}  {ends} (images {gained['n']}, patients {gained['patients']})"
        )
    return lines
