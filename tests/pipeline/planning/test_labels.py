"""What the numbers of masks mean, by small tables of values."""

from pathlib import Path

import pytest

from pipeline.data.fingerprint import CaseStatistics
from pipeline.data.image_statistics import MaskStatistics
from pipeline.planning.label_names import named_labels
from pipeline.planning.labels import (
    absent_numbers,
    check_kind,
    label_kind,
    planned_labels,
    value_table,
)


def case(*values, dims=2, smeared=False):
    counts = tuple(100 + i for i in range(len(values)))
    size = (8,) * dims
    mask = MaskStatistics(size, tuple(map(float, values)), 0.5, smeared, 1, False, counts)
    return CaseStatistics(Path("i.png"), Path("m.png"), "", {}, mask=mask)


def numbers(n):
    return range(n + 1)


KINDS = {
    "0 and 1": ([case(0, 1), case(0)], "mask"),
    "some 0 and 1, others 0 and 255": ([case(0, 1), case(0, 255)], "mask"),
    "smeared": ([case(*numbers(200), smeared=True), case(0, 255)], "mask"),
    "one other number": ([case(0, 2), case(0, 2)], "classes"),
    "a class in one of six": ([case(0, 1, 2), *[case(0, 1)] * 5], "classes"),
    "classes in part": ([case(0, 1, k) for k in (2, 3, 4, 5, 2, 3)], "classes"),
    "nested in part": ([case(0, 1), case(0, 1, 2), case(0, 1, 2, 3)], "classes"),
    "all classes everywhere": ([case(*numbers(9))] * 3, "classes"),
    "FreeSurfer": ([case(0, 17, 1035)] * 3, "classes"),
    "few and many instances": ([case(*numbers(2)), case(*numbers(4)), case(0)], "instances"),
    "many instances": ([case(*numbers(21)), case(*numbers(19))], "instances"),
    "a gap": ([case(*numbers(2)), case(0, 1, 2, 3, 5, 6)], "classes"),
    "volumes": ([case(*numbers(2), dims=3), case(*numbers(40), dims=3)], "classes"),
    "none": ([], "mask"),
}


@pytest.mark.parametrize(("cases", "kind"), KINDS.values(), ids=KINDS.keys())
def test_the_kind_of_masks(cases, kind):
    assert label_kind(cases) == kind


@pytest.mark.parametrize(
    ("texts", "kind"),
    [
        (["liver=1"], "mask"),
        (["liver=255"], "mask"),
        (["liver=2"], "classes"),
        (["liver=1", "ignore=255"], "classes"),
        (["whole=1,2"], "classes"),
        (["a=1", "b=2"], "classes"),
    ],
)
def test_named_labels_are_no_instances(texts, kind):
    assert label_kind([case(0, 1)], named_labels(texts)) == kind
    many = [case(*numbers(2)), case(*numbers(9))]
    assert label_kind(many, named_labels(texts)) == "classes"


@pytest.mark.parametrize(
    ("cases", "kind", "texts", "message"),
    [
        ([case(0, 1, 2)], "mask", None, "m.png: the values 0, 1, 2; expected 0 and 1"),
        ([case(0, 1)], "mask", ["a=1", "b=2"], "found a=1 b=2; expected one label of --kind mask"),
        ([case(0, 1)], "mask", ["a=1", "ignore=2"], "found a=1 ignore=2; expected one label"),
        ([case(0, 1)], "instances", ["cell=255"], "NAME=1, and nothing ignored"),
        ([case(*numbers(33))], "classes", None, "m.png and 0 more: 33 values besides 0; expected"),
    ],
)
def test_another_kind_is_refused_in_one_line(cases, kind, texts, message):
    with pytest.raises(ValueError, match=message) as e:
        check_kind(cases, kind, texts and named_labels(texts))
    assert "\n" not in str(e.value)


def test_many_classes_may_have_names():
    texts = [f"c{i}={i}" for i in range(1, 105)]
    check_kind([case(*numbers(104))], "classes", named_labels(texts))


def test_what_is_not_named():
    assert planned_labels([case(0, 1)], "mask") == {"foreground": 1}
    assert planned_labels([case(0, 7), case(0, 3)], "classes") == {"label_3": 3, "label_7": 7}
    named = named_labels(["whole=1,2"])
    assert planned_labels([case(0, 1, 2)], "classes", named) == {"whole": [1, 2]}


def test_a_named_number_that_no_mask_has():
    named = named_labels(["whole=1,2", "core=2", "ignore=9"])
    with pytest.raises(ValueError, match=r"ignore=9: no mask has this number; .* have 0, 1, 2;"):
        absent_numbers([case(0, 1), case(0, 2)], named)
    remarks = absent_numbers([case(0, 1)], named._replace(partial=True, source="dataset.json"))
    assert remarks == [
        "dataset.json: no mask has whole, core, 2",
        "dataset.json: no mask has ignore, 9",
    ]
    assert absent_numbers([case(0, 1, 2), case(0, 9)], named) == []
    with pytest.raises(ValueError, match=r"dataset.json: whole=1: no mask has this number"):
        absent_numbers([case(0, 9)], named._replace(partial=True, source="dataset.json"))


def test_the_table_counts_cases_and_voxels():
    cases = [case(0, 1), case(0, 1, 255)]  # 100 and 101 pixels; 100, 101 and 102
    rows = [line.split() for line in value_table(cases, {"liver": 1, "all": [1, 2]}, ignore=255)]
    assert rows == [
        ["value", "cases", "voxels"],
        ["0", "2", "200", "background"],
        ["1", "2", "202", "liver,", "all"],
        ["255", "1", "102", "ignored"],
    ]


def test_a_long_table_says_what_it_leaves_out():
    lines = value_table([case(*numbers(99))])
    assert len(lines) == 42
    assert lines[-1] == "… and 60 more values"
