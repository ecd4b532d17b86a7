"""The cohorts of the records, prepared anew from the data sets: the same pixels in the same splits.

The records were made on cohorts that this code, or earlier versions of it, prepared. They are keyed
by the identity of those pixels, whatever versions of Pillow and zlib write the files.
"""

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.data import Datalist, read_datalist
from pipeline.data.cohort import write_cohort
from pipeline.data.cohorts.isbi2012 import isbi2012
from pipeline.data.cohorts.lung_ct import lung_ct
from pipeline.data.cohorts.pancreas_ct import pancreas_ct
from pipeline.data.cohorts.shenzhen import shenzhen
from pipeline.data.ct_phantom import write_lungs
from pipeline.data.datalist import SPLITS
from pipeline.data.splits import split_columns
from pipeline.papers.paper import read_paper
from tests.conftest import ROOT

RESULTS = ROOT / "docs" / "results"
RECORDS = [json.loads(path.read_text("utf-8")) for path in sorted(RESULTS.glob("*/**/*.json"))]
SHENZHEN_SIDE_PIXELS, LUNG_SLICES = 256, 1021
"""As ``docs/xrays.md`` and ``docs/results.md`` state them."""
MAX_RESIZED_DIFFERENCE = 1e-3
"""Largest difference of a foreground share: some experiments resize the labels to 256 pixels."""


def records_of(cohort: str) -> list[dict]:
    return [record for record in RECORDS if read_paper(record["paper"]).cohort == cohort]


def write(listed, folder: Path, sizes=None) -> Datalist:
    split = partial(split_columns, group=listed.group, strata=listed.strata, sizes=sizes, seed=0)
    write_cohort(listed, folder, split, {"seed": 0})
    return read_datalist(folder)


def check(cohort: Datalist) -> None:
    """Compare a cohort with every record of it: its identity, its images, its labels."""
    records = records_of(cohort.name)
    assert records
    shares = {split: foreground(cohort, split) for split in SPLITS}
    for record in records:
        assert record["datalist_sha256"] == cohort.sha256
        for name, metric in record["metrics"].items():
            split = name.partition("_")[0]
            if "by_image" in metric:
                assert set(metric["by_image"]) == set(shares[split])
            if name.endswith("_foreground_everywhere"):
                assert metric["n"] == len(shares[split])
                mean = np.mean(list(shares[split].values()))
                assert metric["mean"] == pytest.approx(mean, abs=MAX_RESIZED_DIFFERENCE)


def foreground(cohort: Datalist, split: str) -> dict[str, float]:
    """Return the share of foreground in the label of each image, by the image's name."""
    shares = {}
    for entry in cohort.entries(split):
        with Image.open(entry.label) as label:
            shares[Path(entry.image).name] = float((np.asarray(label) > 0).mean())
    return shares


def test_isbi2012(real_data, tmp_path):
    check(write(isbi2012(real_data / "isbi2012"), tmp_path / "cohort", sizes=[15, 5, 5]))


def test_pancreas_ct(real_data, tmp_path):
    check(write(pancreas_ct(real_data / "pancreas_ct"), tmp_path / "cohort"))


@pytest.mark.slow
def test_shenzhen(real_data, tmp_path):
    check(write(shenzhen(real_data / "shenzhen", SHENZHEN_SIDE_PIXELS), tmp_path / "cohort"))


@pytest.mark.slow
def test_lung_ct(tmp_path):
    (tmp_path / "source").mkdir()
    write_lungs(tmp_path / "source", count=LUNG_SLICES, size=256, seed=0)
    check(write(lung_ct(tmp_path / "source"), tmp_path / "cohort"))


def test_every_record_is_of_one_of_these_cohorts():
    cohorts = ("isbi2012", "pancreas_ct", "shenzhen", "lung_ct")
    assert sum(len(records_of(cohort)) for cohort in cohorts) == len(RECORDS)
    identities = {record["datalist_sha256"] for record in RECORDS}
    assert len(identities) == len(cohorts)
