"""The head of a model card is what the Hugging Face Hub reads."""

import json
import math

import pytest
import yaml
from huggingface_hub import ModelCard, metadata_load
from hypothesis import given
from hypothesis import strategies as st

from pipeline.sharing.card import model_card
from pipeline.sharing.front_matter import front_matter
from pipeline.sharing.licence import licence_text
from tests.conftest import ROOT
from tests.pipeline.sharing.evaluations import EVALUATION

METADATA = json.loads((ROOT / "bundles/membranes/configs/metadata.json").read_text("utf-8"))
FINGERPRINT = {"images": 40, "patients": 40, "intensities": {}}
LICENCE = licence_text("nuclei", "No data comes with this bundle.")


def card(metadata=METADATA, evaluation=EVALUATION, licence=LICENCE):
    return model_card(metadata, evaluation, FINGERPRINT, licence, {})


def head(**changed):
    return ModelCard(card(**changed)).data


def test_the_hub_reads_the_head(tmp_path):
    data = head()
    assert data.license == "cc0-1.0"
    assert data.library_name == "monai"
    assert data.pipeline_tag == "image-segmentation"
    assert data.tags == ["monai", "medical", "em"]
    assert data.datasets == ["2018-data-science-bowl"]
    assert data.metrics == ["iou", "dice"]
    (tmp_path / "README.md").write_text(card(), "utf-8")
    assert metadata_load(tmp_path / "README.md")["license"] == "cc0-1.0"


def test_the_hub_reads_the_scores():
    data = head()
    iou, dice = data.eval_results
    assert data.model_name == METADATA["name"]
    assert (iou.metric_type, iou.metric_value, iou.verified) == ("iou", 0.8, False)
    assert (iou.task_type, iou.task_name) == ("image-segmentation", METADATA["task"])
    assert iou.dataset_type == "2018-data-science-bowl"
    assert iou.dataset_name == "2018 Data Science Bowl"
    assert iou.dataset_split == "test"
    assert dice.is_equal_except_value(dice)
    assert yaml.safe_load(data.to_yaml())["model-index"][0]["results"]


@pytest.mark.parametrize(
    ("licence", "expected"),
    [
        (
            licence_text("isbi2012", "Nothing."),
            {
                "license": "other",
                "license_name": "isbi-2012-challenge",
                "license_link": "https://imagej.net/events/isbi-2012-segmentation-challenge",
            },
        ),
        (
            licence_text("the Geheim clinic", "Nothing."),
            {"license": "other", "license_name": "images-of-the-sender-s-own"},
        ),
        (
            licence_text("own", licence_text("nuclei", "Nothing.")),
            {
                "license": "other",
                "license_name": "images-of-the-sender-s-own-and-2018-data-science-bowl",
            },
        ),
    ],
    ids=["no identifier", "own", "fine-tuned"],
)
def test_a_licence_without_an_identifier_is_named(licence, expected):
    data = head(licence=licence).to_dict()
    assert {key: data[key] for key in data if key.startswith("license")} == expected


def test_images_of_the_senders_own_are_no_public_data_set():
    data = head(licence=licence_text("the Geheim clinic", "Nothing."))
    assert data.datasets is None
    assert data.eval_results[0].dataset_type == "private"


def test_a_score_that_is_no_number_is_left_out():
    scores = {**EVALUATION["test"], "hd95": {**EVALUATION["test"]["iou"], "mean": math.inf}}
    data = head(evaluation={**EVALUATION, "test": scores})
    assert data.metrics == ["iou", "dice"]


@given(st.text(st.characters(codec="utf-8"), min_size=1))
def test_any_text_is_valid(text):
    metadata = {**METADATA, "name": text, "task": text}
    data = ModelCard(f"---\n{front_matter(metadata, EVALUATION, LICENCE)}---\n").data
    assert data.model_name == text
    assert data.eval_results[0].task_name == text


def test_text_cannot_end_the_head():
    text = "a\n---\nlicense: mit\n--- # x: [y"
    data = head(metadata={**METADATA, "name": text})
    assert data.license == "cc0-1.0"
    assert data.model_name == text
