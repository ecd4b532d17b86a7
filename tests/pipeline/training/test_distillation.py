"""A student learns from its teachers, from those that did not see a case, and from no leak."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from ignite.engine import Events
from monai.data import MetaTensor

from pipeline.bundle import Bundle
from pipeline.data import image_hashes, read_datalist, write_datalist
from pipeline.errors import without_wrapping
from pipeline.inference.trained_model import (
    ModelRecord,
    read_record,
    write_record,
)
from pipeline.losses import soft_target_divergence
from pipeline.networks import Ensemble
from pipeline.sharing.packed_configs import packed_configs, packed_values
from pipeline.states import read_state
from pipeline.training.plain_tensors import plain
from pipeline.training.teachers import refuse_leak, refuse_unlike
from tests.conftest import ROOT
from tests.pipeline.training.outcome import equal, train, weights

DISTILL = "recipe/distill"


def entries(cohort, split):
    """Entries of a split with absolute paths, as another datalist takes them."""
    folder = Path(cohort)
    return [
        {key: str(folder / value) for key, value in entry.unhashed().items()}
        for entry in read_datalist(folder).listed(split)
    ]


def cohort_of(folder, phantom, left_out):
    """A cohort that tests one training image, validates as the student, and trains on the rest."""
    training = entries(phantom, "training")
    folder.mkdir(parents=True)
    splits = {
        "training": [entry for i, entry in enumerate(training) if i != left_out],
        "validation": entries(phantom, "validation"),
        "test": [training[left_out]],
    }
    write_datalist(folder, splits, name="fold")
    return folder


@pytest.fixture(scope="module")
def trained(bundle, phantom, small, tmp_path_factory):
    """Three folds of the training split, as crossval --hold-out leaves them."""
    root = tmp_path_factory.mktemp("teachers")
    for fold in range(3):
        places = {
            "dataset_dir": str(cohort_of(root / "folds" / str(fold), phantom, fold)),
            "models_dir": str(root / "cv" / f"fold_{fold}"),
            "tracking_dir": str(root / "mlruns"),
        }
        Bundle(bundle.parent, [], {**small, **places, "seed": fold, "max_epochs": 1}).run(
            "training"
        )
    return root / "cv"


@pytest.fixture
def teachers(trained, tmp_path):
    """A copy of them, which a test may change."""
    return Path(shutil.copytree(trained, tmp_path / "cv"))


def made(workflow):
    """The distillation of a training, without MONAI's words around an error."""
    with without_wrapping():
        (distillation,) = workflow.parts("distillation")
    return distillation


def student(start, teachers, **more):
    return start(overlays=[DISTILL], teachers=str(teachers), **more)


def test_each_case_is_taught_by_the_fold_that_did_not_see_it(start, teachers, phantom, capfd):
    workflow = student(start, teachers)
    distillation = made(workflow)
    for fold, entry in enumerate(entries(phantom, "training")):
        assert distillation.unseen_of(entry["image"]) == [fold]
    with pytest.raises(ValueError, match=r"other\.png: an image that the training split does not"):
        distillation.unseen_of("other.png")
    folder = train(workflow)
    assert (
        "3 of 3 training cases taught by those that did not train on it" in capfd.readouterr().out
    )
    assert len(json.loads((folder / "teachers.json").read_text())) == 3
    first, *_ = (read_record(path) for path in sorted(teachers.glob("*/model.pt")))
    assert read_record(folder / "model.pt").tags["distilled_from"].startswith(first.sha256[:12])


def test_the_loss_of_a_step_by_the_formula(start, teachers):
    workflow = student(
        start, teachers, teacher_share=0.25, temperature=2.0, max_epochs=1, precision="float32"
    )
    trainer = workflow.trainer
    distillation = made(workflow)
    of_truth = trainer.loss_function
    found = []

    def check(engine):
        output, image = engine.state.output, engine.state.batch["image"]
        asked = [
            distillation.teachers[distillation.unseen_of(name)[0]].network
            for name in image.meta["filename_or_obj"]
        ]
        with torch.no_grad():
            soft = torch.cat([one(x[None]) for one, x in zip(asked, plain(image), strict=True)])
        logits, truth = output["pred"].detach(), output["label"]
        divergence = soft_target_divergence(logits, soft, truth, 2.0)
        expected = 0.75 * of_truth(logits, truth) + 0.25 * 4 * divergence
        found.append((output["loss"].item(), expected.item()))

    trainer.add_event_handler(Events.ITERATION_COMPLETED, check)
    train(workflow)
    assert len(found) == 2
    for loss, expected in found:
        assert loss == pytest.approx(expected, rel=1e-4)


def test_all_teachers_are_one_ensemble(start, teachers):
    workflow = student(start, teachers, teachers_of="all", precision="float32")
    distillation = made(workflow)
    image = torch.randn(2, 1, 32, 32)
    together = Ensemble([teacher.network for teacher in distillation.teachers])
    with torch.no_grad():
        expected = together(image)
    torch.testing.assert_close(distillation._soft_logits(image, expected), expected)
    assert not any(w.requires_grad for t in distillation.teachers for w in t.network.parameters())


def test_a_share_of_nothing_changes_no_weight(start, teachers):
    plainly = train(start(seed=1))
    nothing = train(student(start, teachers, teacher_share=0.0, seed=1))
    half = train(student(start, teachers, seed=1))
    assert equal(weights(plainly), weights(nothing))
    assert not equal(weights(plainly), weights(half))


