"""What is refused: wrong passwords, strange names, too much at once, studies that nobody asked for.

Each is one line, and no line holds a secret.
"""

import logging
import ssl
import subprocess
from pathlib import Path

import pytest
import yaml
from pynetdicom import AE
from pynetdicom.sop_class import CTImageStorage

from pipeline import cli
from pipeline.pacs.inbox import Inbox, LimitError
from pipeline.pacs.instances import Instance, checked_uid, read_instance
from pipeline.pacs.listener import listening
from pipeline.pacs.peer import store_of_study
from pipeline.pacs.peers import open_peer
from pipeline.pacs.settings import Limits, read_settings
from tests.pipeline.pacs.orthanc import free_port
from tests.pipeline.pacs.studies import write_instance, write_study


def test_a_wrong_password(write_config, monkeypatch, capsys, caplog):
    monkeypatch.setenv("ARCHIVE_PASSWORD", "guessed-word")
    caplog.set_level(logging.DEBUG)
    config = str(write_config())
    assert cli.main(["pacs", "echo", "--config", config, "--peer", "web"]) == 1
    line = "web: refused the user (401); see the variables that pacs.yaml names for it\n"
    captured = capsys.readouterr()
    assert captured.out == line
    assert "guessed-word" not in caplog.text + captured.err


def test_a_variable_that_is_not_set(write_config, monkeypatch, capsys):
    monkeypatch.delenv("ARCHIVE_PASSWORD")
    config = str(write_config())
    out = ["--study", "1.2", "--out", "out"]
    assert cli.main(["pacs", "pull", "--config", config, "--peer", "web", *out]) == 1
    line = "error: ARCHIVE_PASSWORD: this environment variable is not set; pacs.yaml names it\n"
    assert capsys.readouterr().err == line


@pytest.mark.parametrize("protocol", ["web", "dimse", "move"])
def test_a_study_that_is_not_there(write_config, tmp_path, protocol, capsys):
    words = ["--config", str(write_config()), "--peer", protocol, "--study", "1.2.3.4"]
    assert cli.main(["pacs", "pull", *words, "--out", str(tmp_path / "out")]) == 1
    message = capsys.readouterr().err
    assert message.startswith(f"error: {protocol}: ")
    assert "1.2.3.4" in message
    assert message.count("\n") == 1


def test_a_server_that_is_absent_is_tried_again(write_config, capsys, tmp_path):
    peer = {"protocol": "dimse", "aet": "ARCHIVE", "host": "127.0.0.1", "port": free_port()}
    retries = {"attempts": 3, "first_seconds": 0.1}
    config = str(write_config(peers__dimse=peer, retries=retries))
    words = ["--peer", "dimse", "--where", "PatientID=1", "--out", str(tmp_path)]
    assert cli.main(["pacs", "pull", "--config", config, *words]) == 1
    captured = capsys.readouterr()
    assert captured.out.count("no connection") == 2
    assert "tried again in 0.2 s" in captured.out
    assert captured.err.startswith("error: dimse: no connection to 127.0.0.1:")


def test_a_folder_without_dicom(write_config, tmp_path, capsys):
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").write_text("nothing")
    words = ["push", str(tmp_path / "notes"), "--config", str(write_config()), "--peer", "web"]
    assert cli.main(["pacs", *words]) == 1
    captured = capsys.readouterr()
    assert "skipped a.txt: no instance of DICOM" in captured.out
    assert "no DICOM file in it" in captured.err


@pytest.mark.filterwarnings("ignore:Invalid value for VR UI")
@pytest.mark.parametrize("uid", ["../../etc/passwd", "1.2/3", "", "1." * 40 + "1", "..", "x", "1"])
def test_a_uid_that_is_a_path_names_no_file(tmp_path, uid):
    path = tmp_path / "a.dcm"
    write_instance(path, uid, CTImageStorage, "CT")
    with pytest.raises(ValueError, match=r"^StudyInstanceUID: found .*, expected a UID"):
        read_instance(path.read_bytes())
    with pytest.raises(ValueError, match="expected a UID"):
        checked_uid(f"{uid}\n", "study")


@pytest.mark.parametrize("content", [b"", b"DICM", b"\0" * 200, b"\0" * 128 + b"DICM\xff\xff\xff"])
def test_bytes_that_are_no_dicom(content):
    with pytest.raises(ValueError, match=r"^instance: |expected a UID"):
        read_instance(content)


def store_all(inbox, *uids):
    for uid in uids:
        inbox.store(instance(uid))


def instance(uid, size=10):
    return Instance("1.2", uid, b"0" * size)


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"instance_mb": 1e-6}, "expected at most 1e-06; refused, see limits#instance_mb"),
        ({"study_instances": 1}, "expected at most 1 instances; the next is refused"),
        ({"study_mb": 1.5e-5}, "see limits#study_mb"),
    ],
)
def test_more_than_the_bounds_is_refused(tmp_path, limits, message):
    inbox = Inbox(tmp_path, Limits(free_mb=0, **limits))
    with pytest.raises(LimitError) as error:
        store_all(inbox, "1.2.1", "1.2.1", "1.2.2")
    assert message in str(error.value)
    again = Inbox(tmp_path, Limits(free_mb=0, **limits))  # it counts what is there
    with pytest.raises(LimitError):
        again.store(instance("1.2.3", size=20))


