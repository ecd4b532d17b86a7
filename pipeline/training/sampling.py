"""How training cases and classes are weighted, by the cohort."""

from collections import Counter
from collections.abc import Sequence

from skimage.io import imread

from pipeline.data.columns import check_columns, check_list
from pipeline.data.datalist import columns_of_entry, read_datalist
from pipeline.losses import inverse_class_frequencies


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
