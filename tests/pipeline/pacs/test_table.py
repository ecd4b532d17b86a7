"""The table of studies: each change of state, alone and with what comes too late."""

import pytest

from pipeline.pacs.table import LATE, StudyTable

STUDY = "1.2.3"


@pytest.fixture
def table(tmp_path):
    table = StudyTable(tmp_path / "studies.db")
    yield table
    table.close()


def state(table):
    (study,) = table.studies()
    return study.state, study.instances, study.reason


def running(table):
    table.receive(STUDY, "1", now=0)
    table.complete_quiet(before=0)
    return table.take(now=0)


def test_a_study_waits_until_it_is_quiet(table):
    table.receive(STUDY, "1", now=10)
    table.complete_quiet(before=9)
    assert table.take(now=100) is None
    table.receive(STUDY, "2", now=20)
    table.receive(STUDY, "2", now=30)  # again: nothing new
    table.complete_quiet(before=20)
    assert table.take(now=100).instances == 2
    assert table.take(now=100) is None


def test_a_study_that_waits_arrives_again(table):
    table.receive(STUDY, "1", now=0)
    table.complete_quiet(before=0)
    table.receive(STUDY, "2", now=5)
    assert state(table) == ("arriving", 2, "")


@pytest.mark.parametrize("late", ["while it runs", "when it is done"])
def test_what_comes_too_late_is_recorded(table, late):
    study = running(table)
    if late == "while it runs":
        table.receive(STUDY, "2", now=1)
    is_whole = table.finish(study, instances=1, results=1)
    if late == "when it is done":
        table.receive(STUDY, "2", now=1)
    assert is_whole == (late == "when it is done")
    assert state(table) == ("done", 2, LATE)
    table.retry(STUDY)
    assert table.take(now=0).round == 2


def test_what_comes_too_late_is_recorded_though_its_result_waits(table):
    """The result was made, could not be stored, and an instance came meanwhile."""
    study = running(table)
    table.postpone(study, "archive: no answer", due=7)
    table.receive(STUDY, "2", now=1)
    table.complete_quiet(before=1)
    assert not table.finish(table.take(now=7), instances=1, results=1)
    assert state(table) == ("done", 2, LATE)


def test_a_fault_of_the_network_waits_until_it_is_due(table):
    table.postpone(running(table), "archive: no answer", due=7)
    assert state(table) == ("waiting", 1, "archive: no answer")
    assert table.take(now=6) is None
    assert table.take(now=7).attempts == 1


def test_what_ran_when_the_process_ended_waits(table, tmp_path):
    running(table)
    table.recover()
    assert StudyTable(tmp_path / "studies.db").take(now=0).uid == STUDY


def test_only_what_failed_is_tried_again(table):
    study = running(table)
    with pytest.raises(ValueError, match=r"1\.2\.3: is running; only a failed study"):
        table.retry(STUDY)
    with pytest.raises(ValueError, match=r"9\.9: no such study"):
        table.retry("9.9")
    table.fail(study, "no image")
    assert state(table) == ("failed", 1, "no image")
    table.retry(STUDY)
    again = table.take(now=0)
    assert (again.round, again.attempts) == (1, 0)


def test_a_study_of_a_peer_is_complete_when_its_number_stays(table):
    table.see("archive", {STUDY: 3}, now=0)
    table.see("archive", {STUDY: 4}, now=10)
    table.see("archive", {STUDY: 4}, now=20)
    table.complete_quiet(before=10)
    study = table.take(now=20)
    assert study.instances == 4
    table.see("archive", {STUDY: 5}, now=30)  # the result
    table.finish(study, instances=4, results=1)
    table.see("archive", {STUDY: 5}, now=40)
    assert state(table) == ("done", 4, "")
    table.see("archive", {STUDY: 6}, now=50)
    assert state(table) == ("done", 4, LATE)


def test_a_result_that_comes_back_is_known(table):
    table.produce(["8.8"])
    assert table.has(STUDY, "8.8")
    assert not table.has(STUDY, "8.9")


def test_a_file_that_is_no_table(tmp_path):
    path = tmp_path / "studies.db"
    path.write_bytes(b"no database" * 100)
    with pytest.raises(ValueError, match="no table of studies"):
        StudyTable(path)
