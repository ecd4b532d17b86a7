"""The slices of a volume in Chromium: scrolled, with layers, each voxel where it belongs."""

from base64 import b64decode
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from pipeline.pages import layered_volume, write_page
from pipeline.pages.volume import IGNORED, MAX_VOXELS
from tests.browser import needs_chromium, see

MISSED, INVENTED, OTHER = [64, 120, 255], [255, 120, 0], [224, 79, 208]
HELPERS = """
  const planes = [...page.querySelectorAll(".plane")];
  const part = (i, what) => planes[i].querySelector(what);
  const pixels = (i) => {
    const canvas = part(i, "canvas");
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    return [...Array(canvas.height).keys()].map(v => [...Array(canvas.width).keys()].map(u =>
      [...data.slice(4 * (v * canvas.width + u), 4 * (v * canvas.width + u) + 3)]));
  };
  const layer = (name, checked) => {
    const box = page.querySelector(`[data-layer=${name}]`);
    if (box.checked !== checked) box.click();
  };
  const only = (name) => ["truth", "prediction", "errors"].forEach(n => layer(n, n === name));
  const at = (i) => part(i, "output").textContent;
  const wheel = (i, deltaY) => part(i, "canvas").dispatchEvent(
    new frame.contentWindow.WheelEvent("wheel", { deltaY, cancelable: true }));
  const press = (i, key) => part(i, "canvas").dispatchEvent(
    new frame.contentWindow.KeyboardEvent("keydown", { key, cancelable: true }));
  const slide = (i, value) => {
    part(i, "input").value = value;
    part(i, "input").dispatchEvent(new frame.contentWindow.Event("input"));
  };
"""
TEMPLATE = "_one_volume.html.jinja"


@pytest.fixture(scope="module")
def masks():
    """Prediction and truth of two labels, which differ in every way; slices, rows, columns."""
    prediction, truth = np.zeros((7, 9, 11), np.uint8), np.zeros((7, 9, 11), np.uint8)
    truth[2:5, 2:6, 3:8] = 1
    prediction[2:5, 3:7, 3:8] = 1
    prediction[3, 4, 4] = 2
    truth[6, 0, 0] = IGNORED
    prediction[6, 0, :2] = 2
    return prediction, truth


