"""Engines of inference, from the evaluation that measures them to the masks of new images."""

import json
from typing import get_args

import numpy as np
import pytest
from skimage.io import imread

from pipeline.evaluation import engine_trials
from pipeline.inference import engine as engines
from pipeline.inference.int8_program import int8_path
from pipeline.inference.trained_model import read_record, write_record

for package in ("nncf", "onnxruntime", "openvino"):
    pytest.importorskip(package, reason="an extra")


@pytest.fixture(autouse=True)
def machine(monkeypatch):
    """A machine with OpenVINO, that computes in bfloat16."""
    monkeypatch.setattr(engines, "has_openvino", lambda: True)
    monkeypatch.setattr(engines, "has_onnxruntime", lambda: True)
    monkeypatch.setattr(engines, "computes_in_bfloat16", lambda device: True)


def test_an_evaluation_measures_the_engines_of_its_machine(site, phantom, run_bundle, capsys):
    run_bundle(site, "evaluating", dataset_dir=str(phantom))
    trials = read_record(site / "models" / "model.pt").engines
    assert {trial.engine for trial in trials} == set(get_args(engines.Engine)) - {"onnxruntime"}
    seconds = [trial.seconds for trial in trials]
    assert seconds == sorted(seconds)
    assert not any(trial.accepted for trial in trials)  # one validation image gives no interval
    lines = capsys.readouterr().out.splitlines()
    start = lines.index(
        "engines of inference, seconds for the first validation case, loss of score"
    )
    assert [line.split()[0] for line in lines[start + 1 : start + 1 + len(trials)]] == [
        trial.engine for trial in trials
    ]


def test_the_accepted_engine_makes_the_masks(site, phantom, run_bundle, capsys):
    model = site / "models" / "model.pt"
    accepted = engines.EngineTrial(engine="openvino", seconds=0.1, accepted=True)
    write_record(model, read_record(model).model_copy(update={"engines": [accepted]}))
    masks = {}
    for engine in ("auto", "float32"):
        out = site / engine
        run_bundle(
            site, "inferring", image_dir=str(phantom / "images"), output_dir=str(out), engine=engine
        )
        report = json.loads((out / "run_report.json").read_text("utf-8"))
        assert report["engine"] == ("openvino" if engine == "auto" else "float32")
        masks[engine] = [imread(path) for path in sorted((out / "mask").iterdir())]
    assert len(masks["auto"]) > 1
    assert np.array_equal(masks["auto"], masks["float32"])
    printed = capsys.readouterr().out
    assert "on cpu by openvino" in printed
    assert "computed by float32; the evaluation accepted openvino, which is faster" in printed


def test_an_accepted_program_of_integers_makes_the_masks(
    site, phantom, run_bundle, monkeypatch, capsys
):
    monkeypatch.setattr(engine_trials, "bootstrap_interval", lambda *_: (0.0, 0.0, 0.0, 3, 3))
    monkeypatch.setattr(engine_trials, "MIN_SPEED", 0.0)
    run_bundle(site, "evaluating", dataset_dir=str(phantom), engine="openvino_int8")
    model = site / "models" / "model.pt"
    assert "openvino_int8" in [one.engine for one in read_record(model).engines if one.accepted]
    assert int8_path(model).is_file()
    out = site / "masks"
    images = str(phantom / "images")
    run_bundle(site, "inferring", image_dir=images, output_dir=str(out), engine="openvino_int8")
    assert "on cpu by openvino_int8" in capsys.readouterr().out
    assert len(list((out / "mask").iterdir())) > 1
