"""Planned values for different fingerprints."""

import pytest

from pipeline.planning.bundle import because, by_axis, choices
from pipeline.planning.ct import ct_window
from pipeline.planning.labels import label_kind
from pipeline.planning.machine import Machine, machine_at_hand
from pipeline.planning.network import strides_and_kernels
from pipeline.planning.plan import Choice, plan

CPU, CARD = Machine("cpu", 16_000_000_000), Machine("cuda", 80_000_000_000)
GREY = {
    "cases": 100,
    "splits": {"training": 60, "validation": 20, "test": 20},
    "dimensions": {2: 100},
    "size_range": [[512, 512, 512], [512, 512, 512]],
    "channels": {1: 100},
    "dtypes": {"uint8": 100},
    "colour": 0,
    "grey_in_colour": 0,
    "spacing_mm": [],
    "intensity_percentiles": {"0.5": [0, 2, 9], "50": [40, 90, 120], "99.5": [180, 220, 255]},
    "foreground": [0.2, 0.3, 0.4],
    "likeness": 0.7,
}


def volumes(sizes, spacing=([1.0] * 3,) * 3):
    """The fingerprint of volumes whose sizes do not depend on their spacing."""
    return GREY | {
        "dimensions": {3: 100},
        "size_range": sizes,
        "spacing_mm": spacing,
        "spacing_percentiles_mm": {"10": [low for low, _, _ in spacing]},
        "extent_mm": [
            [voxels * mm for voxels, mm in zip(*pair, strict=True)]
            for pair in zip(sizes, spacing, strict=True)
        ],
    }


HIPPOCAMPUS = [[30, 35, 43], [40, 50, 59], [24, 36, 47]]
VOLUMES = volumes(HIPPOCAMPUS)
CT = [[512] * 3, [512] * 3, [30, 40, 90]]


def planned(machine=CPU, kind="mask", labels=None, base=GREY, **changes):
    return plan(base | changes, machine, kind, labels or {"lung": 1})


def value(name, *more, **changes):
    return getattr(planned(*more, **changes), name).value


def test_a_radiograph_on_a_cpu():
    values = {name: choice.value for name, choice in choices(planned()).items()}
    assert values == {
        "spatial_dims": 2, "channels": 1, "intensities": "each", "spacing": None,
        "size": None, "pixel_unshuffle": 1, "features": [16, 32, 64, 128, 256], "strides": [[2, 2]] * 4, "kernels": [[3, 3]] * 5,
        "patch": [192, 192], "window": [512, 512], "batch_size": 4,
        "crop": "anywhere", "loss": "bce", "symmetric": False,
        "labels": {"lung": 1},
    }  # fmt: skip


LUNGS = {"structure_sizes": {"lung": 350.0}}
LARGE = {"size_range": [[2400] * 3, [2955] * 3], "structure_sizes": {"lung": 1800.0}}


@pytest.mark.parametrize("radiographs", [LUNGS, LARGE], ids=["512 pixels", "3000 pixels"])
def test_a_structure_larger_than_a_patch_makes_whole_images_of_256_pixels(radiographs):
    bundle_plan = planned(**radiographs)
    assert (bundle_plan.size.value, bundle_plan.pixel_unshuffle.value) == (256, 2)
    assert bundle_plan.patch.value == bundle_plan.window.value
    assert max(bundle_plan.patch.value) == 256
    assert min(bundle_plan.patch.value) >= 256 * 2400 / 2955 - 1
    assert all(side % 32 == 0 for side in bundle_plan.patch.value)
    assert bundle_plan.crop.value == "anywhere"
    assert bundle_plan.batch_size.value >= 4


def test_a_card_sees_radiographs_in_512_pixels():
    assert value("size", CARD, **LUNGS) is None  # a patch of 512 is the image
    bundle_plan = planned(CARD, **LARGE)
    assert (bundle_plan.size.value, bundle_plan.pixel_unshuffle.value) == (512, 1)
    assert bundle_plan.patch.value == [416, 512]


@pytest.mark.parametrize(
    ("changes", "size"),
    [
        ({"structure_sizes": {"pancreas": 150.0}}, None),
        (LUNGS | {"likeness": 0.02}, None),  # of micrographs any part looks like any other
        ({"structure_sizes": {"lung": 350.0, "node": 40.0}}, 256),
        ({"structure_sizes": {"lung": 350.0, "clip": 15.0}}, 416),  # 12 pixels of it are left
        ({"structure_sizes": {"lung": 350.0, "clip": 11.0}}, None),
        ({"structure_sizes": {}}, None),
    ],
)
def test_images_become_no_smaller_than_their_structures_bear(changes, size):
    assert value("size", **changes) == size


