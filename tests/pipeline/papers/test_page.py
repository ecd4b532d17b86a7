import json

import pytest

from pipeline.papers.configs import config_hashes
from pipeline.papers.curves import PICTURE, curves_of_experiments, curves_picture
from pipeline.papers.origin import is_clean
from pipeline.papers.page import page, read_all, write_page
from pipeline.papers.page import section as section_of
from pipeline.papers.paper import ORDER, PAPERS, paper_names, read_paper
from pipeline.papers.paper_scale import STEPS_FILE
from pipeline.papers.recorded import NO_VALUE, NOT_RUN, read_recorded
from pipeline.papers.summary import best_number
from tests.conftest import ROOT
from tests.pipeline.papers.expected import EXPECTED_DIRTY, EXPECTED_STALE

RESULTS = ROOT / "docs" / "results"
RECORDS = sorted(RESULTS.glob("*/**/*.json"))


def section(paper, results):
    return section_of(read_recorded(paper, results))


@pytest.fixture(scope="module")
def papers():
    return read_all(RESULTS)


def test_the_page_is_what_the_records_say(papers):
    assert (ROOT / "docs" / "results.md").read_text("utf-8") == page(papers)


@pytest.mark.parametrize("name", ORDER)
def test_the_picture_is_what_the_records_say(papers, name):
    path = RESULTS / name / PICTURE
    picture = path.read_text("utf-8") if path.is_file() else None
    assert picture == curves_picture(papers[name])


@pytest.mark.parametrize("name", ORDER)
def test_every_experiment_with_curves_is_drawn(papers, name):
    metric = papers[name].paper.curve_metric
    for title, of_seeds in curves_of_experiments(papers[name]).items():
        assert all(f"train_{metric}" in of_seed for of_seed in of_seeds), title


def test_every_paper_is_on_the_page(papers):
    assert sorted(papers) == sorted(path.stem for path in PAPERS.glob("*.yaml"))


def test_no_new_record_is_of_uncommitted_code():
    found = set()
    for path in RECORDS:
        record = json.loads(path.read_text("utf-8"))
        if not all(map(is_clean, [*record["commits"], record["recorded_at"]])):
            found.add(f"{record['paper']}/{record['experiment']}")
    assert found == EXPECTED_DIRTY


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
    if f"{record['paper']}/{experiment.name}" in EXPECTED_STALE:
        return
    assert metrics - needs_no_run <= set(record["metrics"])


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
        "recorded_at": "abcdef0123",
        "datalist_sha256": "0f",
    }  # fmt: skip
    (results / paper.name).mkdir(exist_ok=True)
    path = results / paper.name / f"{name}.json"
    path.write_text(json.dumps(record))
    return path


def test_a_cell_holds_mean_interval_and_spread(results):
    paper = read_paper("unet_isbi_mane_mittal")
    line = "| **U-Net** | pixel error at 1/2 (Table 1) | 0.0828 | not run | not run |"
    assert line in section(paper, results)
    metric = {"mean": 0.08, "low": 0.07, "high": 0.09, "n": 5, "by_seed": [0.07, 0.09]}
    write_record(results, paper, "unet", {"test_pixel_error": metric})
    text = section(paper, results)
    assert "| 0.0828 | 0.0800 (0.0700 to 0.0900) ± 0.0100 | not run |" in text
    assert "x 3; 1.0, 1.5 | 31" in text  # minutes of both seeds, then paper scale
    origin = "5 images, seeds 0, 1, on a laptop, commit 01234567 **with uncommitted changes**, abcd"
    assert f"At reduced scale: {origin}" in text


def test_each_image_stands_beside_the_mean_where_it_is_wanted(results):
    paper = read_paper("unet_isbi_mane_mittal")
    images = {"by_image": {"a.png": 0.4215, "b.png": 0.08}}
    metric = {"mean": 0.25, "low": 0.08, "high": 0.42, "n": 2, "by_seed": [0.25, 0.25], **images}
    write_record(results, paper, "unet", {"test_rand_error": metric, "test_pixel_error": metric})
    (line,) = [line for line in section(paper, results).splitlines() if "each image" in line]
    assert "Rand error at 1/2" in line
    assert "± 0.0000; each image 0.080, 0.421 |" in line


def test_a_record_of_another_config_is_marked(results):
    paper = read_paper("unet_isbi_mane_mittal")
    path = write_record(results, paper, "unet", {"x": {"n": 1}})
    assert "changed since" not in section(paper, results)
    path.write_text(path.read_text().replace('"settings": []', '"settings": ["batch_size=9"]'))
    remark = "The config of its training and evaluation has changed since: `unet-school reproduce "
    assert remark + "unet_isbi_mane_mittal --only unet --rerun`" in section(paper, results)


def test_the_ranking_is_of_means_with_paired_intervals(results):
    paper = read_paper("unet_school_isbi")
    of = {"unet3plus_skips_16": (0.92, 0.93), "unet": (0.93, 0.94), "unetpp": (0.90, 0.91)}
    for name, (first, second) in of.items():
        assert "Ranking" not in section(paper, results)
        metric = {
            "mean": (first + second) / 2, "by_seed": [first, second], "low": None, "high": None,
            "by_image": {"a": first, "b": second},
        }  # fmt: skip
        write_record(results, paper, name, {"test_accuracy": metric})
    text = section(paper, results)
    wide = "UNet 3+ with skips of 16"
    assert f"U-Net 0.9350, {wide} 0.9250, UNet++ 0.9050; the paper's is {wide}, U-Net" in text
    assert f"{wide} less U-Net: -0.0100 (-0.0100 to -0.0100 over images), higher in 0 of 4" in text
    assert f"{wide} less UNet++: +0.0200 (+0.0200 to +0.0200 over images), higher in 4 of 4" in text


