"""How many structures masks hold, how much of them, and how large they are."""

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from pipeline.data.fingerprint import Listed
from pipeline.data.structures import case_structures, measure_structure

FLAT = (1.0, 1.0)


def save(folder, name, mask):
    path = folder / name
    if mask.ndim == 3:
        nib.save(nib.Nifti1Image(mask, np.diag([0.5, 1.0, 4.0, 1.0])), path)
    else:
        Image.fromarray(mask).save(path)
    return path


def test_the_longest_side_of_the_largest_part():
    mask = np.zeros((100, 100), bool)
    mask[10:50, 10:40] = mask[60:70, 60:70] = mask[90, 90] = True
    structure = measure_structure(mask, FLAT)
    assert (structure.components, structure.size) == (3, 40)


def test_of_something_thin_a_short_piece_counts():
    mask = np.zeros((100, 100), bool)
    mask[50:54, :] = True
    assert measure_structure(mask, FLAT).size == pytest.approx(12, abs=1)


def test_the_thickness_of_a_large_structure_is_measured_coarsely():
    mask = np.zeros((1000, 1200), bool)
    mask[:, 300:500] = True
    assert measure_structure(mask, FLAT).size == pytest.approx(600, abs=15)


def test_labels_regions_and_what_is_ignored(tmp_path):
    mask = np.zeros((20, 20), np.uint8)
    mask[2:6, 2:6], mask[6:9, 2:6], mask[15:17, 15:17] = 1, 2, 255
    case = Listed(tmp_path, save(tmp_path, "m.png", mask))
    (found,) = case_structures([case], {"whole": [1, 2], "core": 2, "absent": 5}, 255)
    assert {name: (s.pixels, s.components) for name, s in found.items()} == {
        "whole": (28, 1), "core": (12, 1),
    }  # fmt: skip
    (found,) = case_structures([case], {"one": 1}, 255)
    assert (found["one"].pixels, found["one"].components) == (28, 1)
    assert case_structures([case], {"one": 1})[0]["one"].components == 2


def test_volumes_are_in_millimetres_and_millilitres(tmp_path):
    mask = np.zeros((20, 20, 10), np.uint8)
    mask[:10, :10, :5] = 1
    case = Listed(tmp_path, save(tmp_path, "m.nii.gz", mask))
    (found,) = case_structures([case], {"liver": 1})
    assert found["liver"].millilitres == pytest.approx(500 * 2 / 1000)
    assert found["liver"].size == pytest.approx(15, abs=6)  # 5 x 10 x 20 mm, three times 5


def test_instances_are_counted_by_their_numbers(tmp_path):
    numbers = np.zeros((40, 40), np.uint16)
    numbers[:4, :4], numbers[:4, 4:14], numbers[20:26, 20:26] = 1, 2, 700
    path = save(tmp_path, "i.png", numbers)
    case = Listed(tmp_path, save(tmp_path, "m.png", np.uint8(255) * (numbers > 0)), path)
    (found,) = case_structures([case], {"nucleus": 1})
    assert found["nucleus"][2:] == (3, 6)


def test_an_empty_mask_has_none(tmp_path):
    case = Listed(tmp_path, save(tmp_path, "m.png", np.zeros((8, 8), np.uint8)))
    assert case_structures([case], {"lung": 1}) == [{}]
