"""Studies of a real archive as files, and files as its studies: the same pixels."""

import numpy as np
import pydicom
import pytest
from pydicom.uid import RLELossless

from pipeline import cli
from tests.pipeline.pacs.studies import elements_by_uid, pixels_by_uid, write_study

PROTOCOLS = ("web", "dimse", "move")


def run(*words: object) -> int:
    return cli.main(["pacs", *map(str, words)])


def round_trip(config, tmp_path, files, push_to, pull_from, study):
    assert run("push", files, "--config", config, "--peer", push_to) == 0
    out = tmp_path / "pulled"
    words = ("--config", config, "--peer", pull_from, "--study", study, "--out", out)
    assert run("pull", *words) == 0
    return out / study


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_every_peer_answers(write_config, protocol, capsys):
    assert run("echo", "--config", write_config(), "--peer", protocol) == 0
    assert capsys.readouterr().out == f"{protocol}: answers\n"


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_made_study_comes_back_as_it_was(write_config, tmp_path, protocol):
    study = write_study(tmp_path / "made", instances=3, InstitutionName="Größenwahn")
    pulled = round_trip(write_config(), tmp_path, tmp_path / "made", protocol, protocol, study)
    assert elements_by_uid(pulled) == elements_by_uid(tmp_path / "made")
    assert len(list(pulled.iterdir())) == 3


@pytest.mark.parametrize("series", ["t1_post", "hippocampus_crop"])
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_real_series_comes_back_as_it_was(write_config, tmp_path, real_data, protocol, series):
    files = real_data / "dicom_mr" / series
    sent = elements_by_uid(files)
    study = str(next(iter(sent.values())).StudyInstanceUID)
    pulled = round_trip(write_config(), tmp_path, files, protocol, protocol, study)
    assert pixels_by_uid(pulled) == pixels_by_uid(files)
    assert elements_by_uid(pulled) == sent


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_study_is_found_by_its_patient(write_config, archive, tmp_path, protocol):
    config = write_config()
    first = write_study(tmp_path / "made" / "a", PatientID="P-1")
    write_study(tmp_path / "made" / "b", PatientID="P-2")
    run("push", tmp_path / "made", "--config", config, "--peer", "web")
    out = tmp_path / "out"
    words = ("--config", config, "--peer", protocol, "--where", "PatientID=P-1", "--out", out)
    assert run("pull", *words) == 0
    assert [path.name for path in out.iterdir()] == [first]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_compressed_pixels_stay_as_they_are(write_config, tmp_path, protocol):
    study = write_study(tmp_path / "made", instances=2)
    for path in (tmp_path / "made").iterdir():
        data = pydicom.dcmread(path)
        data.compress(RLELossless, generate_instance_uid=False)
        data.save_as(path)
    pulled = round_trip(write_config(), tmp_path, tmp_path / "made", protocol, protocol, study)
    sent, received = elements_by_uid(tmp_path / "made"), elements_by_uid(pulled)
    assert received.keys() == sent.keys()
    for uid, data in received.items():
        np.testing.assert_array_equal(data.pixel_array, sent[uid].pixel_array)
    if protocol != "dimse":  # the archive decompresses what it sends over C-GET
        assert pixels_by_uid(pulled) == pixels_by_uid(tmp_path / "made")