def test_a_resumed_student_equals_an_uninterrupted_one_and_keeps_its_teachers(start, teachers):
    def interrupt():
        raise KeyboardInterrupt

    whole = train(student(start, teachers, max_epochs=3))
    workflow = student(start, teachers, max_epochs=3)
    workflow.trainer.add_event_handler(Events.ITERATION_COMPLETED(once=5), interrupt)
    with pytest.raises(KeyboardInterrupt):
        workflow.run()
    half = Path(workflow.parser.get_parsed_content("output_dir"))
    names = json.loads((half / "teachers.json").read_text())
    (half / "teachers.json").write_text(json.dumps(names[::-1]))
    with pytest.raises(ValueError, match="begun with other teachers"), without_wrapping():
        train(student(start, teachers, max_epochs=3, resume=str(half)))
    (half / "teachers.json").write_text(json.dumps(names))
    resumed = train(start(overlays=[], max_epochs=3, resume=str(half)))  # has them from its state
    assert equal(weights(whole), weights(resumed))
    assert read_state(resumed / "last.pt")["trainer"]["epoch"] == 3


@pytest.mark.parametrize(
    ("split", "field"),
    [("validation", "trained_on"), ("test", "trained_on"), ("test", "chosen_on")],
)
def test_a_teacher_that_saw_what_judges_the_student_is_refused(phantom, split, field):
    (digest, name), *_ = image_hashes(str(phantom), split).items()
    seen = {"trained_on": ["another"], field: [digest]}
    record = ModelRecord(bundle="membranes", sha256="", hashes=["values"], **seen)
    with pytest.raises(ValueError, match=rf"saw {name}, which is of the student's {split} split"):
        refuse_leak(Path("model.pt"), record, str(phantom))


def test_one_teacher_that_leaks_refuses_all(start, teachers, phantom):
    path = teachers / "fold_1" / "model.pt"
    record = read_record(path)
    seen = [*record.trained_on, *image_hashes(str(phantom), "test")]
    write_record(path, record.model_copy(update={"trained_on": seen}))
    with pytest.raises(ValueError, match=r"fold_1/model\.pt: a teacher that saw"):
        made(student(start, teachers))


def test_a_teacher_may_be_chosen_by_the_students_validation(phantom):
    chosen = list(image_hashes(str(phantom), "validation"))
    record = ModelRecord(bundle="membranes", sha256="", trained_on=["another"], chosen_on=chosen)
    refuse_leak(Path("model.pt"), record, str(phantom))
    unknown = record.model_copy(update={"trained_on": []})
    with pytest.raises(ValueError, match="does not say what it was trained on"):
        refuse_leak(Path("model.pt"), unknown, str(phantom))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("labels", {"cell": 1}), ("in_channels", 3), ("spatial_dims", 3),
        ("pixel_size", [1.0, 1.0]), ("image_preprocessing", []),
    ],
)  # fmt: skip
def test_teachers_that_see_or_answer_otherwise_are_refused(bundle, key, value):
    own = Bundle(bundle.parent).config("training")
    refuse_unlike(Path("model.pt"), own, own)
    with pytest.raises(ValueError, match=rf"a teacher with {key} .*, the student has"):
        refuse_unlike(Path("model.pt"), {**own, key: value}, own)


def test_maps_of_another_size_are_refused(start, teachers):
    workflow = student(start, teachers)
    distillation = made(workflow)
    (name, *_) = distillation.unseen
    image = MetaTensor(torch.zeros(1, 1, 32, 32), meta={"filename_or_obj": [str(name)]})
    with pytest.raises(ValueError, match=r"maps of \(1, 32, 32\), the student has \(2, 32, 32\)"):
        distillation._soft_logits(image, torch.zeros(1, 2, 32, 32))
    with pytest.raises(ValueError, match="do not name their files"):
        distillation._soft_logits(torch.zeros(1, 1, 32, 32), torch.zeros(1, 1, 32, 32))


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"teacher_share": 1.5}, r"teacher_share: found 1\.5"),
        ({"temperature": 0}, "temperature: found 0"),
        ({"teachers_of": "some"}, "teachers_of: found 'some'"),
        ({"teachers": None}, "teachers: found null"),
    ],
)
def test_settings_out_of_range_are_refused(start, tmp_path, settings, line):
    workflow = start(overlays=[DISTILL], **{"teachers": str(tmp_path), **settings})
    with pytest.raises(ValueError, match=line):
        made(workflow)


def test_folders_without_a_teacher_are_refused(start, teachers, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="no trained model in it"):
        made(student(start, tmp_path / "empty"))
    for state in (teachers / "fold_0").glob("*/*.pt"):
        if state.name != "model.pt":
            state.unlink()
    with pytest.raises(FileNotFoundError, match="no state of its training"):
        made(student(start, teachers))


def test_a_package_has_no_teachers():
    own = ROOT / "bundles" / "membranes"
    taught = Bundle(own, [DISTILL], {"teachers": "/home/someone/cv"})
    values = packed_values(taught, taught.config("training"), taught.config("evaluating"))
    alone = Bundle(own)
    assert values == packed_values(alone, alone.config("training"), alone.config("evaluating"))
    assert not any(b"teacher" in config for config in packed_configs(values).values())
