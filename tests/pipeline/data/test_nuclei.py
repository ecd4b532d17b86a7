import json

import numpy as np
import pytest
from PIL import Image

from pipeline import cli
from pipeline.data import read_datalist
from pipeline.data.nuclei import prepare_nuclei

LABEL = np.array([[0, 1, 1, 300]] * 3, np.uint16)


def save(folder, name, array):
    folder.mkdir(exist_ok=True)
    Image.fromarray(array).save(folder / name)


@pytest.fixture
def source(tmp_path):
    rng = np.random.default_rng(0)
    for i in range(5):
        pixels = rng.integers(0, 255, (3, 4, 3 if i == 2 else 1), np.uint8)
        save(tmp_path / "images", f"n{i}.png", np.broadcast_to(pixels, (3, 4, 3)).copy())
        save(tmp_path / "labels", f"n{i}.png", LABEL)
    return tmp_path


def test_a_cohort_of_five(source, tmp_path):
    out = tmp_path / "out"
    prepare_nuclei(source, out)
    content = json.loads((out / "datalist.json").read_text())
    assert [len(content[split]) for split in ("training", "validation", "test")] == [3, 1, 1]
    entries = [e for split in ("training", "validation", "test") for e in content[split]]
    stains = {entry["image"][-6:-4]: entry["stain"] for entry in entries}
    assert [name for name, stain in stains.items() if stain == "tissue"] == ["n2"]
    entry = read_datalist(out).entries("test")[0]
    assert np.array_equal(np.asarray(Image.open(entry["instances"])), LABEL)
    assert np.array_equal(np.asarray(Image.open(entry["label"])), 255 * (LABEL > 0))


def test_mistakes_name_the_file(source, tmp_path):
    save(source / "labels", "n3.png", LABEL[:2])
    with pytest.raises(ValueError, match=r"n3.png: \(2, 4\) of uint16; expected .* \(3, 4\)"):
        prepare_nuclei(source, tmp_path / "a")
    (source / "labels" / "n1.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"n1.png: no label for n1.png"):
        prepare_nuclei(source, tmp_path / "b")
    with pytest.raises(FileNotFoundError, match="no PNG image"):
        prepare_nuclei(tmp_path / "nowhere", tmp_path / "c")


def test_the_command_on_real_nuclei(real_data, tmp_path, capsys):
    out = tmp_path / "nuclei"
    source = str(real_data / "dsb2018")
    assert cli.main(["data", "prepare", "nuclei", "--source", source, "--out", str(out)]) == 0
    assert "140 training, 47 validation, 47 test" in capsys.readouterr().out
    content = json.loads((out / "datalist.json").read_text())
    stains = [
        entry["stain"] for split in ("training", "validation", "test") for entry in content[split]
    ]
    assert (stains.count("tissue"), stains.count("fluorescence")) == (54, 180)
