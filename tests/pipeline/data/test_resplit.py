import json
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from pipeline import cli
from pipeline.data import read_datalist
from pipeline.data.datalist import write_datalist

SPLITS = ("training", "validation", "test")


@pytest.fixture
def cohort(tmp_path):
    """24 images of 12 patients: half of them from site a, half of each site female."""
    for kind in ("pics", "marks"):
        (tmp_path / kind).mkdir()
    rows = ["image,site,sex"]
    for i in range(24):
        patient = i // 2
        pixels = np.full((4, 4), i, np.uint8)
        Image.fromarray(pixels).save(tmp_path / "pics" / f"p{patient:02d}_{i}.png")
        Image.fromarray(pixels % 2).save(tmp_path / "marks" / f"p{patient:02d}_{i}.png")
        rows.append(f"p{patient:02d}_{i},{'ab'[patient % 2]},{'fm'[patient // 2 % 2]}")
    (tmp_path / "groups.csv").write_text("\n".join(rows))
    out = tmp_path / "cohort"
    arguments = {"images": "pics", "masks": "marks", "groups": "groups.csv", "out": "cohort"}
    command = [part for key, value in arguments.items() for part in (f"--{key}", tmp_path / value)]
    assert run("prepare", "folder", *command, "--patient", r"^(p\d+)_") == 0
    return out


def run(*arguments):
    return cli.main(["data", *map(str, arguments)])


def content_of(folder):
    return json.loads((folder / "datalist.json").read_text())


def test_patients_stay_whole_and_strata_even(cohort):
    assert run("split", cohort, "--stratify", "site", "sex", "--seed", 3, "--sizes", 1, 1, 1) == 0
    content = content_of(cohort)
    assert (content["seed"], content["group"]) == (3, "patient")
    for split in SPLITS:
        entries = content[split]
        assert len({e["patient"] for e in entries}) == 4
        assert Counter((e["site"], e["sex"]) for e in entries) == {
            (site, sex): 2 for site in "ab" for sex in "fm"
        }
    read_datalist(cohort).entries("test")


def test_a_new_split_is_checked_next(cohort, capsys):
    assert run("split", cohort) == 0
    *_, last = capsys.readouterr().out.splitlines()
    assert last == f"next        unet-school data check {cohort}"


def test_the_seed_decides(cohort):
    seen = []
    for seed in (1, 1, 2):
        assert run("split", cohort, "--seed", seed) == 0
        seen.append(content_of(cohort))
    assert seen[0] == seen[1]
    assert {e["image"] for e in seen[0]["test"]} != {e["image"] for e in seen[2]["test"]}


def test_folds_test_each_case_once(cohort, capsys):
    capsys.readouterr()
    assert run("split", cohort, "--folds", 4, "--stratify", "site") == 0
    printed = capsys.readouterr().out
    assert printed.count("12 training, 6 validation, 6 test") == 4
    following = f"next        unet-school train BUNDLE --data {cohort / 'folds' / '0'}"
    assert printed.splitlines()[-1] == following
    tested = []
    for fold in range(4):
        folder = cohort / "folds" / str(fold)
        entries = {split: read_datalist(folder).entries(split) for split in SPLITS}
        patients = [{e.columns["patient"] for e in members} for members in entries.values()]
        assert sum(map(len, patients)) == len(set.union(*patients)) == 12
        tested += [e.columns["patient"] for e in entries["test"]]
    assert Counter(tested) == dict.fromkeys(set(tested), 2)
    assert len(set(tested)) == 12


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--by", "clinic"], "split by 'clinic': not a column of every case; columns: "),
        (["--stratify", "age"], "split by 'age': not a column of every case"),
        (["--folds", "2"], "--folds 2: expected 3 or more"),
        (["--folds", "3", "--stratify", "age"], "split by 'age': not a column"),
        (["--folds", "13"], "found 12 groups"),
        (["--sizes", "5", "0", "5"], "expected positive shares"),
        (["--by", "site"], "found 2 groups"),
    ],
)
def test_errors(cohort, arguments, line, capsys):
    before = content_of(cohort)
    assert run("split", cohort, *arguments) == 1
    assert line in capsys.readouterr().err
    assert content_of(cohort) == before


def test_one_patients_images_in_two_groups_are_refused(cohort, capsys):
    content = content_of(cohort)
    for split in SPLITS:
        for i, entry in enumerate(content[split]):
            entry["ward"] = i % 3
    (cohort / "datalist.json").write_text(json.dumps(content))
    assert run("split", cohort, "--by", "ward") == 1
    assert "of the same patient as" in capsys.readouterr().err


def test_look_alikes_in_two_folds_are_named(cohort, capsys):
    assert run("split", cohort, "--folds", 4) == 0
    assert "looks almost like" not in capsys.readouterr().out
    rng = np.random.default_rng(0)
    scene = rng.integers(0, 250, (40, 40))
    for fold in "01":
        path = cohort / "folds" / fold / content_of(cohort / "folds" / fold)["test"][0]["image"]
        changed = scene + rng.integers(0, 3, scene.shape)
        Image.fromarray(changed.astype(np.uint8)).save(path)
    content = content_of(cohort)
    write_datalist(cohort, {split: content.pop(split) for split in SPLITS}, **content)
    assert run("split", cohort, "--folds", 4) == 0
    printed = capsys.readouterr().out
    assert printed.count("looks almost like") == 1
    assert "in fold" in printed