def test_a_smaller_image_has_no_spacing_of_its_own():
    spacing = {"spacing_mm": [[0.14, 0.17, 0.2]] * 2, "extent_mm": [[400, 420, 440]] * 2}
    bundle_plan = planned(**LARGE, **spacing, spacing_percentiles_mm={"10": [0.14] * 2})
    assert bundle_plan.spacing.value is None
    assert bundle_plan.size.value == 256


def test_a_card_takes_more():
    assert value("features", CARD) == [32, 64, 128, 256, 512]
    assert value("patch", CARD) == [512, 512]
    assert value("batch_size", CARD) == 15  # 4,000,000 pixels // 512 x 512


def test_small_memory_takes_less():
    little = Machine("cpu", 200_000_000)  # half of it: 62,500 pixels of 1,600 bytes
    assert value("patch", little) == [112, 128]
    assert value("batch_size", little) == 4


@pytest.mark.parametrize(
    ("sizes", "poolings", "patch"),
    [
        ([[35] * 3, [50] * 3, [36] * 3], (3, 3, 3), [32, 48, 32]),
        # 22 slices halve twice, to 5.5; 320 x 280 voxels four times, to 20 x 17.5
        ([[320] * 3, [280] * 3, [22] * 3], (4, 4, 2), [32, 48, 24]),
        ([[64] * 3, [64] * 3, [5] * 3], (4, 4, 0), [64, 64, 5]),
        ([[6] * 3, [7] * 3, [5] * 3], (1, 1, 1), [6, 8, 4]),
    ],
    ids=["hippocampus", "22 slices", "five slices", "tiny"],
)
def test_an_axis_is_pooled_as_often_as_its_side_allows(sizes, poolings, patch):
    bundle_plan = planned(base=volumes(sizes))
    strides = bundle_plan.strides.value
    assert tuple(factors.count(2) for factors in zip(*strides, strict=True)) == poolings
    assert bundle_plan.features.value == [16 * 2**level for level in range(max(poolings) + 1)]
    assert bundle_plan.kernels.value == [[3, 3, 3]] * (max(poolings) + 1)
    assert bundle_plan.patch.value == patch
    for sides in (bundle_plan.patch.value, bundle_plan.window.value):
        assert all(side % 2**count == 0 for side, count in zip(sides, poolings, strict=True))


def test_thick_slices_join_when_the_others_are_as_coarse():
    """0.8 x 0.8 x 5 mm; then 1.6 and 5; then 3.2 and 5, less than twice: all axes are pooled."""
    bundle_plan = planned(base=volumes(CT, [[0.8] * 3, [0.8] * 3, [5.0] * 3]))
    assert bundle_plan.spacing.value == [0.8, 0.8, 5.0]
    assert bundle_plan.strides.value == [[2, 2, 1], [2, 2, 1], [2, 2, 2], [2, 2, 2]]
    assert bundle_plan.kernels.value == [[3, 3, 1], [3, 3, 1], [3, 3, 3], [3, 3, 3], [3, 3, 3]]
    # 51 x 51 x 200 mm are too many voxels; the longest side in mm is shortened
    assert bundle_plan.patch.value == [64, 64, 12]
    assert bundle_plan.window.value == [128, 128, 24]


def test_isotropic_volumes_are_pooled_and_convolved_alike():
    bundle_plan = planned(base=VOLUMES)
    assert bundle_plan.spacing.value == [1.0, 1.0, 1.0]
    assert bundle_plan.strides.value == [[2, 2, 2]] * 3
    assert bundle_plan.kernels.value == [[3, 3, 3]] * 4
    assert not by_axis(bundle_plan)


@pytest.mark.parametrize(
    ("spacing", "kernel"),
    [(1.9, 3), (2.0, 1), (2.1, 1)],
)
def test_an_axis_twice_as_coarse_waits_one_level(spacing, kernel):
    strides, kernels = strides_and_kernels([64, 64, 64], [1.0, 1.0, spacing])
    assert kernels[0] == [3, 3, kernel]
    assert strides[0] == [2, 2, 2 if kernel == 3 else 1]
    assert kernels[1] == [3, 3, 3]
    assert strides[1] == [2, 2, 2]


def test_an_axis_that_is_too_short_holds_no_other_back():
    """Five slices of 1 mm are never pooled; their spacing stays the finest."""
    strides, kernels = strides_and_kernels([64, 64, 5], [1.0, 1.0, 1.0])
    assert strides == [[2, 2, 1]] * 4
    assert kernels == [[3, 3, 3]] * 5


