import json
import shutil
from pathlib import Path

import pytest

from pipeline.data import read_datalist, write_datalist
from pipeline.data.identity import hash_pixels, pixel_sha256
from pipeline.files import sha256


@pytest.fixture
def cohort(phantom, tmp_path):
    return shutil.copytree(phantom, tmp_path / "cohort")


def edit(folder, change):
    path = folder / "datalist.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def append_to(file):
    Path(file).write_bytes(Path(file).read_bytes() + b"x")


def test_entries_have_absolute_paths_and_no_hashes_among_the_columns(cohort):
    entries = read_datalist(cohort).entries("training")
    assert len(entries) == 3
    assert set(entries[0].files()) == {"image", "label", "instances"}
    assert all(file.startswith(str(cohort)) for file in entries[0].files().values())
    assert entries[0].columns == {}


def test_written_hashes_are_those_of_the_files(cohort):
    entry = json.loads((cohort / "datalist.json").read_text())["test"][0]
    for key in ("image", "label", "instances"):
        path = cohort / entry[key]
        assert entry[f"{key}_sha256"] == sha256(path)
        assert entry[f"{key}_pixels_sha256"] == pixel_sha256(path, label=key != "image")
    assert entry["image_values_sha256"] == hash_pixels(cohort / entry["image"]).values


def test_hashes_of_pixels_are_kept_unless_the_file_changed(cohort):
    first = json.loads((cohort / "datalist.json").read_text())["test"][0]
    marked = {**first, "image_pixels_sha256": "0f", "label_pixels_sha256": "0f"}
    append_to(cohort / first["label"])  # other bytes after the end of the PNG, the same pixels
    write_datalist(cohort, {"test": [marked]})
    second = json.loads((cohort / "datalist.json").read_text())["test"][0]
    assert second["image_pixels_sha256"] == "0f"
    assert second["label_pixels_sha256"] == first["label_pixels_sha256"]
    assert second["label_sha256"] != first["label_sha256"]


def test_group_columns_survive(cohort):
    edit(cohort, lambda content: content["test"][0].update(sex="female"))
    assert read_datalist(cohort).entries("test")[0].columns["sex"] == "female"


def test_the_datalist_holds_what_the_file_says(cohort):
    content = json.loads((cohort / "datalist.json").read_text())
    datalist = read_datalist(cohort)
    assert datalist.to_json() == content
    assert datalist.name == content["name"]
    assert datalist.listed("test")[0].image == content["test"][0]["image"]
    assert datalist.listed("nowhere") == ()
    with pytest.raises(ValueError, match="frozen"):
        datalist.name = "other"


def test_a_value_of_another_type_is_named(cohort):
    edit(cohort, lambda content: content["training"][1].update(image=3))
    with pytest.raises(ValueError, match=r"^[^\n]*training\[1\]: 'image': found 3;[^\n]*$"):
        read_datalist(cohort)


def test_a_hash_that_is_no_text_is_named_by_its_key(cohort):
    edit(cohort, lambda content: content["test"][0].update(label_sha256=7))
    with pytest.raises(ValueError, match=r"^[^\n]*test\[0\]: 'label_sha256': found 7;[^\n]*$"):
        read_datalist(cohort)


@pytest.mark.parametrize("name", ["../liver", "a\n", ""])
def test_labels_that_are_no_names_of_files_are_named(cohort, name):
    edit(cohort, lambda content: content.update(labels={name: 1}))
    with pytest.raises(ValueError, match="expected a name of letters, digits, blanks, - and _"):
        read_datalist(cohort)


def test_labels_that_are_no_numbers_are_named(cohort):
    edit(cohort, lambda content: content.update(labels={"liver": "one"}))
    with pytest.raises(ValueError, match=r"^[^\n]*'labels.liver': found 'one';[^\n]*$"):
        read_datalist(cohort)


def test_no_such_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such folder"):
        read_datalist(tmp_path / "nowhere")


def test_empty_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no datalist\.json in it"):
        read_datalist(tmp_path)


def test_broken_json(cohort):
    (cohort / "datalist.json").write_text('{"training": [')
    with pytest.raises(ValueError, match="not readable as JSON"):
        read_datalist(cohort)


def test_changed_file(cohort):
    append_to(read_datalist(cohort).entries("training")[0].image)
    with pytest.raises(ValueError, match="changed since it was hashed"):
        read_datalist(cohort).entries("training")


def test_a_change_elsewhere_does_not_matter(cohort):
    append_to(read_datalist(cohort).entries("test")[0].image)
    assert read_datalist(cohort).entries("training")


def test_missing_file(cohort):
    (cohort / read_datalist(cohort).entries("training")[0].label).unlink()
    with pytest.raises(FileNotFoundError, match="no such file, though"):
        read_datalist(cohort).entries("training")


def test_image_without_mask(cohort):
    edit(cohort, lambda content: content["training"][1].pop("label"))
    with pytest.raises(ValueError, match=r"training\[1\] has no 'label'"):
        read_datalist(cohort).entries("training")


def test_empty_split(cohort):
    edit(cohort, lambda content: content.pop("validation"))
    with pytest.raises(ValueError, match="splits with entries: training, test"):
        read_datalist(cohort).entries("validation")


def test_the_same_image_in_two_splits(cohort):
    edit(cohort, lambda content: content["training"].append(content["test"][0]))
    with pytest.raises(ValueError, match=r"stands in training too, as \S+\.png;"):
        read_datalist(cohort).entries("test")


def test_regions_and_what_is_ignored(cohort):
    labels = {"whole": [1, 2], "core": 2}
    edit(cohort, lambda content: content.update(labels=labels, ignore=255))
    datalist = read_datalist(cohort)
    assert (datalist.labels, datalist.ignore) == (labels, 255)
    assert datalist.mask_numbers() == [1, 2, 255]


def test_an_older_datalist_ignores_nothing(cohort):
    datalist = read_datalist(cohort)
    assert datalist.ignore is None
    assert datalist.mask_numbers() == []
