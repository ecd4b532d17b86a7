"""The watcher against a real archive: each study that comes is segmented and stored, once."""

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import closing

import pytest
from pydicom.uid import BasicTextSRStorage

from pipeline import cli
from pipeline.pacs.listener import listening
from pipeline.pacs.peers import open_peer
from pipeline.pacs.settings import read_settings
from pipeline.pacs.table import StudyTable
from pipeline.pacs.transfer import push
from pipeline.pacs.watch import watch
from tests.pipeline.pacs.studies import StandIn, write_instance, write_study

END_SECONDS = 300


def wait_for(condition) -> None:
    end = time.monotonic() + END_SECONDS
    while not condition():
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.05)


def silent(line: str) -> None:
    pass


def studies_of(config):
    with closing(StudyTable(read_settings(config).folder / "studies.db")) as table:
        return {study.uid: study for study in table.studies()}


def push_all(config, folder, peer="web"):
    push(read_settings(config), peer, folder, silent)


def watch_once(config, infer, lines=None):
    watch(read_settings(config), infer, silent if lines is None else lines.append, once=True)


@pytest.mark.parametrize("poll", ["web", "dimse", "move"])
def test_a_study_of_the_archive_is_segmented_once(write_config, archive, tmp_path, stand_in, poll):
    """The result is in the archive; a second look does nothing; the images are removed."""
    config = write_config(watch__poll=poll, watch__results="web" if poll == "web" else "dimse")
    study = write_study(tmp_path / "made", instances=3)
    push_all(config, tmp_path / "made")
    lines: list[str] = []
    watch_once(config, stand_in, lines)
    watch_once(config, stand_in)
    assert stand_in.lines() == [f"{study} 3"]
    assert archive.series_by_study("OT") == {study: 1}
    assert studies_of(config)[study].state == "done"
    assert list((tmp_path / "pacs" / "studies").iterdir()) == []
    assert any(line.startswith(f"{study}: done, 3 instances, 1 result stored") for line in lines)


def test_instances_that_come_later_are_named(write_config, archive, tmp_path, stand_in, capsys):
    config = write_config(watch__poll="web")
    study = write_study(tmp_path / "made")
    push_all(config, tmp_path / "made")
    watch_once(config, stand_in)
    write_instance(tmp_path / "late" / "a.dcm", study, "1.2.840.10008.5.1.4.1.1.2", "CT")
    push_all(config, tmp_path / "late")
    watch_once(config, stand_in)
    assert "came after it was segmented" in studies_of(config)[study].reason
    assert cli.main(["pacs", "retry", "--config", str(config), "--study", study]) == 0
    watch_once(config, stand_in)
    assert studies_of(config)[study].reason == ""
    assert len(stand_in.lines()) == 2


class Watching:
    """A watcher in a thread of this process, until the block ends."""

    def __init__(self, config, infer) -> None:
        self.lines: list[str] = []
        self.config, self.infer = config, infer

    def __enter__(self):
        self.error: list[BaseException] = []
        self.thread = threading.Thread(target=self._run)
        self.thread.start()
        wait_for(lambda: self.lines or self.error)
        return self

    def _run(self) -> None:
        try:
            watch(read_settings(self.config), self.infer, self._say)
        except KeyboardInterrupt:
            pass
        except BaseException as error:
            self.error.append(error)
            raise

    def _say(self, line: str) -> None:
        self.lines.append(line)

    def __exit__(self, *_: object) -> None:
        self.infer.stop = True
        self.thread.join(END_SECONDS)


class Stopping(StandIn):
    """The stand-in, and the end of the thread that watches."""

    stop = False


@pytest.fixture
def stopping(tmp_path, monkeypatch):
    infer = Stopping(tmp_path / "segmented.txt")

    def sleep(seconds: float, sleep=time.sleep) -> None:
        if infer.stop:
            raise KeyboardInterrupt
        sleep(seconds)

    monkeypatch.setattr("pipeline.pacs.watch.time.sleep", sleep)
    return infer


