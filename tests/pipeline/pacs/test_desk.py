"""The steps of one study: none is done again whose product is on the disk."""

from pathlib import Path

import pytest

from pipeline.pacs.desk import Desk
from pipeline.pacs.faults import NetworkError
from pipeline.pacs.inbox import Inbox
from pipeline.pacs.instances import read_instance
from pipeline.pacs.settings import Keep, Limits
from pipeline.pacs.table import StudyTable
from tests.pipeline.pacs.studies import write_study

NOTHING = Keep()


class Archive:
    """A peer that stores names of files, and fails as often as it is told."""

    name = "archive"

    def __init__(self, faults: int = 0) -> None:
        self.faults, self.stored = faults, []

    def send(self, files) -> None:
        if self.faults:
            self.faults -= 1
            raise NetworkError("archive: no answer")
        self.stored += [path.read_bytes() for path in files]


@pytest.fixture
def table(tmp_path):
    table = StudyTable(tmp_path / "studies.db")
    yield table
    table.close()


@pytest.fixture
def open_desk(tmp_path, table, stand_in):
    """Return a function that opens the desk, as a new process does."""

    def open_desk(infer=stand_in, keep=NOTHING):
        inbox = Inbox(tmp_path / "studies", Limits(free_mb=0))
        desk = Desk(table, inbox, tmp_path / "results", infer, keep, lambda: 0.0)
        desk.tidy()
        return desk

    return open_desk


@pytest.fixture
def instances(tmp_path):
    write_study(tmp_path / "made", instances=2)
    return [read_instance(path.read_bytes()) for path in sorted((tmp_path / "made").iterdir())]


def running(desk, table, instances):
    for instance in instances:
        desk.receive(instance)
        desk.receive(instance)
    table.complete_quiet(before=0)
    return table.take(now=0)


def test_what_could_not_be_stored_is_not_segmented_again(open_desk, table, instances, stand_in):
    archive = Archive(faults=1)
    study = running(open_desk(), table, instances)
    with pytest.raises(NetworkError):
        open_desk().do(study, None, archive)
    assert open_desk().do(study, None, archive) == (2, 1)
    assert len(stand_in.lines()) == len(archive.stored) == 1
    assert open_desk().do(study, None, archive) == (2, 1)  # killed before it was recorded
    assert archive.stored[0] == archive.stored[1]  # the archive has it once, by its UID


def test_a_result_that_the_archive_sends_back_is_no_new_instance(open_desk, table, instances):
    desk, archive = open_desk(), Archive()
    study = running(desk, table, instances)
    table.finish(study, *desk.do(study, None, archive))
    desk.receive(read_instance(archive.stored[0]))
    assert [(row.state, row.instances, row.reason) for row in table.studies()] == [("done", 2, "")]


def test_a_half_made_result_is_made_anew(open_desk, table, instances, stand_in, tmp_path):
    study = running(open_desk(), table, instances)
    half = tmp_path / "results" / study.uid / ".1-4711"
    half.mkdir(parents=True)
    (half / "result.dcm").write_text("half")
    archive = Archive()
    assert open_desk().do(study, None, archive) == (2, 1)
    assert not half.exists()


@pytest.mark.parametrize("keeps", [False, True])
def test_what_stays_of_a_study_that_is_done(open_desk, table, instances, tmp_path, keeps):
    desk = open_desk(keep=Keep(images=keeps, results=keeps))
    study = running(desk, table, instances)
    outcome = desk.do(study, None, Archive())
    assert table.finish(study, *outcome)
    open_desk(keep=Keep(images=keeps, results=keeps))  # killed before it was removed
    assert (tmp_path / "studies" / study.uid).exists() == keeps
    assert (tmp_path / "results" / study.uid).exists() == keeps


def test_images_that_were_removed_are_asked_for(open_desk, table, instances):
    """A study whose last instance came late is segmented as a whole, or not at all."""
    desk = open_desk()
    study = running(desk, table, instances[:1])
    table.finish(study, *desk.do(study, None, Archive()))
    desk.clear(study)
    desk.receive(instances[1])
    table.retry(study.uid)
    again = table.take(now=0)
    with pytest.raises(ValueError, match=r"found 1 of 2 instances, .*; send it again"):
        desk.do(again, None, Archive())
    table.fail(again, "images were removed")
    desk.receive(instances[0])
    table.retry(study.uid)
    assert desk.do(table.take(now=0), None, Archive()) == (2, 1)


def test_a_result_of_another_study_is_not_stored(open_desk, table, instances, tmp_path):
    def of_another(study: Path, out: Path):
        write_study(out / "a", instances=1)
        return [out / "a" / "1.dcm"]

    archive = Archive()
    desk = open_desk(infer=of_another)
    with pytest.raises(ValueError, match=r"1\.dcm: is of the study .*; not stored"):
        desk.do(running(desk, table, instances), None, archive)
    assert archive.stored == []


def test_a_segmentation_without_a_result_is_an_error(open_desk, table, instances, tmp_path):
    desk = open_desk(infer=lambda study, out: [])
    with pytest.raises(ValueError, match="inference wrote no DICOM object; see dicom"):
        desk.do(running(desk, table, instances), None, Archive())
    assert not (tmp_path / "results" / instances[0].study / "1").exists()
