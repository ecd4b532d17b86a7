import json

import pytest

from pipeline.papers.configs import config_hashes
from pipeline.papers.page import page, section
from pipeline.papers.paper import paper_names, read_paper
from tests.conftest import ROOT
from tests.pipeline.papers.expected import LACKING_TRAINING

RESULTS = ROOT / "docs" / "results"
RECORDS = sorted(RESULTS.rglob("*.json"))


def test_the_page_is_what_the_records_say():
    assert (ROOT / "docs" / "results.md").read_text("utf-8") == page(RESULTS)


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_record_is_of_an_experiment(path):
    record = json.loads(path.read_text("utf-8"))
    read_paper(record["paper"]).experiment(record["experiment"])
    scale = "paper" if path.parent.name == "paper_scale" else "reduced"
    assert (record["scale"], record["experiment"]) == (scale, path.stem)
    assert len(record["seeds"]) == len(record["training_seconds"]) == len(record["models_sha256"])


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_number_of_the_table_is_measured(path):
    record = json.loads(path.read_text("utf-8"))
    experiment = read_paper(record["paper"]).experiment(record["experiment"])
    needs_no_run = {"network_numbers"}
    metrics = {result.metric for result in experiment.results}
    if f"{record['paper']}/{experiment.name}" in LACKING_TRAINING:
        metrics = {metric for metric in metrics if not is_of_training(metric)}
    assert metrics - needs_no_run <= set(record["metrics"])


def is_of_training(metric):
    return metric.startswith("training_") or metric.endswith("_epoch")


@pytest.fixture
def results(tmp_path):
    """A folder for records, in a root with the bundles."""
    (tmp_path / "bundles").symlink_to(ROOT / "bundles")
    (tmp_path / "docs" / "results").mkdir(parents=True)
    return tmp_path / "docs" / "results"


def write_record(results, paper, name, metrics, curves=()):
    """Two trainings, by the config as it is."""
    experiment = paper.experiment(name)
    record = {
        **config_hashes(ROOT, paper, experiment, "reduced", []), "settings": [],
        "scale": "reduced", "seeds": [0, 1], "training_seconds": [60, 90], "metrics": metrics,
        "curves": curves, "hardware": ["a laptop"], "commits": ["0123456789-dirty"],
        "datalist_sha256": "0f",
    }  # fmt: skip
    (results / paper.name).mkdir(exist_ok=True)
    path = results / paper.name / f"{name}.json"
    path.write_text(json.dumps(record))
    return path


def test_a_cell_holds_mean_interval_and_spread(results):
    paper = read_paper("unet_isbi_mane_mittal")
    line = "| U-Net | pixel error at 1/2 (Table 1) | 0.0828 | not run | not run |"
    assert line in section(paper, results)
    metric = {"mean": 0.08, "low": 0.07, "high": 0.09, "n": 5, "by_seed": [0.07, 0.09]}
    write_record(results, paper, "unet", {"test_pixel_error": metric})
    text = section(paper, results)
    assert "| 0.0828 | 0.0800 (0.0700 to 0.0900) ± 0.0100 | not run |" in text
    origin = "5 images, seeds 0, 1, 1.0, 1.5 min of training on a laptop, commit 01234567-dirty."
    assert f"At reduced scale: {origin}" in text


def test_a_record_of_another_config_is_marked(results):
    paper = read_paper("unet_isbi_mane_mittal")
    path = write_record(results, paper, "unet", {"x": {"n": 1}})
    assert "changed since" not in section(paper, results)
    path.write_text(path.read_text().replace('"settings": []', '"settings": ["batch_size=9"]'))
    assert "**Its config has changed since.**" in section(paper, results)


def test_the_ranking_is_of_means_with_paired_intervals(results):
    paper = read_paper("unet_school_isbi")
    of = {"unet3plus": (0.92, 0.93), "unet": (0.93, 0.94), "unetpp": (0.90, 0.91)}
    for name, (first, second) in of.items():
        assert "Ranking" not in section(paper, results)
        metric = {
            "mean": (first + second) / 2, "by_seed": [first, second], "low": None, "high": None,
            "by_image": {"a": first, "b": second},
        }  # fmt: skip
        write_record(results, paper, name, {"test_accuracy": metric})
    text = section(paper, results)
    assert (
        "reduced scale: U-Net 0.9350, UNet 3+ 0.9250, UNet++ 0.9050; the paper's is UNet 3+" in text
    )
    assert "Minutes of training each: U-Net 1.2, UNet 3+ 1.2, UNet++ 1.2." in text
    assert "UNet 3+ less U-Net: -0.0100 (-0.0100 to -0.0100 over images), higher in 0 of 4" in text
    assert "UNet 3+ less UNet++: +0.0200 (+0.0200 to +0.0200 over images), higher in 4 of 4" in text


def test_accuracy_against_epoch_is_the_mean_over_seeds(results):
    paper = read_paper("unet_school_isbi")
    curves = [
        {"epoch": [1, 2, 4], "test_accuracy": [0.5, 0.6, last], "train_accuracy": [None, 0.5, 0.5]}
        for last in (0.8, 0.9)
    ]
    write_record(results, paper, "unet", {"x": {"n": 1}}, curves)
    lines = section(paper, results).splitlines()
    assert "| | split | 1 | 2 | 3 | 4 |" in lines
    assert "| U-Net | train | – | 0.5000 | – | 0.5000 |" in lines
    assert not any("| validation |" in line for line in lines)
    assert "|  | test | 0.5000 | 0.6000 | – | 0.8500 |" in lines


def test_every_paper_is_whole():
    for name in paper_names():
        paper = read_paper(name)
        assert paper.notes
        assert all(each.results and each.settings and each.reduced for each in paper.experiments)


def test_unknown_names_list_the_existing_ones():
    with pytest.raises(
        ValueError, match="unet: no such paper; known are a_look_into_unet_chest_xray"
    ):
        read_paper("unet")
    with pytest.raises(ValueError, match="u: unet_isbi_mane_mittal has no such experiment; it has"):
        read_paper("unet_isbi_mane_mittal").experiment("u")


def test_the_printed_heads_are_running_means_of_the_heads_alone():
    """U-Net School's code never resets its counts between the first network and the heads."""
    heads = read_paper("unet_school_isbi").experiment("unetpp_deep_supervision").results[:4]
    first = read_paper("unet_school_isbi").experiment("unetpp").results[0].paper
    alone = [first, *(head.code for head in heads)]
    for i, head in enumerate(heads, start=2):
        assert sum(alone[:i]) / i == pytest.approx(head.paper, abs=0.001)


def test_what_the_authors_code_prints_stands_beside_the_paper(results):
    for name, numbers in {
        "magicians_corner_pancreas_ct": "| 0.69 | 0.573 |",
        "unet_school_isbi": "| 0.878 | 0.839 |",
    }.items():
        text = section(read_paper(name), results)
        assert "| paper | printed by the authors' code | ours, reduced scale |" in text
        assert numbers in text
        assert "**The authors' code**" in text
    without = section(read_paper("unet_isbi_mane_mittal"), results)
    assert "authors' code" not in without