@pytest.mark.parametrize("count_from", [None, "dimse"])
def test_a_study_that_is_sent_is_segmented(write_config, archive, tmp_path, stopping, count_from):
    """The archive sends by C-STORE; its result, which it sends too, is no new study."""
    quiet = 0.5 if count_from is None else 3600  # with the number nothing is waited for
    config = write_config(watch__count_from=count_from, watch__quiet_seconds=quiet)
    study = write_study(tmp_path / "made", instances=3)
    push_all(config, tmp_path / "made")
    with Watching(config, stopping) as watching:
        watching.lines.clear()
        archive.post("modalities/us/store", archive.get("studies"))
        wait_for(lambda: archive.series_by_study("OT"))
        wait_for(lambda: studies_of(config)[study].state == "done")
        archive.post("modalities/us/store", archive.get("studies"))
    assert stopping.lines() == [f"{study} 3"]
    assert studies_of(config)[study].reason == ""
    assert studies_of(config)[study].instances == 3


def test_a_peer_that_is_not_configured_is_refused(write_config, archive, tmp_path, stopping):
    """By its title, and by its address; nothing is received."""
    config = write_config(
        peers__web={"protocol": "dicomweb", "url": f"{archive.url}/dicom-web"},
        peers__dimse={
            "protocol": "dimse", "aet": "ANOTHER", "host": "127.0.0.1", "port": archive.dicom
        },
    )  # fmt: skip
    content = config.read_text().replace("aet: ARCHIVE", "aet: ANOTHER")
    settings = config.with_name("other.yaml")
    settings.write_text(content)
    read = read_settings(settings)
    lines: list[str] = []
    with listening(read, lambda instance: lines.append("received"), lines.append):
        caller = open_peer(read_settings(write_config(peers__us=own_of(read))), "us")
        caller.aet = "ARCHIVE"
        with pytest.raises(ValueError, match="rejects ARCHIVE: Calling AE title not recognised"):
            caller.echo()
        caller.aet = "ANOTHER"
        caller.echo()
    assert lines == ["ARCHIVE at 127.0.0.1: refused, no peer of pacs.yaml has both"]
    content = content.replace("host: 127.0.0.1", "host: 127.0.0.9")
    settings.write_text(content)
    lines.clear()
    with (
        listening(read_settings(settings), lambda instance: None, lines.append),
        pytest.raises(OSError, match="us: no connection to"),
    ):
        caller.echo()
    assert lines == ["127.0.0.1: refused, no peer of pacs.yaml has this address"]


def own_of(settings):
    return {
        "protocol": "dimse", "aet": settings.aet, "host": "127.0.0.1",
        "port": settings.listen.port,
    }  # fmt: skip


def test_a_study_without_images_fails_with_its_reason_and_is_tried_again(
    write_config, archive, tmp_path, stand_in, capsys
):
    config = write_config(watch__poll="web")
    study = "1.2.826.0.1.3680043.8.498.77"
    path = tmp_path / "made" / "report.dcm"
    write_instance(path, study, BasicTextSRStorage, "SR")
    remove_pixels(path)
    push_all(config, tmp_path / "made")
    lines: list[str] = []
    watch_once(config, stand_in, lines)
    reason = f"ValueError: {study}: no image in this study; see what is sent"
    assert lines[-1] == f"{study}: failed: {reason}; unet-school pacs retry tries it again"
    assert cli.main(["pacs", "list", "--config", str(config), "--state", "failed"]) == 0
    assert f"failed    {study} 1: {reason}" in capsys.readouterr().out
    assert (tmp_path / "pacs" / "studies" / study).is_dir()
    watch_once(config, stand_in)
    assert cli.main(["pacs", "retry", "--config", str(config), "--all"]) == 0
    watch_once(config, lambda images, out: StandIn(tmp_path / "forced")(with_image(images), out))
    assert studies_of(config)[study].state == "done"


