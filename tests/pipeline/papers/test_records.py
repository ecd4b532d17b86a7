import json

import numpy as np
import pytest

from pipeline.papers.measure import MEASURES
from pipeline.papers.records import metrics_of, read_result

SUMMARY = {
    "test": {"iou": {}},
    "isbi_best_threshold_on_test": {"rand_error": {"value": 0.1, "threshold": 0.9}},
}


@pytest.fixture
def evaluations(tmp_path):
    """Two seeds' evaluations of three images."""
    for seed, values in enumerate(([0.8, 0.9, 1.0], [0.6, 0.7, 0.8])):
        folder = tmp_path / f"seed_{seed}"
        folder.mkdir()
        images = [f"{i}.png" for i in range(3)]
        cases = [
            {"image": image, "age": 40, "iou": value}
            for image, value in zip(images, values, strict=True)
        ]
        rows = [{"image": image, "soft_iou": 0.5} for image in reversed(images)]
        (folder / "cases.json").write_text(json.dumps(cases))
        (folder / "summary.json").write_text(json.dumps(SUMMARY))
        content = {"rows": {"validation": rows, "test": rows}, "scalars": {"epoch": 3 + seed}}
        (folder / MEASURES).write_text(json.dumps(content))
    return [tmp_path / "seed_0", tmp_path / "seed_1"]


def test_seeds_are_averaged_before_the_interval_of_images(evaluations):
    metrics = metrics_of(evaluations)
    scalars = {"epoch", "challenge_rand_error"}
    assert set(metrics) == {"validation_soft_iou", "test_iou", "test_soft_iou", *scalars}
    assert metrics["test_iou"]["mean"] == pytest.approx(0.8)
    assert metrics["test_iou"]["by_seed"] == pytest.approx([0.9, 0.7])
    assert metrics["test_iou"]["n"] == 3
    assert 0.7 <= metrics["test_iou"]["low"] < 0.8 < metrics["test_iou"]["high"] <= 0.9
    assert metrics["epoch"] == {"mean": 3.5, "by_seed": [3.0, 4.0]}
    assert metrics["challenge_rand_error"]["mean"] == 0.1


def test_single_images_are_kept_where_they_are_wanted(evaluations):
    metrics = metrics_of(evaluations, {"test_iou"})
    assert metrics["test_iou"]["by_image"] == pytest.approx(
        {"0.png": 0.7, "1.png": 0.8, "2.png": 0.9}
    )
    assert "by_image" not in metrics["test_soft_iou"]


def test_an_evaluation_without_the_challenge_has_none_of_its_scores(evaluations):
    for folder in evaluations:
        without = SUMMARY | {"isbi_best_threshold_on_test": None}
        (folder / "summary.json").write_text(json.dumps(without))
    assert not [name for name in metrics_of(evaluations) if name.startswith("challenge")]


def test_a_broken_record_is_named(tmp_path):
    assert read_result(tmp_path / "none.json") is None
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(ValueError, match=r"a\.json: not readable as JSON"):
        read_result(tmp_path / "a.json")
    (tmp_path / "a.json").write_text('{"scale": "reduced", "seeds": [0]}')
    with pytest.raises(ValueError, match=r"a\.json: no record, lacks datalist_sha256, settings, c"):
        read_result(tmp_path / "a.json")


def test_numbers_are_plain(evaluations):
    json.dumps(metrics_of(evaluations))
    assert all(not isinstance(v, np.floating) for v in metrics_of(evaluations)["epoch"].values())
