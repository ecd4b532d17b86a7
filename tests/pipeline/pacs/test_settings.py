"""What pacs.yaml may not hold is one line, and a secret in it is not repeated."""

import pytest
import yaml

from pipeline.pacs.settings import read_settings
from tests.conftest import ROOT

WEB = {"protocol": "dicomweb", "url": "https://pacs.example/dicom-web"}
DIMSE = {"protocol": "dimse", "aet": "ARCHIVE", "host": "pacs.example", "port": 104}


@pytest.fixture
def read(tmp_path):
    """Return a function that reads a pacs.yaml with the given keys."""

    def read(**content):
        path = tmp_path / "pacs.yaml"
        path.write_text(yaml.safe_dump({"folder": "pacs", "peers": {"archive": WEB}, **content}))
        return read_settings(path)

    return read


def test_paths_are_relative_to_the_file(read, tmp_path):
    tls = {"authority": "hospital.pem"}
    settings = read(bundle="mine", peers={"archive": {**WEB, "tls": tls}})
    assert settings.folder == tmp_path / "pacs"
    assert settings.bundle == tmp_path / "mine"
    assert settings.peers["archive"].tls.authority == tmp_path / "hospital.pem"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"peers": {"archive": {**WEB, "urll": "hidden"}}}, "urll: no such key; did you mean"),
        ({"listen": {"tls": {"x": 1}}}, "listen#tls#x: no such key; expected one of authority"),
        ({"folder": 3}, "folder: found '3'; Input is not a valid path"),
        ({"watch": {"results": "none"}}, "watch#results: no peer 'none'; peers: archive"),
        ({"watch": {"results": "archive"}}, "watch: expected poll, or listen beside it"),
        ({"watch": {"results": "archive", "where": {"Patient": "1"}}}, "no keyword of DICOM"),
        ({"peers": {"a": {**DIMSE, "retrieve": "move"}}}, "peers#a#retrieve: move needs listen"),
        ({"peers": {"a": {**DIMSE, "aet": "A" * 17}}}, "peers#a#dimse#aet: found"),
        ({"peers": {"a": {**DIMSE, "port": 70000}}}, "peers#a#dimse#port: found '70000'"),
        ({"listen": {"tls": {}}}, "listen#tls: expected certificate and key of this machine"),
        (
            {"peers": {"a": {**WEB, "url": "http://pacs.example", "token_variable": "T"}}},
            "url: expected https, since http would send the password readable",
        ),
        ({"peers": {"a": {**WEB, "url": "ftp://pacs.example"}}}, "url: expected https://HOST/PATH"),
        ({"peers": {"a": {**WEB, "user_variable": "U"}}}, "expected user_variable and"),
        ({"limits": {"instance_mb": 0}}, "limits#instance_mb: found '0'"),
        ({"dicom": ["mask"]}, "dicom#0: found 'mask'; Input should be 'seg', 'rtstruct', 'sr' or"),
        ({"dicom": []}, "dicom: found"),
        ({"dicom_seg": "grey"}, "dicom_seg: found 'grey'; Input should be 'binary', 'fractional'"),
    ],
)  # fmt: skip
def test_an_error_is_one_line_that_says_where(read, content, message):
    with pytest.raises(ValueError, match="mend it; docs/how_to") as error:
        read(**content)
    assert message in str(error.value)
    assert "\n" not in str(error.value)
    assert "hidden" not in str(error.value)


@pytest.mark.parametrize(
    "peer",
    [
        {**WEB, "password": "hunter2"},
        {**WEB, "Token": "hunter2"},
        {**WEB, "url": "https://me:hunter2@pacs.example"},
        {**WEB, "passwordd": "hunter2"},
    ],
)
def test_a_secret_is_refused_and_not_repeated(read, peer):
    with pytest.raises(ValueError, match=r"pacs\.yaml") as error:
        read(peers={"archive": peer})
    assert "hunter2" not in str(error.value)


def test_a_file_that_is_no_yaml_is_not_shown(tmp_path):
    path = tmp_path / "pacs.yaml"
    path.write_text("password: [hunter2")
    with pytest.raises(ValueError, match="not readable as YAML") as error:
        read_settings(path)
    assert "hunter2" not in str(error.value)


def test_a_file_that_is_absent(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such file"):
        read_settings(tmp_path / "pacs.yaml")


def test_the_example_is_taken(tmp_path):
    page = (ROOT / "docs" / "how_to" / "pacs.md").read_text("utf-8")
    path = tmp_path / "pacs.yaml"
    path.write_text(page.partition("```yaml\n")[2].partition("```")[0])
    settings = read_settings(path)
    assert settings.watch is not None
    assert settings.listen is not None
    assert (settings.dicom, settings.dicom_seg) == (("seg", "sr"), "binary")
