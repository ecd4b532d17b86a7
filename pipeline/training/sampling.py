"""Weights of training cases and of classes, computed from a cohort."""

from collections import Counter
from collections.abc import Sequence

from skimage.io import imread

from pipeline.data.columns import check_columns, check_list
from pipeline.data.datalist import read_datalist
from pipeline.losses import inverse_class_frequencies


def class_weights(dataset_dir: str) -> list[float]:
    """Return the weights of background and foreground, by their frequency in the training masks.

    The weights are :func:`pipeline.losses.inverse_class_frequencies` of the masks as stored, before
    any augmentation. The cohort has one structure.

    Args:
        dataset_dir: folder of the cohort.

    Raises:
        FileNotFoundError: no such folder, or no datalist in it.
        ValueError: no training mask holds one of the classes.
    """
    entries = read_datalist(dataset_dir).entries("training")
    masks = (imread(entry.label) != 0 for entry in entries)
    weights: list[float] = inverse_class_frequencies(masks).tolist()
    return weights


def balanced_weights(dataset_dir: str, columns: Sequence[str]) -> list[float]:
    """Return the sampling weight of each training case with which all groups are equally frequent.

    The weights suit :class:`torch.utils.data.WeightedRandomSampler`: a case of a group of n cases
    gets 1 / n.

    Args:
        dataset_dir: folder of the cohort.
        columns: group columns; each combination of their values is a group.

    Raises:
        FileNotFoundError: no such folder, or no datalist in it.
        ValueError: ``columns`` is no list, a case lacks a column, or a column has one value.
    """
    check_list("balanced_by", columns)
    rows = [entry.columns for entry in read_datalist(dataset_dir).listed("training")]
    check_columns(rows, columns)
    groups = [tuple(row[name] for name in columns) for row in rows]
    sizes = Counter(groups)
    return [1 / sizes[group] for group in groups]