def test_an_instance_of_another_study_is_refused(tmp_path):
    store = store_of_study("1.2.9", Inbox(tmp_path, Limits()).store)
    with pytest.raises(ValueError, match=r"1\.2\.9: an instance of another study came, 1\.2;"):
        store(instance("1.2.3"))


def own_peer(settings, **changes):
    return {
        "protocol": "dimse", "aet": settings["aet"], "host": "127.0.0.1",
        "port": settings["listen"]["port"], **changes,
    }  # fmt: skip


@pytest.fixture
def receive(tmp_path):
    """Return a function that sends files to a listener, and returns what came and what it said."""

    def receive(files, limits=None, listen_tls=None, peer_tls=None):
        content = {
            "folder": "pacs", "aet": "OWN", "limits": {"free_mb": 0, **(limits or {})},
            "listen": {"port": free_port(), **({"tls": listen_tls} if listen_tls else {})},
        }  # fmt: skip
        content["peers"] = {"own": own_peer(content, **({"tls": peer_tls} if peer_tls else {}))}
        path = tmp_path / "receive.yaml"
        path.write_text(yaml.safe_dump(content))
        settings = read_settings(path)
        came, lines = [], []
        inbox = Inbox(tmp_path / "inbox", settings.limits)

        def store(instance):
            inbox.store(instance)
            came.append(instance)

        with listening(settings, store, lines.append):
            try:
                open_peer(settings, "own").send(files)
            except (OSError, ValueError) as error:
                lines.append(str(error))
        return came, lines

    return receive


def test_an_instance_that_is_too_large_loses_its_connection(tmp_path, receive):
    """While it is being sent: it is never held as a whole."""
    path = tmp_path / "large.dcm"
    write_instance(path, "1.2.3", CTImageStorage, "CT", Rows=2000, Columns=1000,
                   PixelData=bytes(4_000_000))  # fmt: skip
    came, lines = receive([path], {"instance_mb": 0.5})
    assert came == []
    assert "OWN: sent more than" in lines[0]
    assert "own: " in lines[-1]


def test_a_disk_without_room_is_told_to_the_sender(tmp_path, receive):
    write_study(tmp_path / "made", instances=1)
    came, lines = receive([tmp_path / "made" / "1.dcm"], {"free_mb": 10**9})
    assert came == []
    assert "make room, or see limits#free_mb" in lines[0]
    assert lines[1] == "own: C-STORE of 1.dcm: out of resources (A700)"


def test_a_disk_that_fails_is_told_to_the_sender(tmp_path, receive, monkeypatch):
    def full(path, content):
        raise OSError(28, "No space left on device", str(path))

    write_study(tmp_path / "made", instances=1)
    monkeypatch.setattr(Path, "write_bytes", full)
    came, lines = receive([tmp_path / "made" / "1.dcm"])
    assert came == []
    assert "could not be written (No space left on device)" in lines[0]
    assert lines[1] == "own: C-STORE of 1.dcm: out of resources (A700)"
    assert not list((tmp_path / "inbox").rglob("*.dcm"))


@pytest.fixture
def certificate(tmp_path):
    certificate, key = tmp_path / "own.pem", tmp_path / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out",
         certificate, "-days", "2", "-subj", "/CN=localhost", "-addext",
         "subjectAltName=IP:127.0.0.1"],
        check=True, capture_output=True,
    )  # fmt: skip
    return {"certificate": str(certificate), "key": str(key), "authority": str(certificate)}


def test_a_connection_is_encrypted_and_both_sides_prove_themselves(tmp_path, receive, certificate):
    write_study(tmp_path / "made", instances=2)
    files = sorted((tmp_path / "made").iterdir())
    came, lines = receive(files, listen_tls=certificate, peer_tls=certificate)
    assert lines == []
    assert len(came) == 2
    without_own = {"authority": certificate["authority"]}
    for tls in (without_own, None):
        came, lines = receive(files, listen_tls=certificate, peer_tls=tls)
        assert came == []
        assert "own: " in lines[-1]


def test_tls_is_of_a_recent_version(certificate):
    from pipeline.pacs.settings import Tls
    from pipeline.pacs.tls import client_context, server_context

    tls = Tls.model_validate(certificate)
    for context in (client_context(tls), server_context(tls)):
        assert context.minimum_version >= ssl.TLSVersion.TLSv1_2
        assert context.verify_mode is ssl.CERT_REQUIRED
    wrong = {**certificate, "key": certificate["certificate"]}
    with pytest.raises(ValueError, match="not usable with the key"):
        client_context(Tls.model_validate(wrong))


def test_another_called_title_is_rejected(tmp_path, own_port):
    content = {"folder": "pacs", "aet": "OWN", "listen": {"port": free_port()}}
    content["peers"] = {"own": own_peer(content)}
    path = tmp_path / "receive.yaml"
    path.write_text(yaml.safe_dump(content))
    settings = read_settings(path)
    with listening(settings, lambda instance: None, lambda line: None):
        entity = AE("OWN")
        entity.add_requested_context(CTImageStorage)
        association = entity.associate("127.0.0.1", settings.listen.port, ae_title="OTHER")
        assert association.is_rejected
