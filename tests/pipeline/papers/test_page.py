import json

import pytest

from pipeline.papers.page import page, section
from pipeline.papers.paper import paper_names, read_paper
from tests.conftest import ROOT

RESULTS = ROOT / "docs" / "results"
RECORDS = sorted(RESULTS.rglob("*.json"))


def test_the_page_is_what_the_records_say():
    assert (ROOT / "docs" / "results.md").read_text("utf-8") == page(RESULTS)


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_record_is_of_a_known_experiment(path):
    record = json.loads(path.read_text("utf-8"))
    read_paper(record["paper"]).experiment(record["experiment"])
    scale = "paper" if path.parent.name == "paper_scale" else "laptop"
    assert (record["scale"], record["experiment"]) == (scale, path.stem)
    assert len(record["seeds"]) == len(record["training_seconds"]) == len(record["models_sha256"])


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_number_of_the_table_is_measured(path):
    record = json.loads(path.read_text("utf-8"))
    experiment = read_paper(record["paper"]).experiment(record["experiment"])
    assert {result.ours for result in experiment.results} <= set(record["metrics"])


def test_a_cell_holds_mean_interval_and_spread(tmp_path):
    paper = read_paper("unet_isbi_mane_mittal")
    assert "| U-Net | pixel error at 1/2 (Table 1) | 0.0828 | not run | not run |" in section(
        paper, tmp_path
    )
    metric = {"mean": 0.08, "low": 0.07, "high": 0.09, "n": 5, "by_seed": [0.07, 0.09]}
    record = {
        "metrics": {"test_pixel_error": metric}, "training_seconds": [60, 90], "overrides": [],
        "seeds": [0, 1], "hardware": "a laptop", "commit": "0123456789",
    }  # fmt: skip
    folder = tmp_path / paper.name
    folder.mkdir()
    (folder / "unet.json").write_text(json.dumps(record))
    text = section(paper, tmp_path)
    assert "| 0.0828 | 0.0800 (0.0700 to 0.0900) ± 0.0100 | not run |" in text
    assert "5 images, seeds 0, 1, 1.0, 1.5 min of training on a laptop, commit 01234567" in text


def test_every_paper_is_whole():
    for name in paper_names():
        paper = read_paper(name)
        assert paper.notes
        assert all(each.results and each.settings and each.laptop for each in paper.experiments)


def test_unknown_names_list_the_known():
    with pytest.raises(ValueError, match="unet: no such paper; known are membranes, ten_experi"):
        read_paper("unet")
    with pytest.raises(ValueError, match="u: unet_isbi_mane_mittal has no such experiment; it has"):
        read_paper("unet_isbi_mane_mittal").experiment("u")
