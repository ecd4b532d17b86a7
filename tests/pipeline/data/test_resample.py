"""A label on another grid than its volume: refused by name, resampled on request."""

import nibabel as nib
import numpy as np
import pytest

from pipeline import cli
from pipeline.data import read_datalist
from pipeline.data.datalist import write_datalist
from pipeline.data.fingerprint import cohort_cases, inspect_cases
from pipeline.data.issues import sizes
from pipeline.data.resample import resample_label
from pipeline.data.volumes import Volume, read_volume

SHAPE, AFFINE = (12, 14, 10), np.diag([-1.0, 2.0, 3.0, 1.0])


def box(shape=SHAPE):
    label = np.zeros(shape, np.uint8)
    label[3:9, 4:10, 2:8] = 2
    return label


@pytest.fixture
def cohort(tmp_path):
    """Four volumes; the first label is cropped, the second is stored in another order."""
    rng = np.random.default_rng(0)
    for folder in ("images", "labels"):
        (tmp_path / folder).mkdir()
    entries = []
    for i in range(4):
        image = nib.Nifti1Image(rng.normal(size=SHAPE).astype(np.float32), AFFINE)
        label = nib.Nifti1Image(box(), AFFINE)
        if i == 0:
            label = label.slicer[2:11, 3:12, 1:9]
        if i == 1:
            label = nib.as_closest_canonical(label)
        nib.save(image, tmp_path / "images" / f"v{i}.nii.gz")
        nib.save(label, tmp_path / "labels" / f"v{i}.nii.gz")
        entries.append({"image": f"images/v{i}.nii.gz", "label": f"labels/v{i}.nii.gz"})
    splits = {"training": entries[:2], "validation": entries[2:3], "test": entries[3:]}
    write_datalist(tmp_path, splits, labels={"box": 2})
    return tmp_path


def test_a_cropped_label_is_resampled_and_one_in_another_order_is_fine(cohort, capsys):
    assert cli.main(["data", "check", str(cohort)]) == 1
    printed = capsys.readouterr().out
    assert "v0.nii.gz: size 9 x 9 x 8, its image 12 x 14 x 10" in printed
    assert "let --mend resample it" in printed
    assert "v1.nii.gz" not in printed
    assert cli.main(["data", "check", str(cohort), "--mend"]) == 0
    entry = read_datalist(cohort).listed("training")[0]
    assert entry.label == "labels/v0_mended.nii.gz"
    mended = read_volume(cohort / entry.label)
    assert np.array_equal(mended.array, box())
    assert np.allclose(mended.affine, AFFINE)


def test_a_label_elsewhere_is_refused_by_voxels_and_rounded_headers_are_not(cohort):
    for shift, level in ((0.02, []), (0.3, ["warning"]), (2.0, ["error"])):
        moved = AFFINE.copy()
        moved[0, 3] += shift
        nib.save(nib.Nifti1Image(box(), moved), cohort / "labels" / "v2.nii.gz")
        cases = inspect_cases(cohort_cases(cohort))
        assert cases[2].offset == pytest.approx(shift, abs=1e-3)
        assert [issue.level for issue in sizes(cases[2])] == level


def test_most_of_a_label_outside_its_image_is_an_error():
    label, moved = Volume(box(), AFFINE), AFFINE.copy()
    moved[2, 3] += 18
    with pytest.raises(ValueError, match="of the labelled volume lies outside the image; is it"):
        resample_label(label, Volume(np.zeros(SHAPE), moved))
