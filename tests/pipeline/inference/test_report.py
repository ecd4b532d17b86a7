"""A report says of every file in its folder whether it is of this inference."""

import json

import pytest

from pipeline.inference.report import InferenceCase, InferenceReport


@pytest.fixture
def cases(tmp_path):
    """Return a function that gives the cases of names."""

    def cases(*names):
        folder = tmp_path / "images"
        folder.mkdir(exist_ok=True)
        for name in names:
            if not (folder / name).exists():
                (folder / name).write_text(name)
        return [InferenceCase(folder / name, [{}], (folder / name,)) for name in names]

    return cases


@pytest.fixture
def infer(tmp_path):
    """Return a function that infers cases at a threshold, as far as some of them."""

    def infer(cases, threshold, made=None, failed=()):
        report = InferenceReport(tmp_path / "out", {"threshold": threshold}, {})
        for case in report.begin(cases)[:made]:
            if case.name in failed:
                report.fail(case.name, "cannot be read")
                continue
            path = tmp_path / "out" / "mask" / case.name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(str(threshold))
            entry = {"image": case.name, "files": [f"mask/{case.name}"], "seconds": 1}
            report.add({**entry, "coverage": "partial"}, case)
        if made is None:
            report.write()
        return report

    return infer


@pytest.fixture
def read(tmp_path):
    return lambda: json.loads((tmp_path / "out" / "run_report.json").read_text())


def listed(content):
    return [entry["image"] for entry in content["per_image"]]


def test_a_whole_inference_leaves_nothing_open(infer, cases, read):
    infer(cases("a.png", "b.png"), 0.5)
    content = read()
    assert listed(content) == ["a.png", "b.png"]
    assert content["not_yet_made"] == content["files_of_earlier_inferences"] == []


@pytest.mark.parametrize("made", [0, 1, 2])
def test_what_was_killed_claims_no_mask_of_other_settings(infer, cases, read, made):
    images = cases("a.png", "b.png", "c.png")
    infer(images, 0.5)
    infer(images, 0.9, made)  # killed: the last writing of the report does not come
    content = read()
    assert content["threshold"] == 0.9
    assert listed(content) == []
    assert content["not_yet_made"] == ["a.png", "b.png", "c.png"]
    assert content["files_of_earlier_inferences"] == ["mask/a.png", "mask/b.png", "mask/c.png"]


def test_what_was_killed_is_made_again_by_any_settings(infer, cases, read, tmp_path):
    images = cases("a.png", "b.png", "c.png")
    infer(images, 0.5)
    infer(images, 0.9, made=1)
    infer(images, 0.5)  # a.png is by 0.9 now, although it was by 0.5 before
    assert listed(read()) == ["a.png", "b.png", "c.png"]
    assert {path.read_text() for path in (tmp_path / "out" / "mask").iterdir()} == {"0.5"}
    assert read()["files_of_earlier_inferences"] == []


def test_an_image_that_fails_keeps_its_earlier_mask_and_the_report_says_so(infer, cases, read):
    images = cases("a.png", "b.png")
    infer(images, 0.5)
    report = infer(images, 0.9, failed=("b.png",))
    assert read()["files_of_earlier_inferences"] == ["mask/b.png"]
    assert read()["not_yet_made"] == []
    assert (
        "1 files are of earlier inferences, by another model or other settings: mask/b.png; remove "
        "them if they are not wanted"
    ) in report.lines()


def test_files_without_a_report_are_named(infer, cases, read, tmp_path):
    infer(cases("a.png"), 0.5)
    (tmp_path / "out" / "run_report.json").write_text("{")  # cut off
    (tmp_path / "out" / "mask" / ".5e1f.png").touch()  # being written when it was killed
    infer(cases("b.png"), 0.5)
    assert read()["files_of_earlier_inferences"] == ["mask/a.png"]


def test_masks_of_images_that_are_gone_stay_named_until_they_are_removed(
    infer, cases, read, tmp_path
):
    infer(cases("a.png", "b.png"), 0.5)
    for _ in range(2):
        infer(cases("a.png"), 0.5)
        assert read()["masks_of_images_that_are_gone"] == ["mask/b.png"]
    infer(cases("a.png", "b.png"), 0.5)
    assert read()["masks_of_images_that_are_gone"] == []
    infer(cases("a.png"), 0.5)
    (tmp_path / "out" / "mask" / "b.png").unlink()
    infer(cases("a.png"), 0.5)
    assert read()["masks_of_images_that_are_gone"] == []
