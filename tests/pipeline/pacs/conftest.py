import pytest
import yaml

from tests.pipeline.pacs.orthanc import MISSING, PASSWORD, TITLE, USER, Orthanc, free_port
from tests.pipeline.pacs.studies import StandIn


@pytest.fixture(scope="session")
def own_port():
    return free_port()


@pytest.fixture(scope="session")
def running_archive(tmp_path_factory, own_port):
    if MISSING:
        pytest.skip(MISSING)
    archive = Orthanc(tmp_path_factory.mktemp("orthanc"), own_port)
    archive.start()
    yield archive
    archive.kill()


@pytest.fixture
def archive(running_archive, monkeypatch):
    """A real archive without studies, and its credentials in the environment."""
    monkeypatch.setenv("ARCHIVE_USER", USER)
    monkeypatch.setenv("ARCHIVE_PASSWORD", PASSWORD)
    running_archive.delete_all()
    return running_archive


@pytest.fixture
def stand_in(tmp_path):
    return StandIn(tmp_path / "segmented.txt")


def content_of(archive, own_port) -> dict:
    """The content of a pacs.yaml for the archive."""
    own = {"protocol": "dimse", "aet": TITLE, "host": "127.0.0.1", "port": archive.dicom}
    return {
        "folder": "pacs",
        "peers": {
            "web": {
                "protocol": "dicomweb", "url": f"{archive.url}/dicom-web",
                "user_variable": "ARCHIVE_USER", "password_variable": "ARCHIVE_PASSWORD",
            },
            "dimse": own,
            "move": {**own, "retrieve": "move"},
        },
        "listen": {"port": own_port},
        "watch": {
            "results": "web", "quiet_seconds": 0.5, "every_seconds": 0.5, "newest_days": 9999,
        },
        "retries": {"attempts": 20, "first_seconds": 0.1, "longest_seconds": 1},
        "limits": {"free_mb": 1},
    }  # fmt: skip


@pytest.fixture
def write_config(archive, own_port, tmp_path):
    """Return a function that writes pacs.yaml, with keys (``watch#poll``) set as given."""

    def write(**changes):
        content = content_of(archive, own_port)
        for key, value in changes.items():
            *parts, last = key.split("__")
            place = content
            for part in parts:
                place = place.setdefault(part, {})
            place[last] = value
        path = tmp_path / "pacs.yaml"
        path.write_text(yaml.safe_dump(content))
        return path

    return write
