"""The part of a datalist that an engine works on."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from skimage.io import imread

from pipeline.data import read_datalist
from pipeline.data.datalist import FILE_KEYS, columns_of_entry
from pipeline.evaluation.groups import check_columns, check_list
from pipeline.losses import inverse_class_frequencies


def load_split(dataset_dir: str, split: str) -> list[dict[str, Any]]:
    """Return the files of one split of a prepared cohort, each checked by its hash.

    What else is known of a case stays behind: training has no use for it, and a missing value would
    stop a batch.

    Args:
        dataset_dir: folder with ``datalist.json``.
        split: ``training``, ``validation`` or ``test``.

    Raises:
        FileNotFoundError: no such folder, no datalist in it, or a listed file is gone.
        ValueError: an empty split, or a file that changed since it was hashed.
    """
    return [
        {key: entry[key] for key in FILE_KEYS if key in entry}
        for entry in read_datalist(dataset_dir).entries(split)
    ]


def columns_of(dataset_dir: str, split: str) -> dict[str, dict[str, Any]]:
    """Return what is known of each case of a split beside its files, by the path of its image.

    Raises:
        FileNotFoundError: no such folder, or no datalist in it.
    """
    datalist = read_datalist(dataset_dir)
    return {
        str(datalist.path.parent / entry["image"]): columns_of_entry(entry)
        for entry in datalist.content.get(split, ())
    }


def image_hashes(dataset_dir: str, split: str) -> dict[str, str]:
    """Return the hash of each image of a split, with its file's name.

    Raises:
        FileNotFoundError: no such folder, or no datalist in it.
    """
    entries = read_datalist(dataset_dir).content.get(split, ())
    return {entry["image_sha256"]: Path(entry["image"]).name for entry in entries}


def datalist_sha256(dataset_dir: str) -> str:
    """Return the hash of a cohort's datalist, which names the cohort and its split."""
    return read_datalist(dataset_dir).sha256


def class_weights(dataset_dir: str) -> list[float]:
    """Return the weights of background and foreground, by their frequency in the training masks.

    They are :func:`pipeline.losses.inverse_class_frequencies` of the files as they are, before any
    augmentation, for a cohort of one structure.

    Raises:
        FileNotFoundError: no such folder, or no datalist in it.
        ValueError: a class that no training mask holds.
    """
    entries = read_datalist(dataset_dir).entries("training")
    masks = (imread(entry["label"]) != 0 for entry in entries)
    weights: list[float] = inverse_class_frequencies(masks).tolist()
    return weights


def balanced_weights(dataset_dir: str, columns: Sequence[str]) -> list[float]:
    """Return how often each training case is to be drawn so that all groups are drawn alike.

    For :class:`torch.utils.data.WeightedRandomSampler`: a case of a group of n gets 1 / n.

    Args:
        dataset_dir: of the cohort.
        columns: of groups; each combination of their values is one.

    Raises:
        FileNotFoundError: no such folder, or no datalist in it.
        ValueError: no list, a column that a case lacks, or that has one value.
    """
    check_list("balanced_by", columns)
    rows = [columns_of_entry(entry) for entry in read_datalist(dataset_dir).content["training"]]
    check_columns(rows, columns)
    groups = [tuple(row[name] for name in columns) for row in rows]
    sizes = Counter(groups)
    return [1 / sizes[group] for group in groups]
