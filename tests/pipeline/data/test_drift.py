from pathlib import Path

import numpy as np
import pytest

from pipeline.data.drift import MIN_PATIENTS, describe_cohort, differences, shift
from pipeline.data.fingerprint import CaseStatistics
from pipeline.data.image_statistics import Pixels, image_statistics, mask_statistics


def case(value, deviation=10.0, sex="f", channels=1, dtype=np.uint8, size=16):
    """A case whose pixels are half ``value - deviation`` and half ``value + deviation``."""
    plane = np.full((size, size), value + deviation)
    plane[::2] = value - deviation
    array = plane if channels == 1 else np.stack([plane] * channels, axis=-1)
    mask = np.zeros((size, size), np.uint8)
    mask[: size // 4] = 1
    return CaseStatistics(
        Path("a.png"), Path("b.png"), "training", {"sex": sex},
        image_statistics(Pixels(array.astype(dtype), None)), mask_statistics(Pixels(mask, None)),
    )  # fmt: skip


COHORT = [case(100 + i) for i in range(21)]  # means of 100 to 120: 90 % of them 101 to 119


def test_percentiles_over_images_by_hand():
    cohort = describe_cohort(COHORT, ["sex"])
    assert cohort["images"] == 21
    assert cohort["intensities"]["mean"] == [101, 110, 119]
    assert cohort["intensities"]["deviation"] == [10, 10, 10]
    assert cohort["foreground"] == [0.25, 0.25, 0.25]
    assert cohort["extents"] == {"shortest side": [16] * 3, "longest side": [16] * 3}
    assert cohort["patients"] == 21
    assert cohort["sizes"] == {"16 x 16": 21}
    assert cohort["groups"] == {"sex": {"f": 21}}


def test_a_group_of_few_patients_is_not_described():
    cohort = [*COHORT, *[case(110, sex="m") for _ in range(MIN_PATIENTS - 1)]]
    assert describe_cohort(cohort, ["sex"])["groups"] == {
        "sex": {"f": 21, "others": MIN_PATIENTS - 1}
    }
    assert (
        describe_cohort([*cohort, case(110, sex="m")], ["sex"])["groups"]["sex"]["m"]
        == MIN_PATIENTS
    )


@pytest.mark.parametrize(
    ("image", "starts"),
    [
        (case(110), []),
        (case(136), []),  # 119 + 18, the width of the middle 90 %, is the fence
        (case(138), ["mean 138, where 90 % of them have 101 to 119"]),
        (case(82), ["mean 82, where 90 % of them have 101 to 119"]),
        (case(110, size=23), []),  # under 1.5 times the side of the training images
        (case(110, size=24), ["shortest side 24, where 90 % of them have 16 to 16", "longest"]),
        (case(110, size=8), ["shortest side 8, where"]),
        (case(110, channels=3), ["channels 3, where the training images have 1"]),
        (case(110, dtype=np.float32), ["number format float32, where the training images have"]),
    ],
)
def test_differences_are_named(image, starts):
    lines = differences(image.image, describe_cohort(COHORT))
    assert len(lines) >= len(starts)
    assert bool(lines) == bool(starts)
    for start in starts:
        assert any(line.startswith(start) for line in lines)


def in_format(image, dtype):
    """The statistics of an image of 8 bits in a number format whose white is as bright."""
    maximum = np.iinfo(dtype).max
    pixels = (np.full((16, 16), image) * (maximum / 255)).astype(dtype)
    pixels[::2] //= 2
    return image_statistics(Pixels(pixels, maximum=float(maximum)))


def test_brightness_is_compared_as_a_share_of_the_number_format():
    cohort = [COHORT[0]._replace(image=in_format(100 + i, np.uint16)) for i in range(21)]
    description = describe_cohort(cohort)
    assert description["maximum"] == 65535
    assert differences(in_format(110, np.uint8), description) == []
    lines = differences(in_format(250, np.uint8), description)
    means = [line for line in lines if line.startswith("mean")]
    assert len(means) == 1
    assert float(means[0].split()[1].rstrip(",")) == pytest.approx(187.5 * 257, rel=1e-3)
    without_unit = in_format(110, np.uint8)._replace(maximum=None)
    assert differences(without_unit, description)[0].startswith("number format uint8, where")


def test_a_cohort_of_two_number_formats_has_no_common_maximum():
    images = [in_format(100, np.uint8), in_format(100, np.uint16)]
    cohort = [COHORT[0]._replace(image=image) for image in images]
    assert describe_cohort(cohort)["maximum"] is None


def test_the_shift_between_two_cohorts():
    cohort = [case(100 + i % 21, sex="fm"[i % 2]) for i in range(40)]
    own = [case(160, sex="f") for _ in range(15)] + [case(110, sex="m") for _ in range(45)]
    summary = shift(own, describe_cohort(cohort, ["sex"]))
    assert summary["images"] == [40, 60]
    assert summary["out_of_distribution"] == 15
    assert summary["intensities"]["mean"][1] == [110, 110, 160]
    assert summary["groups"]["sex"] == {
        "shares": {"f": [0.5, 0.25], "m": [0.5, 0.75]},
        "moved": 0.25,
    }


def test_the_same_mix_of_few_is_no_shift():
    cohort = [case(110, sex="fm"[i % 2]) for i in range(120)]
    own = [case(110, sex="fm"[i % 2]) for i in range(12)]
    assert shift(own, describe_cohort(cohort, ["sex"]))["groups"]["sex"]["moved"] == 0


def test_many_images_of_one_patient_are_one_patient():
    one = [case(110, sex="rare") for _ in range(12)]
    one = [item._replace(columns={"sex": "rare", "patient": "A"}) for item in one]
    assert describe_cohort([*COHORT, *one], ["sex"])["groups"] == {"sex": {"f": 21, "others": 12}}
    alone = describe_cohort(one, ["sex"])
    assert alone["patients"] == 1
    assert alone["intensities"] == {}
    assert differences(one[0].image, alone) == []


def test_saturated_images_do_not_differ_by_rounding():
    cohort = [case(32767, deviation=32768, dtype=np.uint16) for _ in range(20)]
    assert differences(cohort[0].image, describe_cohort(cohort)) == []


def test_a_column_that_the_training_lacks_is_left_out():
    bare = [item._replace(columns={}) for item in COHORT]
    assert shift(COHORT, describe_cohort(bare, ["sex"]))["groups"] == {}


def test_a_column_that_only_the_reference_has_is_left_out():
    bare = [item._replace(columns={}) for item in COHORT]
    assert shift(bare, describe_cohort(COHORT, ["sex"]))["groups"] == {}


def test_spacing_is_compared_where_both_have_it():
    def volume(spacing):
        return case(110)._replace(image=case(110).image._replace(spacing=spacing))

    cohort = describe_cohort([volume((1.0, 1.0, 3.0))] * 10)
    assert cohort["extents"]["coarsest spacing"] == [3, 3, 3]
    assert differences(volume((1.0, 1.0, 3.0)).image, cohort) == []
    assert differences(volume((1.0, 1.0, 5.0)).image, cohort) == [
        "coarsest spacing 5, where 90 % of them have 3 to 3"
    ]
    assert differences(case(110).image, cohort) == []
    assert "coarsest spacing" not in describe_cohort([*COHORT, volume((1.0, 1.0, 3.0))])["extents"]


def test_own_patients_are_described_however_few():
    summary = shift([case(110, size=32), case(112, size=32)], describe_cohort(COHORT))
    assert summary["sizes"] == [{"16 x 16": 21}, {"32 x 32": 2}]
    assert summary["intensities"]["mean"][1] == [110.1, 111, 111.9]
    assert summary["extents"]["longest side"] == [[16] * 3, [32] * 3]
    assert summary["foreground"] == [[0.25] * 3, [0.25] * 3]
    assert summary["extents"]["finest spacing"] == [[], []]