def test_flat_images_are_pooled_alike():
    assert value("strides", size_range=[[512] * 3, [20] * 3]) == [[2, 2]] * 2


def test_a_window_covers_the_largest_image_as_far_as_it_may():
    assert value("window", size_range=[[90, 100, 130], [90, 100, 110]]) == [144, 112]
    assert value("window", size_range=[[900, 1000, 3000], [90, 100, 110]]) == [512, 112]
    assert value("window", base=VOLUMES) == [48, 64, 48]


@pytest.mark.parametrize(
    ("changes", "channels"),
    [
        ({"channels": {3: 100}, "colour": 100, "grey_in_colour": 30}, 3),
        ({"channels": {1: 40, 3: 60}, "colour": 60, "grey_in_colour": 0}, 3),
        ({"channels": {4: 100}, "colour": 100, "grey_in_colour": 100}, 3),
        ({"channels": {1: 60, 2: 40}, "grey_in_colour": 40}, 1),  # with opacity
        ({"channels": {2: 100}}, 2),
    ],
)
def test_colour(changes, channels):
    assert value("channels", **changes) == channels


def test_hounsfield_units_have_one_window():
    percentiles = {"0.5": [-1024, -1000, -990], "50": [-50, 0, 20], "99.5": [900, 1200, 1900]}
    bundle_plan = planned(base=VOLUMES, intensity_percentiles=percentiles)
    assert bundle_plan.intensities.value == "window"
    assert "-1000 to 1200" in bundle_plan.intensities.reason


def test_spacing_that_varies_is_resampled_to_the_median():
    cubes = [[100] * 3] * 3
    spacing = [[0.7, 0.8, 0.9], [0.7, 0.8, 0.9], [1.0, 1.5, 5.0]]
    assert value("spacing", base=volumes(cubes, spacing)) == [0.8, 0.8, 1.5]
    nearly = [[0.7, 0.72, 0.75], [0.7, 0.7, 0.7], [2.5, 2.5, 2.5]]
    assert value("spacing", base=volumes(cubes, nearly)) == [0.72, 0.7, 2.5]


@pytest.mark.parametrize(
    ("mm", "slices", "tenth", "target"),
    [
        ([2.5, 5.0, 5.0], 40, 2.5, 2.5),
        ([0.5, 5.0, 5.0], 40, 0.5, 0.8),  # no finer than the other axes
        ([1.0, 2.3, 5.0], 40, 1.0, 2.3),  # less than three times as coarse
        ([2.5, 5.0, 5.0], 200, 2.5, 5.0),  # as many slices as columns
    ],
)
def test_thick_slices_are_resampled_to_the_tenth_percentile(mm, slices, tenth, target):
    cohort = volumes([[512] * 3, [512] * 3, [slices] * 3], [[0.8] * 3, [0.8] * 3, mm])
    cohort["spacing_percentiles_mm"] = {"10": [0.8, 0.8, tenth]}
    assert value("spacing", base=cohort) == [0.8, 0.8, target]


def test_sizes_are_those_after_resampling():
    """100 mm are 40 voxels of 2.5 mm, whichever slices the files have."""
    cohort = volumes([[512] * 3, [512] * 3, [20, 20, 40]], [[0.8] * 3, [0.8] * 3, [2.5, 5.0, 5.0]])
    cohort["extent_mm"] = [[409.6] * 3, [409.6] * 3, [90.0, 100.0, 120.0]]
    bundle_plan = planned(base=cohort)
    assert bundle_plan.spacing.value == [0.8, 0.8, 2.5]
    assert "512 x 512 x 40 image" in bundle_plan.patch.reason
    assert "512 x 512 x 48" in bundle_plan.window.reason
    assert bundle_plan.strides.value == [[2, 2, 1], [2, 2, 2], [2, 2, 2], [2, 2, 2]]
    assert bundle_plan.patch.value == [48, 64, 16]  # in multiples of 16 x 16 x 8


def test_a_small_structure():
    bundle_plan = planned(foreground=[0.0, 0.004, 0.02])
    assert (bundle_plan.crop.value, bundle_plan.loss.value) == ("foreground", "bce_dice")
    bundle_plan = planned(foreground=[0.0, 0.004, 0.02], size_range=[[200] * 3, [200] * 3])
    assert bundle_plan.crop.value == "anywhere"  # a patch is most of the image


@pytest.mark.parametrize(("touching", "loss"), [(30, "weighted_bce"), (1, "bce")])
def test_the_gaps_between_instances_that_touch(touching, loss):
    counts = {"instances": 100, "touching_instances": touching}
    assert value("loss", kind="instances", **counts) == loss


