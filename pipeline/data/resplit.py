"""New splits of a cohort on disk: its datalist changes, its images do not."""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline.data.datalist import FILE_KEYS, SPLITS, Entry, read_datalist, write_datalist
from pipeline.data.splits import grouped_split, groups_and_strata, split_columns

EntryDict = dict[str, Any]
"""A case as :meth:`pipeline.data.datalist.Entry.to_json` returns it."""


def resplit(
    folder: Path,
    group: str | None = None,
    strata: Sequence[str] = (),
    sizes: Sequence[int] | None = None,
    seed: int = 0,
) -> None:
    """Draw training, validation and test anew and rewrite ``datalist.json``.

    Args:
        folder: folder of the cohort.
        group: column whose equal values stay together; by default ``patient``, if there is one.
        strata: columns to spread evenly.
        sizes: sizes of the splits, relative to each other; by default 60, 20, 20.
        seed: seed of the draw, which the datalist records.

    Raises:
        ValueError: a column does not exist, the sizes are impossible, or one image is in two
            splits.
    """
    description, entries = _all_entries(folder)
    columns = [entry.unhashed() for entry in entries]
    group = _group(columns, group)
    splits = split_columns(columns, group, strata, sizes, seed)
    split_entries = {
        name: [entries[i].to_json() for i in indices] for name, indices in splits.items()
    }
    settings = {"seed": seed, "split": "random", "group": group, "strata": list(strata)}
    write_datalist(folder, split_entries, **{**description, **settings})


def write_folds(
    folder: Path,
    folds: int,
    group: str | None = None,
    strata: Sequence[str] = (),
    seed: int = 0,
    into: Path | None = None,
    hold_out: bool = False,
) -> list[Path]:
    """Write ``folds/0/datalist.json`` and so on; over all folds, each case is tested once.

    Fold i tests part i, validates on the next part, and trains on all others. Train on a fold with
    ``--dataset_dir COHORT/folds/0``. With ``hold_out`` the parts are of the training split alone:
    fold i tests part i, validates on the cohort's own validation split, and trains on all other
    parts; no fold has a case of the cohort's test split.

    Args:
        folder: folder of the cohort, whose files the folds share.
        folds: number of folds.
        group: column whose equal values stay together; by default ``patient``, if there is one.
        strata: columns to spread evenly.
        seed: seed of the draw.
        into: folder of the folds; by default ``folds`` in the cohort.
        hold_out: whether the cohort's own validation and test splits stay as they are.

    Returns:
        The folders of the folds.

    Raises:
        ValueError: there are fewer than three folds, fewer groups than folds, one image is in two
            splits, or a split that is to be held out has no case.
    """
    if folds < 3:
        raise ValueError(f"--folds {folds}: expected 3 or more: training, validation and test")
    description, entries = _all_entries(folder)
    own_validation: Sequence[Entry] = ()
    if hold_out:
        entries, own_validation = _held_out(folder)
    columns = [entry.unhashed() for entry in entries]
    group = _group(columns, group)
    parts = grouped_split(*groups_and_strata(columns, group, strata), [1] * folds, seed)
    settings = {**description, "seed": seed, "split": "folds", "folds": folds, "group": group}
    settings["strata"] = list(strata)
    if hold_out:
        settings["held_out"] = ["validation", "test"]
    root = into or folder / "folds"
    shutil.rmtree(root, ignore_errors=True)  # folds of an earlier split
    targets = []
    for fold in range(folds):
        target = root / str(fold)
        target.mkdir(parents=True)
        validation = fold if hold_out else (fold + 1) % folds
        training = [part for i, part in enumerate(parts) if i not in (fold, validation)]
        splits = {
            "training": [entries[i] for i in sorted(i for part in training for i in part)],
            "validation": own_validation or [entries[i] for i in parts[validation]],
            "test": [entries[i] for i in parts[fold]],
        }
        split_entries = {
            name: [_relative_entry(entry.to_json(), folder, target) for entry in some]
            for name, some in splits.items()
        }
        write_datalist(target, split_entries, **settings, fold=fold)
        targets.append(target)
    return targets


def _all_entries(folder: Path) -> tuple[dict[str, Any], list[Entry]]:
    datalist = read_datalist(folder)
    if "fold" in datalist.description:
        raise ValueError(f"{folder}: is a fold; split the cohort that it was made of")
    for split in SPLITS:
        if datalist.listed(split):
            datalist.entries(split)  # refuses files that changed since they were hashed
    entries = [entry for split in SPLITS for entry in datalist.listed(split)]
    return dict(datalist.description), sorted(entries, key=lambda entry: entry.image)


def _held_out(folder: Path) -> tuple[list[Entry], Sequence[Entry]]:
    """Return the cases of the training split, and those of the validation split."""
    datalist = read_datalist(folder)
    for split in SPLITS:
        if not datalist.listed(split):
            raise ValueError(
                f"--hold-out: found no case in the {split} split of {folder}, expected some in "
                "each split; draw them with unet-school data split"
            )
    training = sorted(datalist.listed("training"), key=lambda entry: entry.image)
    return training, datalist.listed("validation")


def _group(entries: Sequence[EntryDict], group: str | None) -> str | None:
    return group or ("patient" if all("patient" in entry for entry in entries) else None)


def _relative_entry(entry: EntryDict, folder: Path, target: Path) -> EntryDict:
    """Return the entry with paths relative to the fold's folder."""
    return {
        key: Path(os.path.relpath(folder / value, target)).as_posix() if key in FILE_KEYS else value
        for key, value in entry.items()
    }
