"""What an attacker, or a plug-in that is wrong, is refused."""

import gzip
import http.client
import json
import os
import shutil
import socket
import threading

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from pipeline.errors import error_line
from pipeline.serving.jobs import JobQueue
from pipeline.serving.label_uploads import numbers_on_grid
from pipeline.serving.refusals import BusyError
from pipeline.serving.settings import ServeSettings
from pipeline.serving.users import read_users
from tests.pipeline.serving.conftest import OTHER, TOKEN
from tests.pipeline.serving.viewers import Slicer, first_volume
from transforms.places import Grid


def detail(answer, status=400) -> str:
    assert answer.status == status, answer.body
    return answer.json()["detail"]


def test_a_token_is_needed_where_there_are_users(start, users, images, tmp_path):
    address, service = start(users=users)
    anonymous = Slicer(address)
    assert anonymous.call("GET", "/auth/").json() == {"enabled": True}
    for method, path in [("GET", "/info/"), ("POST", "/infer/hippocampus?image=a"),
                         ("PUT", "/datastore/label?image=a"), ("GET", "/nothing"),
                         ("GET", "/auth/token/valid"), ("GET", "/datastore/../info/")]:  # fmt: skip
        assert "token" in detail(anonymous.call(method, path), 401)
    assert "token" in detail(Slicer(address, "t" * 39).call("GET", "/info/"), 401)
    assert "token" in detail(anonymous.log_in("anna", OTHER), 401)
    given = anonymous.log_in("anna", TOKEN)
    assert given.json() == {"access_token": TOKEN, "token_type": "bearer"}
    anna = Slicer(address, TOKEN)
    assert anna.call("GET", "/auth/token/valid").json() == {"username": "anna"}
    image = first_volume(images)
    label = nib.Nifti1Image(np.zeros(nib.load(image).shape, np.uint8), nib.load(image).affine)
    nib.save(label, tmp_path / "label.nii.gz")
    image_id = image.name.removesuffix(".nii.gz")
    saved = anna.save_label(image_id, tmp_path / "label.nii.gz")
    assert saved.json()["author"] == "anna"
    assert TOKEN not in repr(service.__dict__) + repr(read_users(users))
    assert service.cohort.versions(service.images.get(image_id))[0].author == "anna"


def test_a_file_of_users_that_others_can_read_is_refused(users):
    users.chmod(0o640)
    with pytest.raises(ValueError, match=r"users\.txt: others can read the tokens; chmod 600"):
        read_users(users)
    users.chmod(0o600)
    users.write_text("anna short\n")
    with pytest.raises(ValueError, match="line 1: a token of 5 characters, expected 32"):
        read_users(users)
    users.write_text(f"anna {TOKEN}\nbela {TOKEN}\n")
    with pytest.raises(ValueError, match="line 2: a name or token that stands there twice"):
        read_users(users)


def test_other_machines_need_tokens(tmp_path):
    pytest.importorskip("python_multipart", reason="no forms; install unet-school[serve]")
    from pipeline.serving.server import serve

    with pytest.raises(ValueError, match=r"--host 0\.0\.0\.0: other machines could call"):
        serve(tmp_path, None, tmp_path / "labels", ServeSettings(host="0.0.0.0"))


def test_a_name_that_points_here_is_no_name_of_this_machine(slicer):
    """A page may give its own name this machine's address: DNS rebinding."""
    assert "host" in detail(slicer.call("GET", "/info/", host="evil.example:8000"), 421)


@pytest.mark.parametrize(
    "name", ["../datalist", "..%2F..%2Fetc%2Fpasswd", "/etc/passwd", "a\\b", ".serve", "a/b", ""]
)
def test_an_id_is_no_path(slicer, name, images, tmp_path):
    assert slicer.call("GET", f"/datastore/image?image={name}").status == 404
    assert slicer.call("GET", f"/datastore/label?label={name}").status == 404
    before = sorted(path for path in tmp_path.rglob("*") if path.is_file())
    raw = slicer.form("PUT", f"/datastore/?image={name}", {}, {"file": first_volume(images)})
    assert raw.status == 400, raw.body
    assert sorted(path for path in tmp_path.rglob("*") if path.is_file()) == before