def test_a_window_fits_the_memory():
    card = Machine("cuda", 8_000_000_000)
    sides = [[400] * 3, [400] * 3, [200] * 3]
    bundle_plan = planned(card, base=volumes(sides))
    voxels = bundle_plan.window.value[0] * bundle_plan.window.value[1] * bundle_plan.window.value[2]
    assert voxels * 32 * 100 / 4 <= 8e9 / 2


def test_several_classes_count_alike():
    assert value("loss", kind="classes", labels={"a": 1, "b": 2}) == "bce_dice"


def test_regions_and_what_is_ignored_are_kept_in_their_order():
    labels = {"whole": [1, 2, 3], "core": [2, 3], "b": 9, "a": 8}
    bundle_plan = plan(dict(GREY), CPU, "classes", labels, ignore=255)
    assert list(bundle_plan.labels.value.items()) == list(labels.items())
    assert "a list is a region, their union" in bundle_plan.labels.reason
    assert (bundle_plan.ignore, planned().ignore) == (255, None)


def test_micrographs_may_be_turned():
    assert value("symmetric", likeness=0.02) is True
    oblong = [[520] * 3, [150] * 3]
    assert value("patch", likeness=0.02, size_range=oblong) == [144, 144]  # turned, it still fits
    assert value("patch", likeness=0.7, size_range=oblong) == [256, 144]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dimensions": {2: 90, 3: 10}}, "90 images of 2 dimensions and 10 of 3; expected one"),
        (
            {"channels": {1: 40, 2: 60}},
            r"different numbers of channels \(40 of 1, 60 of 2\); expected one number",
        ),
        (
            {"channels": {3: 100}, "colour": 100, "dtypes": {"float32": 100}},
            "colour images of float32; expected 8 or 16 bits",
        ),
    ],
)
def test_errors(changes, message):
    with pytest.raises(ValueError, match=message):
        planned(**changes)


def test_every_choice_has_a_reason():
    assert all(len(choice.reason) > 10 for choice in choices(planned()).values())


def test_a_long_reason_is_a_comment_of_several_lines():
    lines = because(Choice(1, "word " * 60), indent=2).split("\n")
    assert len(lines) == 4
    assert lines[0].startswith("# word")
    assert all(line.startswith("  # word") and len(line) <= 100 for line in lines[1:])


def test_this_machine():
    machine = machine_at_hand()
    assert machine.device in ("cpu", "cuda")
    assert machine.memory > 1e6


def test_masks_that_cannot_be_read_are_a_mask():
    assert label_kind([]) == "mask"


INSIDE = {"0.5": -120.0, "99.5": 260.0, "mean": 70.0, "deviation": 50.0}


def test_ct_takes_the_window_of_the_voxels_inside_the_masks():
    percentiles = {"0.5": [-1024, -1000, -990], "50": [-50, 0, 20], "99.5": [900, 1200, 1900]}
    bundle_plan = planned(
        base=VOLUMES, intensity_percentiles=percentiles, foreground_intensities=INSIDE
    )
    assert bundle_plan.intensities.value == "window"
    assert "-120 to 260 (0.5 and 99.5 % of the voxels inside" in bundle_plan.intensities.reason


@pytest.mark.parametrize(
    ("modality", "low", "intensities"),
    [("CT", 0, "window"), ("MR", -1000, "each"), ("", 0, "each"), ("", -1000, "window")],
)
def test_the_modality_decides_before_the_values(modality, low, intensities):
    percentiles = {"0.5": [low] * 3, "50": [20] * 3, "99.5": [900] * 3}
    changes = {"intensity_percentiles": percentiles, "foreground_intensities": INSIDE}
    assert value("intensities", base=VOLUMES, modality=modality, **changes) == intensities


def test_pet_and_ct_of_a_case_have_no_common_window():
    percentiles = {"0.5": [-1000] * 3, "50": [20] * 3, "99.5": [900] * 3}
    changes = {"intensity_percentiles": percentiles, "channels": {2: 100}, "modality": ""}
    names = {"PET": "_0000", "CT": "_0001"}
    of_both = plan(VOLUMES | changes, CPU, "mask", {"lung": 1}, endings=names)
    assert of_both.intensities.value == "each"
    assert of_both.channels.reason == "2 images of each case (PET, CT), normalised each by itself"


def test_masks_of_one_value_give_no_window():
    constant = INSIDE | {"0.5": 40.0, "99.5": 40.0, "deviation": 0.0}
    window = ct_window({"foreground_intensities": constant} | VOLUMES)
    assert window == (2, 220, 111, 109, False)
