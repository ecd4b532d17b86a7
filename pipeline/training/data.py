"""The part of a datalist that an engine works on."""

from typing import Any

from pipeline.data import read_datalist


def load_split(dataset_dir: str, split: str) -> list[dict[str, Any]]:
    """Return the entries of one split of a prepared cohort, every file checked by its hash.

    Args:
        dataset_dir: folder with ``datalist.json``.
        split: ``training``, ``validation`` or ``test``.

    Raises:
        FileNotFoundError: no such folder, no datalist in it, or a listed file is gone.
        ValueError: an empty split, or a file that changed since it was hashed.
    """
    return read_datalist(dataset_dir).entries(split)


def datalist_sha256(dataset_dir: str) -> str:
    """Return the hash of a cohort's datalist, which names the cohort and its split."""
    return read_datalist(dataset_dir).sha256
