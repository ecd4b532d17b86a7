import numpy as np
import pytest

from pipeline.metrics.isbi import isbi_scores
from pipeline.metrics.segments import SEGMENT_SCORES, partition_metrics, segments


def test_the_v_rand_of_the_challenge():
    rng = np.random.default_rng(0)
    truth, mask = (rng.random((30, 40)) > share for share in (0.3, 0.4))
    expected = isbi_scores(mask, truth)["v_rand_thinned"]
    assert partition_metrics(segments(truth), segments(mask)) == {"v_rand_thinned": expected}


def test_an_open_membrane_costs_v_rand():
    """Two cells of 12 pixels; joined, V_rand is 2 x (2 x 12^2) / (24^2 + 2 x 12^2) = 2/3."""
    truth = np.ones((3, 9), bool)
    truth[:, 4] = False
    opened = truth.copy()
    opened[1, 4] = True
    assert partition_metrics(segments(truth), segments(opened))["v_rand_thinned"] == (
        pytest.approx(2 / 3)
    )


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("name", SEGMENT_SCORES)
def test_the_truth_itself_is_right(name, dims):
    cells = np.zeros((6,) * dims, int)
    cells[:2], cells[3:] = 1, 2
    assert SEGMENT_SCORES[name](cells, cells)[name] == 1