@pytest.fixture(scope="module")
def page(masks, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "page.html"
    image = np.arange(7 * 9 * 11).reshape(7, 9, 11)
    volume = layered_volume(image, *masks, ("<i>liver", "tumour"), (3.0, 1.0, 2.0))
    write_page(path, "tests.pipeline.pages", TEMPLATE, volume=volume, scrolls_volumes=True)
    return path


def colours_of(prediction, truth):
    """What the layer of errors paints, by the definition of an error."""
    return {
        tuple(MISSED): (truth > 0) & (truth < IGNORED) & (prediction == 0),
        tuple(INVENTED): (truth == 0) & (prediction > 0),
        tuple(OTHER): (prediction > 0) & (truth > 0) & (truth < IGNORED) & (prediction != truth),
    }


def painted(picture, colour):
    return (np.array(picture) == colour).all(-1)


@pytest.fixture(scope="module")
def seen(page, tmp_path_factory):
    """What one visit of the page sees, at each of its steps."""
    script = (
        HELPERS
        + """const seen = {};
      seen.aspects = [0, 1, 2].map(i => part(i, "canvas").style.aspectRatio);
      only("errors"); slide(0, 3); slide(1, 4); slide(2, 4);
      seen.errors = [0, 1, 2].map(pixels);
      slide(0, 6); seen.ignored = pixels(0);
      only("none"); seen.image = pixels(0);
      only("truth"); slide(0, 2); seen.truth = pixels(0);
      only("prediction"); seen.prediction = pixels(0);
      return seen"""
    )
    return see(page, 1280, tmp_path_factory.mktemp("visit"), script)["script"]


@needs_chromium
def test_errors_are_where_the_masks_differ_in_every_plane(seen, masks):
    axial, coronal, sagittal = seen["errors"]
    for colour, wrong in colours_of(*masks).items():
        np.testing.assert_array_equal(painted(axial, colour), wrong[3])
        np.testing.assert_array_equal(painted(coronal, colour), wrong[::-1, 4])  # the head above
        np.testing.assert_array_equal(painted(sagittal, colour), wrong[::-1, :, 4])
        assert wrong.any()


@needs_chromium
def test_what_is_ignored_is_no_error_and_no_layer_shows_the_image(seen):
    assert seen["ignored"][0][0] == seen["image"][0][0]
    assert seen["ignored"][0][1] == INVENTED
    assert np.ptp(np.array(seen["image"]), axis=-1).max() == 0  # grey alone


@needs_chromium
def test_truth_is_filled_and_the_prediction_outlined(seen, masks):
    truth, outline = (np.ptp(np.array(seen[name]), axis=-1) > 0 for name in ("truth", "prediction"))
    np.testing.assert_array_equal(truth, masks[1][2] > 0)
    rim = masks[0][2] > 0
    rim[4:6, 4:7] = False
    np.testing.assert_array_equal(outline, rim)


@needs_chromium
def test_voxels_have_their_proportions(seen):
    assert seen["aspects"] == ["22 / 9", "22 / 21", "9 / 21"]


@needs_chromium
def test_wheel_keys_and_slider_scroll(page, tmp_path):
    script = (
        HELPERS
        + """slide(0, 4); const seen = [at(0)], before = JSON.stringify(pixels(0));
      seen.push(wheel(0, -100), at(0), wheel(0, 100), at(0));
      press(0, "ArrowUp"); seen.push(at(0)); press(0, "ArrowDown"); press(0, "PageDown");
      seen.push(at(0), wheel(0, 100), before === JSON.stringify(pixels(0)));
      press(0, "PageUp"); seen.push(at(0), at(1)); return seen"""
    )
    assert see(page, 390, tmp_path, script)["script"] == [
        "slice 5 of 7",
        False, "slice 6 of 7", False, "slice 5 of 7",  # the page does not scroll meanwhile
        "slice 6 of 7",
        "slice 1 of 7", True, False,  # at its end the page scrolls on
        "slice 7 of 7", "slice 3 of 9",
    ]  # fmt: skip


def test_the_page_runs_the_viewer_and_nothing_else(page):
    text = page.read_text("utf-8")
    assert text.count("<script") == 1
    assert "<i>liver" not in text
    assert "&lt;i&gt;liver" in text


def test_a_large_volume_is_thinned_out_and_the_page_says_so(tmp_path):
    image = np.zeros((200, 300, 300), np.uint8)
    image[100:] = 1
    volume = layered_volume(image, image, image, ("liver",), (2.0, 1.0, 1.0))
    assert np.prod(volume.size) <= MAX_VOXELS
    assert (volume.whole, volume.steps) == ((300, 300, 200), (2, 3, 2))
    assert volume.spacing == (2.0, 3.0, 4.0)
    path = tmp_path / "page.html"
    write_page(path, "tests.pipeline.pages", TEMPLATE, volume=volume, scrolls_volumes=True)
    stated = " ".join(path.read_text("utf-8").split())
    assert "Of 300 × 300 × 200 voxels every 2nd column, 3rd row and 2nd slice is shown" in stated


def test_the_page_of_a_body_of_noise_is_light(tmp_path):
    """512 x 512 x 400 voxels that no format makes smaller, with masks as uneven."""
    rng = np.random.default_rng(0)
    noise, blocks = (rng.integers(0, n, (100, 128, 128)).astype(np.uint8) for n in (255, 3))
    image, masks = (np.repeat(np.repeat(a, 4, 1), 4, 2).repeat(4, 0) for a in (noise, blocks))
    volume = layered_volume(image, masks, masks[::-1], ("liver", "tumour"))
    assert volume.whole == (512, 512, 400)
    assert 1 < volume.megabytes < 4
    path = tmp_path / "page.html"
    write_page(path, "tests.pipeline.pages", TEMPLATE, volume=volume, scrolls_volumes=True)
    assert path.stat().st_size / 1e6 == pytest.approx(volume.megabytes, abs=0.05)


def test_many_instances_are_all_shown():
    instances = np.arange(8 * 9 * 10).reshape(8, 9, 10)
    volume = layered_volume(instances, instances, None, ("instances",))
    picture = Image.open(BytesIO(b64decode(volume.masks.partition(",")[2])))
    assert (np.asarray(picture)[..., 1] == 0).sum() == 9 * 9 * 10 - 8 * 9 * 10 + 1  # 3 x 3 slices
    assert np.asarray(picture)[0, 1, 1] == instances[0, 0, 1]
