"""What one user may see of the others and of the machine."""

import json
import re
import sys

import nibabel as nib
import numpy as np
import pytest

from pipeline.serving import label_versions, sessions, uploads
from pipeline.serving.plain_answers import NamesOnly
from tests.pipeline.serving.conftest import OTHER, TOKEN, wait_for
from tests.pipeline.serving.test_refusals import detail
from tests.pipeline.serving.viewers import Slicer, first_volume


def test_sessions_of_one_user_push_out_none_of_another(start, users, volumes):
    address, service = start(users=users)
    anna, bela = Slicer(address, TOKEN), Slicer(address, OTHER)
    kept = anna.create_session(volumes[8]).json()["session_id"]
    own = [bela.create_session(volumes[8]).json()["session_id"]
           for _ in range(sessions.MAX_SESSIONS + 2)]  # fmt: skip
    assert anna.call("GET", f"/session/{kept}").status == 200
    statuses = [bela.call("GET", f"/session/{key}").status for key in own]
    assert statuses == [404, 404, *[200] * sessions.MAX_SESSIONS]
    assert len(list(service.sessions.folder.iterdir())) == 1 + sessions.MAX_SESSIONS
    assert bela.call("GET", f"/session/{kept}").status == 404
    assert bela.call("DELETE", f"/session/{kept}").status == 404
    assert bela.infer("hippocampus", "", session=kept).status == 404
    assert anna.infer("hippocampus", "", session=kept).status == 200


def test_answers_name_files_and_not_their_places(start, users, images, tmp_path):
    lines = f"print('saved {tmp_path}/labels/.serve/model.pt', flush=True)"
    address, service = start(users=users, training=True, command=(sys.executable, "-c", lines))
    anna, path = Slicer(address, TOKEN), first_volume(images)
    image_id = path.name.removesuffix(".nii.gz")
    label = tmp_path / "label.nii.gz"
    source = nib.load(path)
    nib.save(nib.Nifti1Image(np.ones(source.shape, np.uint8), source.affine), label)
    assert anna.save_label(image_id, label).status == 200
    answers = [
        anna.call("GET", f"/datastore/image/info?image={image_id}"),
        anna.next_sample("random"),
        anna.call("GET", f"/datastore/label/info?label={image_id}"),
        anna.call("GET", "/datastore/?output=all"),
        anna.call("POST", "/train/", {}),
        anna.call("GET", "/info/"),
    ]
    nib.save(nib.Nifti1Image(source.get_fdata() + 1, source.affine), path)
    answers.append(anna.save_label(image_id, label))
    assert "the cohort has another image of this name, " in detail(answers[-1])
    path.write_bytes(b"broken")
    answers.append(anna.infer("hippocampus", image_id))
    assert path.name in detail(answers[-1])
    service.cohort.datalist = lambda: type("L", (), {"listed": lambda self, split: (1,)})()
    anna.call("POST", "/train/", {})
    training = lambda: anna.call("GET", "/train/")  # noqa: E731
    wait_for(lambda: training().json()["status"] == "DONE")
    assert "saved labels/.serve/model.pt" in training().json()["details"]
    for answer in [*answers, training()]:
        assert str(tmp_path) not in answer.body.decode(), answer.body


def test_a_viewer_of_this_machine_may_load_the_file_itself(slicer, images):
    path = first_volume(images)
    image_id = path.name.removesuffix(".nii.gz")
    sample = slicer.call("GET", f"/datastore/image/info?image={image_id}").json()
    assert sample["path"] == str(path)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("/a/b/c.nii: bad", "c.nii: bad"),
        ("see '/a/b b/c.nii', /x/y.log.", "see 'b b/c.nii', y.log."),
        (r"C:\Users\anna\scan.nii: bad", "scan.nii: bad"),
        ("GET /datastore/?output=all", "GET /datastore/?output=all"),
        ("http://localhost:3000 for OHIF", "http://localhost:3000 for OHIF"),
        ("/our data/labels/a/b.png, ../labels/c", "labels/a/b.png, labels/c"),
    ],
)
def test_names_only(line, expected, tmp_path):
    names = NamesOnly([tmp_path / "x", *map(type(tmp_path), ("/our data/labels", "../labels"))])
    assert names(line) == expected


def test_all_labels_are_read_once_for_an_answer(slicer, images, tmp_path, monkeypatch):
    label = tmp_path / "label.nii.gz"
    for image in slicer.service.images.all()[:2]:
        sample = slicer.call("GET", f"/datastore/image/info?image={image.id}").json()
        source = nib.load(sample["path"])
        nib.save(nib.Nifti1Image(np.zeros(source.shape[:3], np.uint8), source.affine), label)
        for _ in range(2):
            assert slicer.save_label(image.id, label).status == 200
    read = []
    reader = label_versions.read_schema
    counted = lambda path, *more: read.append(path) or reader(path, *more)  # noqa: E731
    monkeypatch.setattr(label_versions, "read_schema", counted)
    objects = slicer.call("GET", "/datastore/?output=all").json()["objects"]
    assert sorted(len(one["labels"]) for one in objects.values()) == [0, 1, 1]
    assert {one["labels"]["final"]["info"]["version"] for one in objects.values()
            if one["labels"]} == {2}  # fmt: skip
    assert len(read) == len(set(read)) == 4
    assert len(slicer.call("GET", "/datastore/?output=train").json()) == 2


def test_an_upload_is_checked_while_no_other_is_decoded(slicer, images, monkeypatch):
    """A header may have gigabytes of extensions, which its reader keeps in memory."""
    held, check = [], uploads.check_upload
    store = slicer.service.uploads
    seen = lambda *given: held.append(store.decoding.locked()) or check(*given)  # noqa: E731
    monkeypatch.setattr(uploads, "check_upload", seen)
    assert slicer.upload_image(first_volume(images), "another").status == 200
    assert slicer.create_session(first_volume(images)).status_code == 200
    assert held == [True, True]
    assert not store.decoding.locked()


def test_points_and_scribbles_are_refused_by_their_names(slicer, images, tmp_path):
    image_id = first_volume(images).name.removesuffix(".nii.gz")
    model = slicer.info()["models"]["hippocampus"]
    assert model["prompts"] == []
    assert "takes no points, boxes or scribbles" in model["description"]
    given = {"foreground": [[1, 2, 3]], "roi": [0, 9, 0, 9, 0, 9], "anterior": [[1, 2, 3]],
             "points": {"background": [[1, 2, 3]]}}  # fmt: skip
    for name, value in given.items():
        answer = slicer.infer("hippocampus", image_id, **{name: value})
        assert re.match(rf"{name}: this model takes no points", detail(answer))
    path = f"/infer/hippocampus?image={image_id}"
    scribbles = slicer.form("POST", path, {"params": "{}"}, {"label": first_volume(images)})
    assert detail(scribbles).startswith("label: this model takes no points, boxes, scribbles")
    none = slicer.infer("hippocampus", image_id, foreground=[], background=[])
    assert none.status == 200, json.dumps(none.body.decode("latin-1"))[:200]
