import numpy as np
import pytest
from PIL import Image

from pipeline.claims import claim
from pipeline.data import read_datalist
from pipeline.data.cohorts import nuclei

LABEL = np.array([[0, 1, 1, 300]] * 3, np.uint16)


@pytest.fixture
def source(tmp_path, save):
    rng = np.random.default_rng(0)
    for i in range(5):
        pixels = rng.integers(0, 255, (3, 4, 3 if i == 2 else 1), np.uint8)
        save(tmp_path / "images" / f"n{i}.png", np.broadcast_to(pixels, (3, 4, 3)).copy())
        save(tmp_path / "labels" / f"n{i}.png", LABEL)
    return tmp_path


def test_a_cohort_of_five(source, prepare, entries):
    out, content, _ = prepare("nuclei", "--source", source)
    assert [len(content[split]) for split in ("training", "validation", "test")] == [3, 1, 1]
    stains = {entry["image"][-6:-4]: entry["stain"] for entry in entries(content)}
    assert [name for name, stain in stains.items() if stain == "tissue"] == ["n2"]
    entry = read_datalist(out).entries("test")[0]
    assert np.array_equal(np.asarray(Image.open(entry.instances)), LABEL)
    assert np.array_equal(np.asarray(Image.open(entry.label)), 255 * (LABEL > 0))


def test_one_mask_for_each_nucleus(source, prepare, save, tmp_path):
    for i in range(5):
        folder = tmp_path / "stage1" / f"n{i}"
        image = np.asarray(Image.open(source / "images" / f"n{i}.png"))
        save(
            folder / "images" / f"n{i}.png",
            np.dstack([image, np.full(image.shape[:2], 255)]).astype(np.uint8),
        )
        for number in (1, 300):
            save(folder / "masks" / f"m{number}.png", np.uint8(255) * (number == LABEL.astype(int)))
    _, first, _ = prepare("nuclei", "--source", source)
    out, content, _ = prepare("nuclei", "--source", tmp_path / "stage1", out="b")
    for split in ("training", "validation", "test"):
        for entry, reference in zip(content[split], first[split], strict=True):
            same = ("image_sha256", "label_sha256", "stain")
            assert [entry[key] for key in same] == [reference[key] for key in same]
    instances = np.asarray(Image.open(read_datalist(out).entries("test")[0].instances))
    assert np.array_equal(instances, np.where(LABEL == 300, 2, LABEL))


def test_a_cohort_that_is_being_written_is_refused(source, failing):
    with claim(source / "out"):
        assert f"{source / 'out'}: is being written by" in failing("nuclei", "--source", source)
    assert not list(source.glob(".out.partial"))


def test_what_was_written_before_a_mistake_is_not_written_again(
    source, prepare, failing, monkeypatch
):
    spoiled = source / "labels" / "n4.png"
    good, read = spoiled.read_bytes(), []
    spoiled.write_bytes(good[:40])
    real = nuclei.read_page
    monkeypatch.setattr(
        nuclei, "read_page", lambda path, **how: read.append(path.name) or real(path, **how)
    )
    assert "n4.png: cannot be read" in failing("nuclei", "--source", source)
    (partial,) = source.glob(".out.partial")
    done = {path.stem for path in (partial / "written").iterdir()}
    assert done
    assert "n4" not in done
    spoiled.write_bytes(good)
    read.clear()
    out, _, _ = prepare("nuclei", "--source", source)
    assert {name[:2] for name in read} == {"n0", "n1", "n2", "n3", "n4"} - done
    assert not partial.exists()
    assert sorted(p.name for p in out.iterdir()) == [
        ".gitignore", "datalist.json", "images", "instances", "labels",
    ]  # fmt: skip


def test_a_changed_original_is_written_again(source, prepare, failing, save):
    save(source / "labels" / "n4.png", LABEL[:2])
    failing("nuclei", "--source", source)
    save(source / "labels" / "n4.png", LABEL)
    save(source / "images" / "n0.png", np.full((3, 4, 3), 7, np.uint8))
    out, _, _ = prepare("nuclei", "--source", source)
    assert (np.asarray(Image.open(out / "images" / "n0.png")) == 7).all()


def test_grey_images_of_other_formats(source, prepare, save):
    grey = np.arange(12).reshape(3, 4)
    save(source / "images" / "n0.png", (257 * grey).astype(np.uint16))
    save(source / "images" / "n1.png", np.dstack([grey + 1, grey * 0 + 255]).astype(np.uint8))
    save(source / "images" / "n3.png", grey > 5)
    out, _, _ = prepare("nuclei", "--source", source)
    for name, expected in (("n0", grey), ("n1", grey + 1), ("n3", 255 * (grey > 5))):
        image = np.asarray(Image.open(out / "images" / f"{name}.png"))
        assert np.array_equal(image, np.dstack([expected] * 3))


def test_errors_name_the_file(source, failing, save, tmp_path):
    save(source / "labels" / "n3.png", LABEL[:2])
    line = failing("nuclei", "--source", source)
    assert "n3.png: (2, 4) of uint16; expected whole numbers of size (3, 4)" in line
    (source / "labels" / "n1.png").unlink()
    assert "n1.png: no label for n1.png" in failing("nuclei", "--source", source)
    assert "no PNG image" in failing("nuclei", "--source", tmp_path / "nowhere")


def test_real_nuclei(real_data, prepare, entries):
    _, content, output = prepare("nuclei", "--source", real_data / "dsb2018")
    assert "140 training, 47 validation, 47 test" in output
    assert {entry["stain"] for entry in entries(content)} == {"fluorescence", "tissue"}