def remove_pixels(path) -> None:
    import pydicom

    data = pydicom.dcmread(path)
    del data.PixelData
    data.save_as(path)


def with_image(folder):
    """A folder with a study that can be segmented, in place of one that cannot."""
    copy = folder.parent / "copy"
    write_instance(copy / "a.dcm", folder.name, "1.2.840.10008.5.1.4.1.1.2", "CT")
    return copy


def test_a_full_disk_is_waited_for(write_config, archive, tmp_path, stand_in):
    """The study waits with its reason; when there is room again, it is segmented."""
    config = write_config(watch__poll="web", limits__free_mb=10**9)
    study = write_study(tmp_path / "made")
    push_all(config, tmp_path / "made")
    write_config(watch__poll="web", limits__free_mb=10**9, retries__attempts=2)
    lines: list[str] = []
    watch_once(config, stand_in, lines)
    assert studies_of(config)[study].state == "failed"
    assert "MB are free, expected 1e+09 beside what is received; make room" in lines[-1]
    write_config(watch__poll="web")
    assert cli.main(["pacs", "retry", "--config", str(config), "--study", study]) == 0
    watch_once(config, stand_in)
    assert archive.series_by_study("OT") == {study: 1}


def test_two_watchers_are_one_too_many(write_config, archive, stopping):
    config = write_config()
    with Watching(config, stopping), pytest.raises(ValueError, match="is being written by process"):
        watch(read_settings(config), stopping, silent)


WATCHER = """
import sys
from pathlib import Path
from pipeline.pacs.settings import read_settings
from pipeline.pacs.watch import watch
from tests.pipeline.pacs.studies import StandIn
watch(read_settings(Path(sys.argv[1])), StandIn(Path(sys.argv[2])), print)
"""


def start_watcher(config, record):
    with config.with_name("watch.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-u", "-c", WATCHER, config, record], stdout=log, stderr=log,
            env=os.environ,
        )  # fmt: skip


@pytest.mark.slow
def test_200_studies_survive_the_ends_of_server_and_watcher(write_config, archive, tmp_path):
    """All at once, while the server, then the watcher is killed: each is segmented and stored once.

    A study that was being segmented when the watcher was killed may be segmented again; its result
    is stored once all the same.
    """
    number = 200
    config = write_config(
        watch__poll="web", watch__every_seconds=3, listen=None,
        retries__attempts=100, retries__longest_seconds=0.5,
        peers__move={**own_archive(archive)},
    )  # fmt: skip
    record = tmp_path / "segmented.txt"
    studies = {write_study(tmp_path / "made" / str(i), instances=1) for i in range(number)}
    watcher = start_watcher(config, record)
    try:
        sender = threading.Thread(target=push_all, args=(config, tmp_path / "made"))
        sender.start()
        wait_for(lambda: len(archive.get("studies")) >= 20)
        assert sender.is_alive()
        archive.kill()
        time.sleep(0.5)
        archive.start()
        sender.join(END_SECONDS)
        begun = len(lines_of(record))
        wait_for(lambda: len(lines_of(record)) >= min(begun + 20, number // 2))
        watcher.send_signal(signal.SIGKILL)
        watcher.wait()
        watcher = start_watcher(config, record)
        wait_for(lambda: len(archive.get("studies")) == number)
        wait_for(lambda: {study.state for study in studies_of(config).values()} == {"done"}
                 and len(studies_of(config)) == number)  # fmt: skip
    finally:
        watcher.kill()
        watcher.wait()
    assert archive.series_by_study("OT") == dict.fromkeys(studies, 1)
    assert {line.split()[0] for line in lines_of(record)} == studies
    assert len(lines_of(record)) <= number + 1


def own_archive(archive):
    return {"protocol": "dimse", "aet": "ARCHIVE", "host": "127.0.0.1", "port": archive.dicom}


def lines_of(record):
    return record.read_text().splitlines() if record.exists() else []
