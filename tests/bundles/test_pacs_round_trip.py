"""Through the archive: studies are sent, segmented by the watcher, and their results read again."""

import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.uid import SegmentationStorage

from pipeline import cli
from pipeline.data.volumes import read_volume
from pipeline.pacs.inference import InferBundle
from tests.pipeline.dicom.conftest import (  # noqa: F401 - a fixture
    made,
    write_series,
    write_x_ray,
)
from tests.pipeline.dicom.test_seg import PLACED, placed_again
from tests.pipeline.pacs.conftest import (  # noqa: F401 - fixtures
    archive,
    own_port,
    running_archive,
    write_config,
)
from tests.pipeline.pacs.test_watch import push_all, studies_of, watch_once

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("in_this_process")]
SHORT = ["max_epochs=2", "steps_per_epoch=5", "batch_size=1", "val_interval=1", "threads=1"]


class InferHere(InferBundle):
    """The words of ``infer``, without a process of its own."""

    def __call__(self, study: Path, out: Path) -> list[Path]:
        assert cli.main(self.command(study, out)[3:]) == 0
        return sorted(out.rglob("*.dcm"))


def call(*words: object) -> None:
    assert cli.main([str(word) for word in words]) == 0


def trained_on(folder, images, masks):
    """Return a bundle planned for some files, and trained for seconds."""
    for kind, files in (("images", images), ("masks", masks)):
        (folder / kind).mkdir(parents=True)
        for file in files:
            shutil.copy(file, folder / kind / file.name.replace("_mask", ""))
    call("new", folder / "made", "--images", folder / "images", "--masks", folder / "masks")
    call("train", folder / "made", "--set", *SHORT)
    return folder / "made"


@pytest.fixture
def volumes(real_data, tmp_path):
    """A bundle for volumes of any modality, since NIfTI states none."""
    folders = (real_data / "hippocampus" / kind for kind in ("imagesTr", "labelsTr"))
    return trained_on(tmp_path / "mr", *(sorted(folder.glob("*.nii.gz"))[:4] for folder in folders))


@pytest.fixture
def x_rays(real_data, tmp_path):
    images = sorted((real_data / "shenzhen" / "CXR_png").glob("*.png"))[:4]
    masks = [real_data / "shenzhen" / "mask" / f"{image.stem}_mask.png" for image in images]
    return trained_on(tmp_path / "x", images, masks)


def first(folder) -> pydicom.Dataset:
    return pydicom.dcmread(next(folder.iterdir()), stop_before_pixels=True)


def through_the_archive(config, bundle, images, out, kinds=("seg", "rtstruct")):
    """Push studies, let the watcher work, and return the segmentation of each series, as pulled."""
    push_all(config, images)
    watch_once(config, InferHere(bundle, kinds))
    studies = studies_of(config)
    assert {study.state for study in studies.values()} == {"done"}, studies
    call("pacs", "pull", "--config", config, "--peer", "web", "--study", *studies, "--out", out)
    files = [pydicom.dcmread(path) for path in out.rglob("*.dcm")]
    segs = [file for file in files if file.SOPClassUID == SegmentationStorage]
    return {str(seg.ReferencedSeriesSequence[0].SeriesInstanceUID): seg for seg in segs}


def test_every_geometry_comes_back_bit_by_bit(volumes, made, write_config, tmp_path):  # noqa: F811
    """Masks in the archive are those of ``infer`` on the files, at the places of their images."""
    images = tmp_path / "images"
    for kind in PLACED:
        source = made(kind)
        (images / kind).mkdir(parents=True)
        for file in [source] if source.is_file() else source.iterdir():
            shutil.copy(file, images / kind)
    call("infer", volumes, "--images", images, "--out", tmp_path / "direct")
    pulled = through_the_archive(
        write_config(watch__poll="web"), volumes, images, tmp_path / "pulled"
    )
    voxels = 0
    for kind in PLACED:
        [path] = (tmp_path / "direct" / "mask").glob(f"{kind}.nii.gz")
        mask = np.asarray(nib.load(path).dataobj)
        seg = pulled[str(first(images / kind).SeriesInstanceUID)]
        reference = next((images / kind).iterdir()) if "frames" in kind else images / kind
        for number, placed in enumerate(placed_again(seg, read_volume(reference)), 1):
            np.testing.assert_array_equal(placed, mask == number, err_msg=kind)
            voxels += placed.sum()
    assert voxels > 0


def test_an_x_ray_comes_back_bit_by_bit(x_rays, write_config, tmp_path):  # noqa: F811
    (tmp_path / "images").mkdir()
    write_x_ray(tmp_path / "images" / "x.dcm")
    call("infer", x_rays, "--images", tmp_path / "images", "--out", tmp_path / "direct")
    config = write_config(watch__poll="dimse")
    places = (tmp_path / "images", tmp_path / "pulled")
    [seg] = through_the_archive(config, x_rays, *places, kinds=["seg"]).values()
    mask = np.asarray(Image.open(tmp_path / "direct" / "mask" / "x.png")) > 0
    np.testing.assert_array_equal(seg.pixel_array, mask)
    assert mask.any()


def test_a_localizer_beside_the_series_is_left_alone(volumes, write_config, tmp_path):  # noqa: F811
    series = write_series(tmp_path / "images", "plain")
    localizer = pydicom.dcmread(next(series.iterdir()))
    localizer.SeriesInstanceUID = pydicom.uid.generate_uid()
    localizer.SOPInstanceUID = pydicom.uid.generate_uid()
    localizer.file_meta.MediaStorageSOPInstanceUID = localizer.SOPInstanceUID
    localizer.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    localizer.ImageOrientationPatient = [0, 1, 0, 0, 0, -1]
    uid = str(first(series).SeriesInstanceUID)
    localizer.save_as(series / "zzz.dcm", enforce_file_format=True)
    config = write_config(watch__poll="web")
    pulled = through_the_archive(config, volumes, tmp_path / "images", tmp_path / "pulled")
    assert set(pulled) == {uid}
