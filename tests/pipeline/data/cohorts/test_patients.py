"""Names that may hold patients: what is proposed, and what is left alone."""

import re

import pytest

from pipeline.data.cohorts.patients import check_no_patients_in_names, propose_patients


@pytest.mark.parametrize(
    ("names", "patients"),
    [
        (["PANCREAS_0001-1110", "PANCREAS_0001-1111", "PANCREAS_0002-5"],
         ["PANCREAS_0001", "PANCREAS_0001", "PANCREAS_0002"]),
        (["P07_slice3", "P07_slice4", "P08_slice3"], ["P07", "P07", "P08"]),
        (["case12_z004", "case12_z005", "case3_z001"], ["case12", "case12", "case3"]),
        (["P7_s1_img", "P7_s2_img", "P8_s1_img"], ["P7", "P7", "P8"]),
        (["a.b.1", "a.b.2", "a.c.1"], ["a.b", "a.b", "a.c"]),
        (["sub-01_ses-1_T1w", "sub-01_ses-2_T1w", "sub-02_ses-1_T1w"],
         ["sub-01", "sub-01", "sub-02"]),
    ],
)  # fmt: skip
def test_the_proposed_expression_gives_the_patients(names, patients):
    proposal = propose_patients(names)
    assert proposal is not None
    assert [re.search(proposal.expression, name)[1] for name in names] == patients
    assert proposal.names == tuple(dict.fromkeys(patients))


@pytest.mark.parametrize(
    "names",
    [
        ["img_000", "img_001", "img_002"],
        ["slice_12", "slice_13"],
        ["CHNCXR_0001_0", "CHNCXR_0002_0", "CHNCXR_0327_1"],
        ["sub-01_T1w", "sub-02_T1w"],
        ["c0", "c1"],
        ["a"],
        [],
    ],
)
def test_counters_and_names_that_occur_once_are_no_patients(names):
    assert propose_patients(names) is None
    check_no_patients_in_names(names)


def test_the_line_counts_and_proposes():
    names = [f"PANCREAS_{patient:04d}-{z}" for patient in range(6) for z in range(5)]
    line = (
        "patients: 30 images of 6 names before '-', as PANCREAS_0000, PANCREAS_0001; images of one "
        "patient must not be divided: give --patient '^(.+)-', or --patient none if each image is "
        "a patient of its own"
    )
    with pytest.raises(ValueError, match=re.escape(line)):
        check_no_patients_in_names(names)
