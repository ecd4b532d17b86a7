import json
from pathlib import Path

import pytest

from pipeline.sharing.privacy import check_private
from pipeline.sharing.private_words import private_words

DATALIST = {
    "name": "cells",
    "training": [
        {
            "image": "images/zwickl_7.png",
            "label": "labels/zwickl_7.png",
            "image_sha256": "0123456789abcdef",
            "patient": "Zwickl-Größ",
            "hospital_number": "HN 48291733",
            "sex": "female",
            "age": 57,
            "note": "lives alone",
            "born": "1969-03-02",
        },
        {"image": "images/b.png", "label": "labels/b.png", "patient": 48291733, "sex": "female"},
    ],
}
WORDS = private_words(DATALIST)


def test_the_words_that_are_searched_for():
    assert {"Zwickl-Größ", "48291733", "zwickl_7.png", "lives alone", "1969-03-02"} <= WORDS.keys()
    assert not {"female", "57", "0123456789abcdef", "cells"} & WORDS.keys()


def test_the_values_of_a_published_column_are_not_searched_for():
    assert "lives alone" not in private_words(DATALIST, ["note"])


@pytest.mark.parametrize(
    "word", ["Zwickl-Größ", "ZWICKL-GRÖSS", "48291733", "zwickl_7.png", "lives\n  alone"]
)
def test_a_word_is_found_and_its_file_named(word):
    files = {"docs/README.md": f"# A model\n\nSee ({word}).\n".encode()}
    with pytest.raises(ValueError, match=r"docs/README\.md: holds '.*' \(.* in the datalist\) of"):
        check_private(files, WORDS, [])


def test_a_local_folder_is_found(tmp_path):
    config = f"model: {tmp_path}/models/model.pt\n".encode()
    with pytest.raises(ValueError, match="of your data, which must not leave"):
        check_private({"configs/train.yaml": config}, {}, [tmp_path])


def test_a_windows_folder_is_found_in_json():
    files = {"docs/evaluation.json": json.dumps({"at": r"C:\data\zwickl_7.png"}).encode()}
    with pytest.raises(ValueError, match="of your data, which must not leave"):
        check_private(files, {r"C:\data\zwickl_7.png": "image"}, [])


def test_part_of_a_word_and_weights_are_no_match():
    files = {"docs/README.md": b"zwickl_77", "models/model.pt": b"\xffZwickl"}
    check_private(files, WORDS, [Path("/nowhere/else")])
