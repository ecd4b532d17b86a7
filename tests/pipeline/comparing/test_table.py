from types import SimpleNamespace

import pytest

from pipeline.comparing.table import network_table, table_rows, table_text


def networks(scores, seeds=1, patient=None):
    """Networks whose cases have these scores, by network and seed."""

    def rows(name, seed):
        return [
            {"image": str(i), "dice": score, **({"patient": patient} if patient else {})}
            for i, score in enumerate(scores[name][seed])
        ]

    return SimpleNamespace(
        names=list(scores), seeds=seeds, metric="dice", rows=rows,
        numbers=lambda name: len(name), minutes=lambda _, seed: 1.0 + seed,
    )  # fmt: skip


def test_a_case_counts_with_its_mean_over_the_seeds():
    scores = {"unet": [[0.5, 0.7], [0.7, 0.9]], "unetpp": [[0.6, 0.8], [0.8, 1.0]]}
    table, (comparison,) = network_table(networks(scores, seeds=2))
    unet, unetpp = table.networks
    assert (unet.mean, unet.by_seed, unet.minutes) == (pytest.approx(0.7), [0.6, 0.8], 1.5)
    assert unetpp.difference == pytest.approx(0.1)
    assert comparison.differences == pytest.approx((0.1, 0.1))
    assert (table.cases, table.patients, table.seeds) == (2, 2, 2)


def test_too_few_cases_are_said():
    scores = {"unet": [[0.5] * 5], "unetpp": [[0.6] * 5]}
    text = table_text(network_table(networks(scores))[0])
    assert "5 images are too few: below 6 no difference reaches p < .05" in text
    scores = {"unet": [[0.5] * 6], "unetpp": [[0.6] * 6]}
    assert "too few" not in table_text(network_table(networks(scores))[0])


def test_a_single_patient_has_no_interval():
    scores = {"unet": [[0.5, 0.6]], "unetpp": [[0.6, 0.7]]}
    table, _ = network_table(networks(scores, patient="a"))
    row = table_rows(table)[1]
    assert (row["low"], row["difference_low"], row["patients"]) == (None, None, 1)
    line = table_text(table).splitlines()[2]
    assert line.split() == ["unetpp", "6", "1.0", "0.6500", "+0.1000", "1"]