def test_an_upload_over_the_limit_is_not_read(start, images):
    address, service = start(upload_mb=0.001)
    answer = Slicer(address).upload_image(first_volume(images), "large")
    assert "expected at most" in detail(answer, 413)
    assert not service.cohort.images.exists()
    host, port = address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(
            b"PUT /datastore/?image=a HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            b"Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 99999999999\r\n\r\n"
        )
        connection.settimeout(30)
        assert connection.recv(1000).startswith(b"HTTP/1.1 413")


def test_an_upload_without_a_length_is_cut_off(start):
    address, service = start(upload_mb=0.001)
    host, port = address.removeprefix("http://").split(":")
    connection = http.client.HTTPConnection(host, int(port))
    head = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.nii"\r\n\r\n'
    chunks = iter([head, *[b"0" * 10000] * 20])
    connection.request("PUT", "/datastore/?image=a", chunks,
                       {"content-type": "multipart/form-data; boundary=b"},
                       encode_chunked=True)  # fmt: skip
    assert connection.getresponse().status == 413
    assert not service.cohort.images.exists()


def header_of_nifti(shape) -> bytes:
    image = nib.Nifti1Image(np.zeros((1, 1, 1), np.int16), np.eye(4))
    image.header.set_data_shape(shape)
    return image.header.binaryblock + bytes(4)


def test_a_bomb_is_refused_before_it_is_unpacked(start, tmp_path):
    address, service = start(upload_mb=0.05)
    bomb = tmp_path / "bomb.nii.gz"
    bomb.write_bytes(gzip.compress(header_of_nifti((4, 4, 4)) + bytes(20_000_000)))
    assert bomb.stat().st_size < 50_000
    assert "unpacks to more" in detail(Slicer(address).upload_image(bomb, "bomb"))
    claims = tmp_path / "claims.nii"
    claims.write_bytes(header_of_nifti((3000, 3000, 3000)))
    assert "claims" in detail(Slicer(address).upload_image(claims, "claims"))
    assert not service.cohort.images.exists()


@pytest.mark.parametrize(
    "kind",
    ["nrrd", "nrrd late", "nrrd return", "mha", "mha twice", "mha comment", "mha late", "mhd"],
)
def test_a_header_that_names_another_file_is_refused(slicer, tmp_path, kind):
    secret = tmp_path / "secret.raw"
    secret.write_bytes(bytes(range(64)))
    path = tmp_path / f"evil.{kind.split()[0]}"
    nrrd = "NRRD0004\ntype: uint8\ndimension: 3\nsizes: 4 4 4\nencoding: raw\n"
    meta = "ObjectType = Image\nNDims = 3\nDimSize = 4 4 4\nElementType = MET_UCHAR\n"
    late = "# \n" * 30_000
    own = "Comment = ElementDataFile = LOCAL\n"
    path.write_text({
        "nrrd": f"{nrrd}Data File: {secret}\n\n",
        "nrrd late": f"{nrrd}{late}data file: {secret}\n\n",
        "nrrd return": f"{nrrd}# a\rdata file: {secret}\n\n",
        "mha": f"{meta}ElementDataFile = {secret}\n",
        "mha twice": f"{meta}ElementDataFile = {secret}\nElementDataFile = LOCAL\n",
        "mha comment": f"{own}{meta}ElementDataFile = {secret}\n",
        "mha late": own + "Comment = a\n" * 10_000 + f"{meta}ElementDataFile = {secret}\n",
        "mhd": f"{meta}ElementDataFile = {secret}\n",
    }[kind])  # fmt: skip
    answer = slicer.upload_image(path, "evil")
    words = "expected one of" if kind == "mhd" else "names another file"
    assert words in detail(answer)
    assert "evil" not in json.dumps(slicer.call("GET", "/datastore/?output=all").json())