def test_accuracy_against_epoch_is_the_mean_over_seeds(results):
    paper = read_paper("unet_school_isbi")
    curves = [
        {"epoch": [1, 2, 4], "test_accuracy": [0.5, 0.6, last], "train_accuracy": [None, 0.5, 0.5]}
        for last in (0.8, 0.9)
    ]
    write_record(results, paper, "unet", {"x": {"n": 1}}, curves)
    lines = section(paper, results).splitlines()
    assert "|  | split | 1 | 2 | 3 | 4 |" in lines
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
        assert "| paper | printed by the authors' code | ours" in text
        assert numbers in text
        assert "**The authors' code**" in text
    without = section(read_paper("unet_isbi_mane_mittal"), results)
    assert "authors' code" not in without


def test_a_column_that_nothing_fills_is_left_out(results):
    assert "| experiment | measure | ours |" in section(read_paper("membranes"), results)
    text = section(read_paper("ten_experiments_isbi"), results)
    assert "| experiment | measure | paper | ours, reduced scale | ours, paper scale |" in text


def test_the_summary_has_the_best_number_beside_ours(results):
    place = "[lungs_xray](#the-lungs_xray-bundle)"
    empty = page(read_all(results))
    (row,) = (line for line in empty.splitlines() if "Andersen |" in line)
    assert row.endswith(f"| test IoU | 0.897 | not run | not run, {place} |")
    for name, experiment, metric, mean in (
        ("a_look_into_unet_chest_xray", "unet", "test_iou_at_half", 0.8969),
        ("lungs_xray", "default", "test_iou", 0.8971),
        ("unet_isbi_mane_mittal", "unet", "test_pixel_error", 0.08),
    ):
        score = {"mean": mean, "by_seed": [mean], "low": 0.1, "high": 0.9, "n": 5}
        write_record(results, read_paper(name), experiment, {metric: score})
    text = page(read_all(results))
    assert f"| test IoU | 0.897 | 0.8969 | **0.8971**, {place} |" in text
    assert "| pixel error at 1/2, lower is better | 0.0828 | **0.0800** | not run, " in text
    assert text.count("\n## ") == len(ORDER) + 1
    for anchor in ("the-lungs_xray-bundle", "magicians-corner-4-image-segmentation-with-u-net"):
        assert f"(#{anchor})" in text


def test_the_default_has_the_measure_of_every_headline(papers):
    for name, recorded in papers.items():
        best = best_number(recorded)
        assert (best is None) == (recorded.paper.authors == "Ours"), name
        if best:
            assert best.result.paper is not None, name
            assert best.default not in (NOT_RUN, NO_VALUE), name


def test_estimated_hours_follow_from_the_costs_of_a_step(results):
    paper = read_paper("unet_isbi_mane_mittal")
    rows = {
        "unet_school_isbi/unet": {"steps": 20000, "gflop_per_step": 100.0},
        "unet_isbi_mane_mittal/unet": {"steps": 20000, "gflop_per_step": 200.0},
    }
    (results / STEPS_FILE).write_text(json.dumps({"experiments": rows}))
    assert "| not run: about 10 hours of a GPU |" in section(paper, results)
    assert "is 111 GFLOP a second" in page(read_all(results))
    rows["unet_isbi_mane_mittal/unet"] |= {"steps": 1000, "cpu_seconds_per_step": 36.0}
    (results / STEPS_FILE).write_text(json.dumps({"experiments": rows}))
    assert "| not run: about 10 hours of a CPU thread or 30 minutes of a GPU |" in section(
        paper, results
    )


def test_the_costs_of_steps_are_of_the_configs(papers):
    rows = json.loads((RESULTS / STEPS_FILE).read_text("utf-8"))["experiments"]
    sizes = {
        f"{name}/{experiment}": size
        for name, recorded in papers.items()
        for (experiment, scale), size in recorded.sizes.items()
        if size and scale == "paper"
    }
    assert rows.keys() == sizes.keys()
    for name, row in rows.items():
        assert (row["steps"], row["batch_size"]) == (sizes[name].steps, sizes[name].batch_size)


def test_a_long_remark_stands_below_the_table(results):
    text = section(read_paper("magicians_corner_pancreas_ct"), results)
    assert "| **U-Net, 15 epochs** | test Dice (1) | 0.69 |" in text
    assert "\n- (1) text; .60 in Figure 4; code: first version, 75 epochs;" in text


def test_curves_are_drawn_the_same_each_time(results):
    paper = read_paper("unet_school_isbi")
    assert curves_picture(read_recorded(paper, results)) is None
    curves = [
        {"epoch": [1, 2], "train_accuracy": [0.5, None], "test_accuracy": [0.4, last]}
        for last in (0.6, 0.8)
    ]
    write_record(results, paper, "unet", {"x": {"n": 1}}, curves)
    recorded = read_recorded(paper, results)
    assert curves_picture(recorded) == curves_picture(recorded)
    write_page(results)
    text = (results.parent / "results.md").read_text("utf-8")
    assert "![Accuracy at 1/2 against epoch of U-Net; a thin line" in text
    assert f"(results/unet_school_isbi/{PICTURE})" in text
    assert (results / "unet_school_isbi" / PICTURE).read_text("utf-8").startswith("<?xml")
