import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import CenterSpatialCropd, Compose, Invertd, Resized

from transforms import MatchImaged, PixelSpacingd


def image(rows, columns, spacing, in_mm=True):
    """A distance from a point in millimetres, so that its values do not depend on the grid."""
    y, x = np.mgrid[:rows, :columns]
    values = np.hypot((y + 0.5) * spacing[0] - 30, (x + 0.5) * spacing[1] - 20)
    affine = torch.diag(torch.tensor([*spacing, 1.0, 1.0], dtype=torch.float64))
    meta = {"in_mm": in_mm, "original_affine": affine.clone(), "filename_or_obj": "a.tif"}
    return MetaTensor(torch.tensor(values[None], dtype=torch.float32), affine=affine, meta=meta)


@pytest.mark.parametrize("spacing", [(2.0, 2.0), (0.5, 0.5), (1.0, 2.0)])
def test_an_image_of_another_pixel_size_becomes_the_same(spacing):
    own = image(64, 48, (1.0, 1.0))
    other = image(round(64 / spacing[0]), round(48 / spacing[1]), spacing)
    resampled = PixelSpacingd("image", (1.0, 1.0))({"image": other})["image"]
    assert resampled.shape == own.shape
    inner = (slice(None), slice(4, -4), slice(4, -4))
    assert (resampled - own)[inner].abs().max() < 1.0


def test_without_millimetres_or_at_the_size_already_nothing_changes():
    for unchanged in (image(8, 6, (2.0, 2.0), in_mm=False), image(8, 6, (1.0, 1.0))):
        resampled = PixelSpacingd("image", (1.0, 1.0))({"image": unchanged})["image"]
        assert torch.equal(resampled, unchanged)


def test_the_inverse_gives_the_pixels_of_the_file():
    transform = Compose([PixelSpacingd("image", (1.0, 1.0)), CenterSpatialCropd("image", (40, 30))])
    item = transform({"image": image(40, 32, (2.0, 2.0))})
    item["pred"] = item["image"].clone()
    back = Invertd("pred", transform, orig_keys="image", nearest_interp=False)(item)["pred"]
    expected = image(40, 32, (2.0, 2.0))
    assert back.shape == expected.shape
    assert (back - expected)[:, 12:28, 11:20].abs().max() < 1.0
    assert not back[:, :8].any()  # outside the crop


def test_a_mask_follows_its_image():
    transform = Compose([PixelSpacingd("image", (1.0, 1.0)), CenterSpatialCropd("image", (40, 30))])
    mask = MetaTensor((image(40, 32, (2.0, 2.0)).as_tensor() < 12).float())
    item = MatchImaged("label")(transform({"image": image(40, 32, (2.0, 2.0)), "label": mask}))
    assert ((item["image"] < 12) != (item["label"] > 0)).float().mean() < 0.02
    numbered = MatchImaged("label", numbers=True)(
        transform({"image": image(40, 32, (2.0, 2.0)), "label": mask * 300})
    )
    assert set(np.unique(numbered["label"])) == {0, 300}


def test_what_is_ignored_stays_ignored():
    mask = MetaTensor((image(40, 32, (2.0, 2.0)).as_tensor() < 12).float())
    mask[:, :4] = -1
    item = PixelSpacingd("image", (1.0, 1.0))({"image": image(40, 32, (2.0, 2.0)), "label": mask})
    matched = MatchImaged("label")(item)["label"]
    assert (matched[:, :7] == -1).all()
    assert set(np.unique(matched)) == {-1, 0, 1}


def test_a_mask_on_the_grid_is_returned_as_it_is():
    mask = MetaTensor(torch.ones(1, 8, 6))
    assert MatchImaged("label")({"image": image(8, 6, (1, 1)), "label": mask})["label"].equal(mask)


def test_an_impossible_pixel_size_is_refused():
    with pytest.raises(
        ValueError, match=r"^a\.tif: pixels of 5 x 5 mm; .* is its pixel size right"
    ):
        PixelSpacingd("image", (4e-6, 4e-6))({"image": image(8, 6, (5.0, 5.0))})
    with pytest.raises(ValueError, match="expected two distances above 0, mm"):
        PixelSpacingd("image", (0, 1))


def test_a_mask_that_went_through_all_that_its_image_did_is_unchanged():
    item = {"image": image(8, 6, (1.0, 1.0)), "label": image(8, 6, (1.0, 1.0))}
    item["label"] = (item["label"] > 20).float()
    item = Resized(("image", "label"), (4, 3), mode=("bilinear", "nearest"))(item)
    assert MatchImaged("label")(item)["label"].equal(item["label"])
