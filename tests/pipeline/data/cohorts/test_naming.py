"""Which name a mask has, guessed from the names of images and masks."""

import pytest

from pipeline.data.cohorts.naming import guess_naming, parse_pattern


def guess(images, masks, one_folder=False):
    return guess_naming([{name} for name in images], set(masks), one_folder).pattern


@pytest.mark.parametrize(
    "ending", ["_mask", "-mask", "_seg", "_segmentation", "_label", "_labels", "_gt", ".mask"]
)
def test_usual_endings_in_two_folders_and_in_one(ending):
    images = ["img_000", "img_001"]
    for written in (ending, ending.upper()):
        masks = [f"{name}{written}" for name in images]
        assert guess(images, masks) == f"{{name}}{written}"
        assert guess(images + masks, images + masks, one_folder=True) == f"{{name}}{written}"


@pytest.mark.parametrize(
    ("images", "masks", "pattern"),
    [
        (["a", "b"], ["a", "b"], "{name}"),
        (["a", "b"], ["mask_a", "mask_b"], "mask_{name}"),
        (["a_img", "b_img"], ["a_mask", "b_mask"], "{name}_img:{name}_mask"),
        (["img_1", "img_2"], ["mask_1", "mask_2"], "img_{name}:mask_{name}"),
        (["la_003_0000", "la_004_0000"], ["la_003", "la_004"], "{name}_0000:{name}"),
        (["a", "b", "c"], ["a_seg", "b_seg"], "{name}_seg"),
    ],
)
def test_the_naming_that_gives_most_images_a_mask(images, masks, pattern):
    assert guess(images, masks) == pattern
    assert parse_pattern(pattern).pattern == pattern
    assert {parse_pattern(pattern).mask_of(name) for name in images} >= set(masks)


def test_one_folder_never_pairs_an_image_with_itself():
    with pytest.raises(ValueError, match="among the 3 files of one folder, as a, b, c; give"):
        guess("abc", "abc", one_folder=True)


def test_names_that_fit_nothing_are_shown():
    line = "no image has a mask: the images are named a1, a2, the masks b1, b2; give the mask's"
    with pytest.raises(ValueError, match=line):
        guess(["a1", "a2"], ["b1", "b2"])


def test_two_masks_of_each_image_are_not_chosen_from():
    with pytest.raises(ValueError, match=r"2 images have two masks each, by --pattern '\{name\}_"):
        guess(["a", "b"], ["a_mask", "b_mask", "a_gt", "b_gt"])
    with pytest.raises(ValueError, match=r"by --pattern '\{name\}' and '\{name\}_mask'"):
        guess(["a", "b"], ["a", "b", "a_mask", "b_mask"])


@pytest.mark.parametrize("pattern", ["mask", "{name}:mask", "{name}_{name}", "a:{name}:b{name}"])
def test_a_pattern_without_the_name(pattern):
    with pytest.raises(ValueError, match=r"expected \{name\} in it, as in \{name\}_mask"):
        parse_pattern(pattern)