def saved(slicer, images, tmp_path, array, affine=None, name="label.nii.gz", info=None):
    source = nib.load(first_volume(images))
    nib.save(nib.Nifti1Image(array, source.affine if affine is None else affine), tmp_path / name)
    image_id = first_volume(images).name.removesuffix(".nii.gz")
    return slicer.save_label(image_id, tmp_path / name, info)


def test_a_label_that_is_not_of_its_image_is_refused(slicer, images, tmp_path):
    source = nib.load(first_volume(images))
    array = np.zeros(source.shape, np.uint8)
    moved = source.affine.copy()
    moved[0, 3] += 2
    smaller = saved(slicer, images, tmp_path, array[1:])
    assert "submit it on the grid of the image" in detail(smaller)
    beside = saved(slicer, images, tmp_path, array, moved)
    assert "lies 2 voxels beside its image" in detail(beside)
    array[0, 0, 0] = 7
    assert "found the numbers 7, expected 1, 2" in detail(saved(slicer, images, tmp_path, array))
    array[0, 0, 0] = 1
    tumour = [{"name": "tumour", "idx": 1}]
    answer = saved(slicer, images, tmp_path, array, info=tumour)
    assert "found the segments tumour, expected anterior, posterior" in detail(answer)
    skipped = [{"name": "anterior", "idx": 2}, {"name": "posterior", "idx": 3}]
    answer = saved(slicer, images, tmp_path, array, info=skipped)
    assert "idx do not count from 1" in detail(answer)
    halves = saved(slicer, images, tmp_path, array.astype(np.float32) / 2)
    assert "found fractions" in detail(halves)
    nrrd = tmp_path / "segmentation.seg.nrrd"
    sitk.WriteImage(sitk.GetImageFromArray(array.T), str(nrrd))
    image_id = first_volume(images).name.removesuffix(".nii.gz")
    assert "found a file '.seg.nrrd'" in detail(slicer.save_label(image_id, nrrd))
    assert "tag: found 'original'" in detail(slicer.save_label(image_id, nrrd, tag="original"))
    assert not (slicer.service.cohort.folder / "datalist.json").exists()
    assert not list((slicer.service.work / "uploads").iterdir())


@pytest.mark.parametrize("size", [0.0, np.nan])
def test_a_label_without_a_place_is_refused(tmp_path, size):
    image = nib.Nifti1Image(np.zeros((4, 5, 6), np.uint8), np.eye(4))
    image.header["qform_code"] = 0
    image.header["srow_x"][0] = size
    path = tmp_path / "label.nii"
    path.write_bytes(image.header.binaryblock + bytes(4 + 4 * 5 * 6))
    with pytest.raises(ValueError, match="gives its voxels no place; save it again"):
        numbers_on_grid(path, Grid((4, 5, 6), np.eye(4)))


def test_what_the_model_does_not_take_is_refused(slicer, images, tmp_path):
    image_id = first_volume(images).name.removesuffix(".nii.gz")
    assert "not known; expected hippocampus" in detail(slicer.infer("other", image_id), 404)
    assert "not known" in detail(slicer.infer("hippocampus", "nobody"), 404)
    points = slicer.infer("hippocampus", image_id, foreground=[[1, 2, 3]])
    assert "takes no points" in detail(points)
    extension = slicer.infer("hippocampus", image_id, result_extension=".seg.nrrd")
    assert "result_extension: found '.seg.nrrd'" in detail(extension)
    assert "expected an object of JSON" in detail(
        slicer.form("POST", f"/infer/hippocampus?image={image_id}", {"params": "[1"}, {})
    )
    assert slicer.call("DELETE", "/datastore/?id=a&type=image").status == 405
    assert "not started from viewers" in detail(slicer.call("POST", "/train/hippocampus", {}), 403)
    pickle = tmp_path / "weights.pkl"
    pickle.write_bytes(b"\x80\x04.")
    assert "expected one of" in detail(slicer.upload_image(pickle, "weights"))
    for page in ("/docs", "/openapi.json", "/redoc"):
        assert slicer.call("GET", page).status == 404


