"""Planned values for different fingerprints."""

import pytest

from pipeline.planning.bundle import because, choices
from pipeline.planning.labels import label_kind
from pipeline.planning.machine import Machine, machine_at_hand
from pipeline.planning.plan import Choice, plan

CPU, CARD = Machine("cpu", 16_000_000_000), Machine("cuda", 80_000_000_000)
GREY = {
    "cases": 100,
    "splits": {"training": 60, "validation": 20, "test": 20},
    "dimensions": {2: 100},
    "size_range": [[512, 512, 512], [512, 512, 512]],
    "channels": {1: 100},
    "dtypes": {"uint8": 100},
    "grey_in_colour": 0,
    "spacing_mm": [],
    "intensity_percentiles": {"0.5": [0, 2, 9], "50": [40, 90, 120], "99.5": [180, 220, 255]},
    "foreground": [0.2, 0.3, 0.4],
    "likeness": 0.7,
}
VOLUMES = GREY | {
    "dimensions": {3: 100},
    "size_range": [[30, 35, 43], [40, 50, 59], [24, 36, 47]],
    "spacing_mm": [[1.0, 1.0, 1.0]] * 3,
}


def planned(machine=CPU, kind="mask", labels=None, base=GREY, **changes):
    return plan(base | changes, machine, kind, labels or {"lung": 1})


def value(name, *more, **changes):
    return getattr(planned(*more, **changes), name).value


def test_a_radiograph_on_a_cpu():
    values = {name: choice.value for name, choice in choices(planned()).items()}
    assert values == {
        "spatial_dims": 2, "channels": 1, "intensities": "each", "spacing": None,
        "features": [16, 32, 64, 128, 256], "patch": [192, 192], "window": [512, 512],
        "batch_size": 4, "crop": "anywhere", "loss": "bce", "symmetric": False, "cache": 1.0,
        "labels": {"lung": 1},
    }  # fmt: skip


def test_a_card_takes_more():
    assert value("features", CARD) == [32, 64, 128, 256, 512]
    assert value("patch", CARD) == [512, 512]
    assert value("batch_size", CARD) == 15  # 4,000,000 pixels // 512 x 512


def test_small_memory_takes_less():
    little = Machine("cpu", 200_000_000)  # half of it: 62,500 pixels of 1,600 bytes
    assert value("patch", little) == [112, 128]
    assert value("batch_size", little) == 4


@pytest.mark.parametrize(
    ("sizes", "features", "patch"),
    [
        ([[35] * 3, [50] * 3, [36] * 3], [16, 32, 64, 128], [32, 48, 32]),
        ([[320] * 3, [280] * 3, [22] * 3], [16, 32, 64], [44, 44, 24]),
        ([[64] * 3, [64] * 3, [5] * 3], [16, 32], [64, 64, 4]),
    ],
    ids=["hippocampus", "thick slices", "five slices"],
)
def test_volumes_are_pooled_as_often_as_the_shortest_side_allows(sizes, features, patch):
    bundle_plan = planned(base=VOLUMES, size_range=sizes)
    assert bundle_plan.features.value == features
    assert bundle_plan.patch.value == patch
    assert all(side % 2 ** (len(features) - 1) == 0 for side in bundle_plan.patch.value)


def test_a_window_covers_the_largest_image_as_far_as_it_may():
    assert value("window", size_range=[[90, 100, 130], [90, 100, 110]]) == [144, 112]
    assert value("window", size_range=[[900, 1000, 3000], [90, 100, 110]]) == [512, 112]
    assert value("window", base=VOLUMES) == [48, 64, 48]


@pytest.mark.parametrize(
    ("changes", "channels"),
    [
        ({"channels": {3: 100}, "grey_in_colour": 30}, 3),
        ({"channels": {1: 40, 3: 60}, "grey_in_colour": 0}, 3),
        ({"channels": {4: 100}, "grey_in_colour": 100}, 3),
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
    spacing = [[0.7, 0.8, 0.9], [0.7, 0.8, 0.9], [1.0, 2.5, 5.0]]
    assert value("spacing", base=VOLUMES, spacing_mm=spacing) == [0.8, 0.8, 2.5]
    nearly = [[0.7, 0.72, 0.75], [0.7, 0.7, 0.7], [2.5, 2.5, 2.5]]
    assert value("spacing", base=VOLUMES, spacing_mm=nearly) is None


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
    bundle_plan = planned(card, base=VOLUMES, size_range=sides)
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


def test_what_memory_cannot_hold_is_not_cached():
    sizes = [[512] * 3, [512] * 3, [300] * 3]
    assert value("cache", base=VOLUMES, size_range=sizes) == 0.11  # 8 GB of 75


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dimensions": {2: 90, 3: 10}}, "90 images of 2 dimensions and 10 of 3; expected one"),
        ({"channels": {5: 100}}, "images of 5 channels; expected grey, RGB or RGBA"),
        ({"channels": {3: 100}, "dtypes": {"uint16": 100}}, "colour images of uint16; expected 8"),
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
