"""A planned overlay that locates a rare structure first, from its plan to the masks."""

import json

import numpy as np
import pytest
from skimage.io import imread

from pipeline import cli
from pipeline.bundle import Bundle
from pipeline.inference import TrainedModel
from tests.bundles.kinds import save

SETTINGS = {
    "batch_size": 2,
    "steps_per_epoch": 4,
    "max_epochs": 2,
    "val_interval": 1,
    "threads": 1,
    "network_def#locator#features": [4, 8, 8],
    "network_def#segmenter#features": [4, 8, 8, 8, 8],
}


def cohort(root, shape):
    """Eight cases with one small bright box each, the second half of it another class."""
    rng = np.random.default_rng(0)
    for case in range(8):
        image = rng.normal(60, 12, shape)
        mask = np.zeros(shape, np.uint8)
        place = [int(rng.integers(4, side - 16)) for side in shape]
        inside = tuple(slice(at, at + 10) for at in place)
        mask[inside] = 1
        mask[(slice(place[0] + 5, place[0] + 10), *inside[1:])] = 2
        image[mask > 0] += 120
        save(root / "images", f"c{case}", np.clip(image, 0, 255).astype(np.uint8))
        save(root / "masks", f"c{case}", mask)


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(96, 96), (40, 40, 40)], ids=["flat", "volume"])
def test_located_masks(shape, tmp_path, capsys, in_this_process):
    cohort(tmp_path, shape)
    bundle = tmp_path / "rare"
    call = ["new", str(bundle), "--images", str(tmp_path / "images")]
    assert cli.main([*call, "--masks", str(tmp_path / "masks"), "--kind", "classes"]) == 0
    assert "train --with locate" in capsys.readouterr().out

    places = {"models_dir": str(tmp_path / "models"), "tracking_dir": str(tmp_path / "mlruns")}
    located = Bundle(bundle, ["locate"], {**places, **SETTINGS})
    located.run("training")
    evaluating = {"output_dir": str(tmp_path / "eval"), "tta_versions": 1}
    located.with_overrides(evaluating).run("evaluating")
    assert (tmp_path / "eval" / "report.html").is_file()

    record = json.loads((tmp_path / "models" / "model.json").read_text())
    assert {trial["engine"] for trial in record["engines"] if trial["seconds"] is None} <= {
        "openvino_int8"  # made of a whole network, which would always crop the same place
    }

    out = tmp_path / "out"
    inferring = {"image_dir": str(tmp_path / "images"), "output_dir": str(out)}
    located.with_overrides(inferring).run("inferring")
    report = json.loads((out / "run_report.json").read_text())
    assert len(report["per_image"]) == 8
    assert len(list((out / "mask").iterdir())) == 8


def test_an_image_in_which_nothing_is_located_is_told(tmp_path, capsys, in_this_process):
    cohort(tmp_path, (96, 96))
    bundle = tmp_path / "rare"
    call = ["new", str(bundle), "--images", str(tmp_path / "images")]
    assert cli.main([*call, "--masks", str(tmp_path / "masks"), "--kind", "classes"]) == 0
    places = {"models_dir": str(tmp_path / "models"), "tracking_dir": str(tmp_path / "mlruns")}
    located = Bundle(bundle, ["locate"], {**places, **SETTINGS, "learning_rate": 0.0})
    located.run("training")
    inferring = {
        "image_dir": str(tmp_path / "images"),
        "output_dir": str(tmp_path / "out"),
        "tta_versions": 1,
    }
    log = tmp_path / "log"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("UNET_SCHOOL_LOG", str(log))
        patch.setattr("pipeline.networks.located.MIN_LOCATED", 1.1)
        located.with_overrides(inferring).run("inferring")
        model = TrainedModel.load(bundle, overlays=["locate"], overrides={**places, **SETTINGS})
        alone = model.predict(tmp_path / "images" / "c0.png")
    report = json.loads((tmp_path / "out" / "run_report.json").read_text())
    said = "nothing was located: the whole image was segmented, not a box"
    assert said in alone.differences
    assert all(said in image["differences"] for image in report["per_image"])
    assert said in capsys.readouterr().out
    assert all("unlocated" in line for line in log.read_text().splitlines())
    assert imread(next((tmp_path / "out" / "mask").iterdir())).shape == (96, 96)