def test_the_reason_of_an_unexpected_error_is_not_sent(slicer, images, monkeypatch):
    def fail(image):
        raise RuntimeError("a secret")

    monkeypatch.setattr(slicer.service.segmenter, "segment", fail)
    answer = slicer.infer("hippocampus", first_volume(images).name.removesuffix(".nii.gz"))
    assert detail(answer, 500) == "an error of the service; see its log"


def test_one_job_at_a_time_and_a_number_that_wait():
    entered, free = threading.Event(), threading.Event()

    def hold():
        entered.set()
        free.wait()

    with JobQueue(waiting=1) as jobs:
        first = threading.Thread(target=jobs.do, args=(hold,))
        first.start()
        entered.wait()
        second = threading.Thread(target=jobs.do, args=(lambda: None,))
        second.start()
        while not jobs._jobs.full():
            pass
        with pytest.raises(BusyError, match="1 inferences wait already"):
            jobs.do(lambda: None)
        free.set()
        first.join()
        second.join()
    with pytest.raises(BusyError):
        jobs.do(lambda: None)


def test_a_full_disk_is_said(slicer, images, tmp_path, monkeypatch):
    def full(*arguments, **more):
        raise OSError(28, os.strerror(28), "labels")

    monkeypatch.setattr("pipeline.serving.label_cohort.save_label", full)
    array = np.zeros(nib.load(first_volume(images)).shape, np.uint8)
    answer = saved(slicer, images, tmp_path, array)
    assert "No space left" in detail(answer, 507)


def test_a_missing_extra_is_one_line(monkeypatch):
    error = ModuleNotFoundError("No module named 'python_multipart'", name="python_multipart")
    assert "unet-school[serve]" in error_line(error)


def test_a_cohort_of_other_labels_is_refused(start, tmp_path, real_data):
    folder = tmp_path / "other"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    (folder / "datalist.json").write_text('{"labels": {"liver": 1}, "training": []}')
    with pytest.raises(ValueError, match=r"has the labels .*liver.*give another --data"):
        start(data=folder)


def test_an_origin_that_is_no_address_is_refused(slicer):
    for origin in ("http://[", "null", "http://evil.example"):
        assert "origin" in detail(slicer.call("GET", "/info/", origin=origin), 403)


def test_what_a_killed_service_left_is_removed(start):
    """A download may be of an image that has changed since."""
    _, service = start()
    [series] = [image for image in service.images.all() if image.header is not None]
    download = service.files.viewer_file(series)
    upload = service.work / "uploads" / "a.nii.gz"
    upload.parent.mkdir(exist_ok=True)
    upload.touch()
    unfinished = service.cohort.images / ".unfinished-host-1-ab.nii.gz"
    unfinished.parent.mkdir(parents=True)
    unfinished.touch()
    start()
    assert not download.exists()
    assert not upload.exists()


def test_an_upload_replaces_no_file_of_the_cohort(slicer, images):
    """A file of the cohort may be served under another id than its name."""
    target = slicer.service.cohort.images / "taken.nii.gz"
    target.parent.mkdir(parents=True)
    target.write_bytes(b"of another")
    assert "not served; rename" in detail(slicer.upload_image(first_volume(images), "taken"))
    assert target.read_bytes() == b"of another"


def test_an_upload_leaves_room_on_the_disk(slicer, images, monkeypatch):
    monkeypatch.setattr("pipeline.serving.uploads.FREE_BYTES", 10**18)
    assert "make room" in detail(slicer.upload_image(first_volume(images), "another"), 507)
