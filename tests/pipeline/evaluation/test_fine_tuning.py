import json
from pathlib import Path

import pytest

from pipeline.evaluation import check_fine_tuning


def cohort(folder: Path, **splits: str) -> str:
    """A cohort by the hashes of its images alone; those of bytes are capital letters."""
    folder.mkdir()
    content = {
        name: [
            {
                "image": f"{digest}.png",
                "label": f"{digest}.png",
                "image_sha256": digest.upper(),
                "image_values_sha256": digest,
            }
            for digest in digests
        ]
        for name, digests in {"training": "", "validation": "", "test": "", **splits}.items()
    }
    (folder / "datalist.json").write_text(json.dumps({"name": "made", **content}))
    return str(folder)


@pytest.fixture(params=["values", "bytes"])
def model(tmp_path, request) -> str:
    """Weights that were trained on image a and chosen by image b, by one of both hashes."""
    path = tmp_path / "model.pt"
    a, b = "ab" if request.param == "values" else "AB"
    record = {"bundle": "x", "sha256": "", "trained_on": [a], "chosen_on": [b]}
    if request.param == "values":  # the record of an older model has no such key
        record["hashes"] = ["values"]
    path.with_suffix(".json").write_text(json.dumps(record))
    return str(path)


def test_cohorts_that_no_model_has_seen_are_accepted(model, tmp_path):
    own = cohort(tmp_path / "own", training="cd", validation="e", test="f")
    check_fine_tuning(
        model, own, cohort(tmp_path / "reference", training="a", validation="b", test="g")
    )
    check_fine_tuning(model, own, None)


def test_a_training_from_no_weights_is_not_checked(tmp_path):
    check_fine_tuning(None, str(tmp_path / "nowhere"), None)


@pytest.mark.parametrize(
    ("own", "reference", "message"),
    [
        ({"training": "c", "test": "a"}, {}, "a.png: of the test split, and the model was trained"),
        ({"training": "c"}, {"test": "b"}, "b.png: of the test split, and the model was chosen by"),
        (
            {"training": "c"},
            {"test": "c"},
            "c.png: of the own training split, and of the reference",
        ),
        ({"validation": "d"}, {"test": "d"}, "d.png: of the own validation split, and of the ref"),
    ],
)
def test_a_test_image_that_would_have_been_seen_is_named(model, tmp_path, own, reference, message):
    cohorts = cohort(tmp_path / "own", **own), cohort(tmp_path / "reference", **reference)
    with pytest.raises(ValueError, match=message):
        check_fine_tuning(model, *cohorts)


def test_a_cohort_that_is_not_there_is_refused_before_the_training(model, tmp_path):
    own = cohort(tmp_path / "own", training="c")
    with pytest.raises(FileNotFoundError, match="nowhere"):
        check_fine_tuning(model, own, str(tmp_path / "nowhere"))
