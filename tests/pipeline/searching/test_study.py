"""When a trial is pruned: after the warm-up, below the median of five whole trials."""

import pytest

from pipeline.searching.study import TRIALS_BEFORE_PRUNING, open_study, running_trial


def report(study, values):
    trial = study.ask()
    for epoch, value in enumerate(values, start=1):
        trial.report(value, epoch)
    return trial


@pytest.mark.parametrize(
    ("is_minimised", "values", "is_pruned"),
    [
        (False, [0.1], False),  # the warm-up
        (False, [0.1, 0.2], True),
        (False, [0.1, 0.6], False),
        (False, [0.9, 0.2], False),  # its best so far counts
        (True, [0.9, 0.9], True),
        (True, [0.9, 0.2], False),
    ],
)
def test_a_trial_below_the_median_of_whole_trials(tmp_path, is_minimised, values, is_pruned):
    journal = tmp_path / "journal.log"
    study = open_study(journal, is_minimised, warmup_epochs=2)
    for i in range(TRIALS_BEFORE_PRUNING):
        if i == TRIALS_BEFORE_PRUNING - 1:
            assert not report(study, [0.0, 0.0]).should_prune()  # too few whole ones
        study.tell(report(study, [0.5, 0.3 + i / 10]), 0.5)
    begun = report(study, values)
    # as the process of the training sees it
    again = running_trial(open_study(journal, is_minimised, warmup_epochs=2), begun.number)
    assert again.should_prune() == is_pruned
