import json
import subprocess
import sys
import zipfile

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from pipeline import cli
from pipeline.bundle import Bundle
from pipeline.claims import claim
from pipeline.commands.export import print_next_of
from pipeline.inference import OperatingPoint
from pipeline.inference.trained_model import save_model, write_record
from pipeline.networks import UNet, UNetPlusPlus
from pipeline.sharing.torchscript import save_torchscript
from tests.conftest import ROOT

CONFIGS = ROOT / "bundles" / "membranes" / "configs"
KINDS = {
    "UNet": (UNet, {"features": [4, 8, 8], "pixel_unshuffle": 2, "norm": "batch"}),
    "UNetPlusPlus": (
        UNetPlusPlus,
        {
            "features": [4, 4, 8],
            "deep_supervision": True,
            "strides": [[2, 1], [2, 2]],
            "kernels": [[3, 1], [3, 3], [3, 3]],
        },
    ),
}


@pytest.fixture(params=KINDS)
def model(request, tmp_path):
    """A bundle's folder, an overlay with a small network, and its weights."""
    network, arguments = KINDS[request.param]
    arguments = {"spatial_dims": 2, "in_channels": 1, "out_channels": 1, **arguments}
    torch.manual_seed(0)
    save_model(tmp_path / "model.pt", network(**arguments).state_dict(), bundle="made")
    definition = {
        "_target_": f"pipeline.networks.{request.param}",
        **arguments,
        "_mode_": "default",
    }
    config = yaml.safe_load((CONFIGS / "train.yaml").read_text()) | {"network_def": definition}
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "train.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    for name in ("inference.yaml", "metadata.json"):
        (tmp_path / "configs" / name).write_text((CONFIGS / name).read_text())
    return request.param, tmp_path


def export(folder, images, *more):
    call = ["export", str(folder), "--images", str(images), "--out", str(folder / "out")]
    return cli.main([*call, "--model", str(folder / "model.pt"), *more])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_every_format_agrees_with_the_network_on_real_tiles(model, real_data, capsys):
    pytest.importorskip("onnxscript")
    kind, folder = model
    images = folder / "images"
    images.mkdir()
    page = next((real_data / "isbi2012").rglob("*.png"), None)
    source = Image.open(page or next((real_data / "isbi2012").rglob("*.tif")))
    source.convert("L").crop((0, 0, 200, 136)).save(images / "tile.png")
    assert export(folder, images) == 0
    following = f"next        more {folder / 'out' / 'exports.json'}\n"
    assert capsys.readouterr().out.endswith(following)
    exports = json.loads((folder / "out" / "exports.json").read_text())
    formats = {"torchscript", "onnx", "torch_export"}
    levels = {"", " level 1"} if kind == "UNetPlusPlus" else {""}
    assert set(exports["differences"]) == {name + level for name in formats for level in levels}
    assert all(0 <= value <= exports["tolerance"] for value in exports["differences"].values())
    written = {path.name for path in (folder / "out").iterdir()}
    assert {"model.ts", "model.onnx", "model.pt2"} <= written
    assert ("model_level_1.onnx" in written) == (kind == "UNetPlusPlus")
    _infers_without_torch(folder, images / "tile.png")


