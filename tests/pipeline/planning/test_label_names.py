"""What ``--labels`` accepts, and what it refuses in one line."""

import json
import re

import pytest

from pipeline.planning.label_names import named_labels

BRATS = {
    "background": 0,
    "whole tumour": [1, 2, 3],
    "core": [2, 3],
    "enhancing": 3,
    "ignore": 4,
}


def written(tmp_path, content):
    path = tmp_path / "dataset.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return str(path)


@pytest.mark.parametrize(
    ("texts", "numbers", "ignore"),
    [
        (["background=0", "anterior=1", "posterior=2"], {"anterior": 1, "posterior": 2}, None),
        (["liver=255"], {"liver": 255}, None),
        (["whole=1,2,3", "core=2,3"], {"whole": [1, 2, 3], "core": [2, 3]}, None),
        (["a=17", "b=1035", "ignore=255"], {"a": 17, "b": 1035}, 255),
        (["left lung=1", "right-lung_2=2"], {"left lung": 1, "right-lung_2": 2}, None),
        (["b=2", "a=1"], {"b": 2, "a": 1}, None),
        (["Läsion=1"], {"Läsion": 1}, None),
    ],
)
def test_names_and_numbers(texts, numbers, ignore):
    named = named_labels(texts)
    assert (named.numbers, named.ignore, named.partial) == (numbers, ignore, False)
    assert list(named.numbers) == list(numbers)


def test_a_dataset_of_nnunet(tmp_path):
    named = named_labels([written(tmp_path, {"labels": BRATS, "channel_names": {"0": "T1"}})])
    assert named.numbers == {"whole tumour": [1, 2, 3], "core": [2, 3], "enhancing": 3}
    assert (named.ignore, named.partial) == (4, True)
    assert named.mask_numbers() == [1, 2, 3, 4]


def test_nnunets_class_order_says_what_is_written(tmp_path):
    content = {"labels": BRATS | {"core": [3, 2]}, "regions_class_order": [1, 2, 3]}
    assert named_labels([written(tmp_path, content)]).numbers["core"] == [2, 3]


def test_a_task_of_the_decathlon(tmp_path):
    labels = {"0": "background", "1": "Anterior", "2": "Posterior"}
    named = named_labels([written(tmp_path, {"labels": labels})])
    assert named.numbers == {"Anterior": 1, "Posterior": 2}


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["liver"], "--labels liver: expected NAME=NUMBER"),
        (["liver=one"], "--labels liver=one: expected NAME=NUMBER"),
        (["liver=-1"], "--labels liver=-1: expected NAME=NUMBER"),
        (["liver=1.5"], "--labels liver=1.5: expected NAME=NUMBER"),
        (["=1"], "--labels =1: expected NAME=NUMBER"),
        (["liver=0"], "liver: found 0, expected numbers from 1 to 65535, each once; 0 is the"),
        (["liver=65536"], "liver: found 65536"),
        (["whole=0,1"], "whole: found 0, 1"),
        (["whole=1,1"], "whole: found 1, 1"),
        (["background=1", "liver=2"], "background: found 1, expected 0"),
        (["background=0"], "names no label"),
        (["liver=1", "ignore=1"], "1 is a label and ignored"),
        (["liver=1", "ignore=2,3"], r"ignore: found \[2, 3\], expected one number"),
        (["liver=1", "ignore=0"], "ignore: found 0"),
        (["liver=1", "Liver=2"], "the names 'liver' and 'Liver'; expected each once"),
        (["liver=1", "liver=2"], "the names 'liver' and 'liver'"),
        (["HER2+=1"], r"the name 'HER2\+'; expected letters, digits, blanks, - and _"),
        (["a/b=1"], "the name 'a/b'"),
        (["..=1"], r"the name '\.\.'"),
        ([".=1"], r"the name '\.'"),
        ([" =1"], "the name ' '"),
        (["-x=1"], "the name '-x'"),
        (["a=1", "b=1"], "b and a have the same numbers"),
        (["a=1,2", "b=2,1"], "b and a have the same numbers"),
        (["a=1,2", "b=1"], "labels b: found 1 as its first number, as of a"),
    ],
)
def test_what_is_no_label_is_refused_in_one_line(texts, message):
    with pytest.raises(ValueError, match=message) as e:
        named_labels(texts)
    assert "\n" not in str(e.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not readable as JSON"),
        ({"names": {}}, "has no 'labels'"),
        ({"labels": ["liver"]}, "has no 'labels'"),
        ({"labels": {"liver": "one"}}, "labels liver: found 'one'"),
        ({"labels": {"liver": 1.5}}, "labels liver: found 1.5"),
        ({"labels": {"liver": []}}, r"labels liver: found \[\]"),
        ({"labels": {"1": "NCR/NET"}}, "the name 'NCR/NET'"),
        ({"labels": {"a": 1, "b": 2}, "regions_class_order": [1]}, r"class_order: found \[1\]"),
        ({"labels": {"a": [1, 2]}, "regions_class_order": [3]}, "found 3 for a, expected one of"),
    ],
)
def test_a_wrong_file_is_named(tmp_path, content, message):
    path = written(tmp_path, content)
    with pytest.raises(ValueError, match=message) as e:
        named_labels([path])
    assert str(e.value).startswith(path)
    assert "\n" not in str(e.value)


def test_no_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such file; give the dataset"):
        named_labels([str(tmp_path / "dataset.json")])


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["liver=#ff0000", "lung=2"], "--labels lung=2: expected NAME=#RRGGBB as the others"),
        (["liver=#ff00"], "--labels liver=#ff00: expected NAME=#RRGGBB"),
        (["liver=#ff0000", "lung=#FF0000"], "found a name or a colour twice"),
        (["liver=#000000"], "black as a label"),
        (["liver=#ff0000", "liver=#00ff00"], "found a name or a colour twice"),
    ],
)
def test_colours_that_are_no_labels(texts, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        named_labels(texts)
