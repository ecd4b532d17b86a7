import pytest

from pipeline.explanation.step_explanation import (
    boundary_observation,
    group_observation,
    region_observation,
    step_means,
)


def step(name, difference=(0.0, 0.0), region=0.5, probe=0.5):
    low, high = difference
    return {
        "step": name,
        "boundary_minus_region_low": low,
        "boundary_minus_region_high": high,
        "probe_boundary_minus_region_low": low,
        "region_auc": region,
        "probe_region_auc": probe,
    }


def test_the_boundary_up_to_the_last_convolution():
    shown, unclear = step("a", (0.1, 0.2)), step("b", (-0.1, 0.2))
    logits, image = step("logits", (-0.4, -0.3)), step("image", (-0.4, -0.3))
    assert boundary_observation([image, shown, logits])["holds"] == "yes"
    found = boundary_observation([image, shown, unclear, logits])
    assert found["holds"] == "in part"
    assert "at a; " in found["because"]
    assert boundary_observation([unclear, logits])["holds"] == "no"


@pytest.mark.parametrize(
    ("regions", "probes", "holds"),
    [
        ((0.6, 0.7, 0.95), (0.6, 0.7, 0.95), "yes"),
        ((0.6, 0.7, 0.95), (0.6, 0.92, 0.95), "in part"),
        ((0.6, 0.92, 0.95), (0.9, 0.92, 0.95), "no"),
        ((0.6, 0.6, 0.6), (0.6, 0.6, 0.6), "yes"),
    ],
)
def test_the_region_before_the_last_step_of_the_bottleneck(regions, probes, holds):
    names = ("encoder1", "bottleneck.1", "bottleneck.2")
    steps = [
        step(name, region=region, probe=probe)
        for name, region, probe in zip(names, regions, probes, strict=True)
    ]
    image = step("image", region=0.99, probe=0.99)
    assert region_observation([image, *steps], "bottleneck")["holds"] == holds


def test_differences_between_groups():
    tests = [
        {"groups": "sex", "p": 0.2, "step": "a", "number": "region_auc"},
        {"groups": "best and worst", "p": 0.01, "step": "b", "number": "region_auc"},
    ]
    found = group_observation(tests)
    assert found["holds"] == "in part"
    assert "best and worst" in found["because"]
    assert group_observation(tests[:1])["holds"] == "yes"
    assert group_observation([])["holds"] == "not tested"


def test_the_interval_is_over_patients():
    table = [
        {"image": image, "step": "a", "boundary_auc": b, "region_auc": 0.5, "region_dice": 0.5}
        for image, b in (("1", 0.6), ("2", 0.6), ("3", 0.9))
    ]
    of_image = {"1": {"patient": "p"}, "2": {"patient": "p"}, "3": {"patient": "q"}}
    (mean,) = step_means(table, of_image)
    assert mean["boundary_minus_region"] == 0.2
    assert (mean["boundary_auc_low"], mean["boundary_auc_high"]) == (0.6, 0.9)