def _infers_without_torch(folder, image):
    """The documented example gives the network's own mask, and never imports torch."""
    script = ROOT / "docs" / "infer_onnx.py"
    watched = (
        "import runpy, sys\n"
        f"runpy.run_path({str(script)!r}, run_name='__main__')\n"
        "assert 'torch' not in sys.modules\n"
    )
    arguments = [str(folder / "out" / "model.onnx"), str(image), str(folder / "mask.png")]
    command = [sys.executable, "-c", watched, *arguments, "--multiple", "8"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    grey = np.asarray(Image.open(image), np.float32)
    tile = torch.from_numpy((grey - grey.mean()) / grey.std())[None, None]
    config = yaml.safe_load((folder / "configs" / "train.yaml").read_text())["network_def"]
    kind = config.pop("_target_").rpartition(".")[2]
    config.pop("_mode_")
    network = KINDS[kind][0](**config)
    network.load_state_dict(torch.load(folder / "model.pt", weights_only=True))
    with torch.no_grad():
        expected = network.eval()(tile).sigmoid()[0, 0].numpy()
    mask = np.asarray(Image.open(folder / "mask.png")) > 0
    sure = np.abs(expected - 0.5) > 1e-4
    assert np.array_equal(mask[sure], expected[sure] >= 0.5)


@pytest.mark.filterwarnings("ignore")
def test_a_network_that_torchscript_cannot_read_is_traced(tmp_path):
    class OfAnyMaps(torch.nn.Module):
        def forward(self, *maps):
            return maps[0] + 1

    path = tmp_path / "new" / "model.ts"
    program = save_torchscript(OfAnyMaps(), torch.zeros(1, 1, 4, 4), path, {"note.json": "{}"})
    assert program(torch.zeros(2, 1, 3, 5)).unique().tolist() == [1.0]
    assert [file.name for file in path.parent.iterdir()] == ["model.ts"]
    with zipfile.ZipFile(path) as archive:
        assert archive.read("model/extra/note.json") == b"{}"


def test_wrong_calls(model, tmp_path, capsys):
    _, folder = model
    (folder / "small").mkdir()
    Image.new("L", (5, 5)).save(folder / "small" / "dot.png")
    assert export(folder, folder / "small") == 1
    assert "dot.png: smaller than" in capsys.readouterr().err
    assert export(folder, folder / "small", "--with", str(folder / "none.yaml")) == 1
    assert "none.yaml: no such overlay" in capsys.readouterr().err
    (folder / "configs" / "metadata.json").unlink()
    assert export(folder, folder / "small") == 1
    assert "metadata.json: no such file" in capsys.readouterr().err


@pytest.mark.filterwarnings("ignore")
def test_an_export_that_differs_is_not_kept(model, real_data, monkeypatch, capsys):
    from pipeline.sharing import export as module

    kind, folder = model
    (folder / "images").mkdir()
    noise = np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8)
    Image.fromarray(noise).save(folder / "images" / "noise.png")
    other = KINDS[kind][0](2, 1, 1, features=KINDS[kind][1]["features"]).eval()
    monkeypatch.setitem(
        module.EXPORTERS,
        "torchscript",
        lambda exporter, path: (path.parent.mkdir(), path.touch(), other)[2],
    )
    assert export(folder, folder / "images", "--formats", "torchscript") == 1
    assert "from the network; not written" in capsys.readouterr().err
    assert not list((folder / "out").glob("*.ts"))


def test_a_folder_that_is_being_written_is_refused(tmp_path, capsys):
    out = tmp_path / "out"
    command = ["export", str(CONFIGS.parent), "--images", str(tmp_path), "--out", str(out)]
    with claim(out):
        assert cli.main(command) == 1
    assert f"{out}: is being written by process " in capsys.readouterr().err


def test_an_evaluated_model_is_packed_next(tmp_path, capsys):
    path, exports = tmp_path / "model.pt", tmp_path / "exports.json"
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "train.yaml").touch()
    record = save_model(path, {"weight": torch.zeros(1)}, bundle="made", run_name="mine")
    print_next_of(Bundle(tmp_path), path, exports)
    assert capsys.readouterr().out == f"next        more {exports}\n"
    write_record(path, record.model_copy(update={"operating_point": OperatingPoint()}))
    print_next_of(Bundle(tmp_path), path, exports)
    assert capsys.readouterr().out == (
        f"next        unet-school pack {tmp_path} --run mine --out mine.zip --exports {exports}\n"
    )
    (tmp_path / "pipeline").mkdir()  # a packed bundle brings its source
    print_next_of(Bundle(tmp_path), path, exports)
    assert capsys.readouterr().out == f"next        more {exports}\n"
