"""A cohort as MLflow shows it: a data set for each split, whose digest is the pixel hash."""

import json
from collections.abc import Sequence
from pathlib import Path

from mlflow.entities import Dataset, DatasetInput, InputTag

from pipeline.data.datalist import read_datalist

DIGEST_CHARACTERS = 36
"""What MLflow's tables hold of a digest."""
CONTEXT = "mlflow.data.context"
SPLITS_OF = {"training": ("training", "validation"), "evaluating": ("validation", "test")}
"""The splits that a run of each kind reads; any other kind reads the test split."""


def split_dataset(dataset_dir: str, split: str, datalist_sha256: str) -> Dataset:
    """Return a split of a cohort as MLflow's data set.

    Args:
        dataset_dir: of the cohort.
        split: its name.
        datalist_sha256: hash of the pixels of the cohort and its splits; the digest is its
            beginning.
    """
    datalist = read_datalist(dataset_dir)
    return Dataset(
        name=f"{datalist.name} {split}",
        digest=datalist_sha256[:DIGEST_CHARACTERS],
        source_type="local",
        source=json.dumps({"uri": str(Path(dataset_dir).absolute())}),
        profile=json.dumps({"num_rows": len(datalist.listed(split))}),
    )


def dataset_inputs(kind: str, dataset_dir: str, datalist_sha256: str) -> Sequence[DatasetInput]:
    """Return what a run reads of a cohort, each split with its name as the context."""
    return [
        DatasetInput(split_dataset(dataset_dir, split, datalist_sha256), [InputTag(CONTEXT, split)])
        for split in SPLITS_OF.get(kind, ("test",))
    ]
