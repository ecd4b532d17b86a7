import numpy as np
import pytest
from scipy.stats import wilcoxon

from pipeline.evaluation.comparison import (
    compare,
    compare_groups,
    comparison_plot,
    comparison_table,
)


def run(shift=0.0, seed=0, count=30):
    cases = np.random.default_rng(0).uniform(0.5, 0.95, count)
    noise = np.random.default_rng(seed).normal(0, 0.01, count)
    return [
        {"image": f"{i}.png", "patient": f"p{i // 2}", "dice": float(value + shift + extra)}
        for i, (value, extra) in enumerate(zip(cases, noise, strict=True))
    ]


def test_small_differences_between_runs_are_seen_through_large_ones_between_cases():
    (found,) = compare({"a": run(), "b": run(0.01, seed=1)}, "dice")
    assert found.difference.low < 0.01 < found.difference.high
    assert found.difference.low > 0
    assert found.p < 0.01
    assert found.difference.patients == 15


def test_the_p_value_is_wilcoxons():
    first, second = run(), run(0.004, seed=2)
    (found,) = compare({"a": first, "b": second}, "dice")
    differences = np.array([b["dice"] - a["dice"] for a, b in zip(first, second, strict=True)])
    assert found.p == pytest.approx(wilcoxon(differences.reshape(-1, 2).mean(1)).pvalue)
    assert found.differences == pytest.approx(differences)


def test_many_images_of_few_patients_are_no_evidence():
    """Six patients differ at random, each with twenty images: chance must not look like more."""
    seen = 0
    for trial in range(60):
        rng = np.random.default_rng(trial)
        shifts = rng.normal(0, 0.05, 6)
        first = [{"image": str(i), "patient": i % 6, "dice": 0.8} for i in range(120)]
        second = [
            {**row, "dice": 0.8 + shifts[row["patient"]] + rng.normal(0, 0.01)} for row in first
        ]
        seen += compare({"a": first, "b": second}, "dice")[0].p < 0.05
    assert seen <= 8


def test_the_order_of_cases_means_nothing_and_equal_runs_do_not_differ():
    (found,) = compare({"a": run(), "b": run()[::-1]}, "dice")
    assert (found.difference.mean, found.p, found.higher, found.lower) == (0, 1, 0, 0)


def test_several_runs_are_compared_with_the_first_and_corrected():
    runs = {"a": run(), "b": run(0.004, seed=2), "c": run(0.02, seed=3)}
    alone = compare({"a": runs["a"], "b": runs["b"]}, "dice")[0].p
    found = compare(runs, "dice")
    assert [(each.first, each.second) for each in found] == [("a", "b"), ("a", "c")]
    assert found[0].p >= alone
    rows = comparison_table(found, "dice")
    assert [row["run"] for row in rows] == ["b", "c"]
    assert len(comparison_plot(found, "dice").axes[0].get_yticks()) == 2


@pytest.mark.parametrize(
    ("runs", "metric", "message"),
    [
        ({"a": run()}, "dice", "found 1 run; expected two"),
        ({"a": run(), "b": run()[1:]}, "dice", r"1 cases are not in both, as 0\.png"),
        ({"a": run(), "b": run()}, "roc", "a: has no 'roc'; it has dice"),
    ],
)
def test_mistakes(runs, metric, message):
    with pytest.raises(ValueError, match=message):
        compare(runs, metric)


def test_groups_are_compared_pair_by_pair():
    """The second run is better on women alone; each combination of columns is a group."""

    def known(rows, better=0.0):
        return [
            {
                **row,
                "patient": i,
                "sex": "fm"[i % 2],
                "finding": "xy"[i >= 16],
                "dice": row["dice"] + shift,
            }
            for i, row in enumerate(rows)
            for shift in [better * (i % 2 == 0)]
        ]

    runs = {"a": known(run(count=60)), "b": known(run(count=60), 0.05)}
    found = dict(compare_groups(runs, ["sex", "finding"], "dice"))
    assert set(found) == {
        "sex f", "sex m", "finding x", "finding y",
        "sex f, finding x", "sex f, finding y", "sex m, finding x", "sex m, finding y",
    }  # fmt: skip
    assert found["sex f"].difference.mean == pytest.approx(0.05)
    assert found["sex m"].difference.mean == 0
    assert found["sex f, finding x"].difference.n == 8
    assert found["sex m"].p == 1
    assert found["sex f, finding x"].p is None, "too few to judge"
    rows = comparison_table([], "dice", list(found.items()))
    assert [row["cases of"] for row in rows] == list(found)


def test_comparing_groups_needs_a_column_that_groups():
    with pytest.raises(ValueError, match="group column 'sex': no image has it"):
        compare_groups({"a": run(), "b": run()}, ["sex"], "dice")
    with pytest.raises(ValueError, match="found 1 run; expected two or more"):
        compare_groups({"a": run()}, ["sex"], "dice")
