"""The page of an inference: flagged images first, masks of every kind drawn, and never large."""

import re

import nibabel as nib
import numpy as np
import pytest
import tifffile
from PIL import Image

from pipeline.inference.page import MAX_PICTURES, MAX_ROWS, PAGE, write_inference_page
from pipeline.inference.report import InferenceCase, InferenceReport
from tests.browser import needs_chromium, see

LABELS = {"anterior": 1, "posterior": 5}
SETTINGS = {"threshold": 0.5, "model": "model.pt", "bundle": "b"}


@pytest.fixture
def folder(tmp_path):
    for name in ("images", "out/mask", "out/instances"):
        (tmp_path / name).mkdir(parents=True)
    return tmp_path


@pytest.fixture
def report(folder):
    return InferenceReport(folder / "out", SETTINGS, {"device": "cpu"})


def inferred(folder, report, name, save, shape, kinds=("mask",), pages=None, **entry):
    """Write an image and its mask, and add them to the report; return the case."""
    image = np.random.default_rng(0).integers(0, 255, shape).astype(np.uint8)
    mask = np.zeros(shape, np.uint8)
    mask[1:3] = 5
    path = folder / "images" / name
    save(path, image)
    for kind in kinds:
        save(folder / "out" / kind / name, mask)
    pages_of = [{"image": f"{path}#{i}"} for i in range(pages)] if pages else [{"image": str(path)}]
    files = [f"{kind}/{name}" for kind in kinds]
    sizes = {label: {"pixels": 10 * number} for label, number in LABELS.items()}
    case = InferenceCase(path, pages_of, (path,))
    content = {"image": name, "written_as": name, "files": files, "structures": sizes}
    report.add({**content, "seconds": 1, "coverage": "partial", "differences": [], **entry}, case)
    return case


def write(folder, report, cases, labels=LABELS):
    write_inference_page(folder / "out" / PAGE, report, cases, labels)
    return (folder / "out" / PAGE).read_text("utf-8")


def save_png(path, array):
    Image.fromarray(array).save(path)


def save_nifti(path, array):
    nib.save(nib.Nifti1Image(array, np.diag([-1.0, -1.0, 3.0, 1.0])), path)


def save_stack(path, array):
    tifffile.imwrite(path, array, photometric="minisblack")


@pytest.fixture
def every_kind(folder, report):
    hostile = "<b>bold & %23.png"
    cases = [
        inferred(folder, report, "plain.png", save_png, (20, 30)),
        inferred(folder, report, hostile, save_png, (20, 30), differences=["mean 9 <script>"]),
        inferred(folder, report, "colour.png", save_png, (20, 30), ("mask", "instances")),
        inferred(folder, report, "volume.nii.gz", save_nifti, (12, 10, 6), voxels=[12, 10, 6]),
        inferred(folder, report, "stack.tif", save_stack, (4, 20, 30), pages=4, coverage="empty"),
    ]
    report.fail("broken.png", "broken.png: <i>corrupt</i>")
    return write(folder, report, cases)


@needs_chromium
@pytest.mark.parametrize("width", [1280, 390])
def test_it_is_drawn_whole(every_kind, folder, width):
    script = """page.querySelectorAll("details").forEach(part => part.open = true);
      return [...page.querySelectorAll(".plane")].map(part =>
        part.querySelector("output").textContent)"""
    seen = see(folder / "out" / PAGE, width, folder, script)
    assert seen["pictures"] == 3 + 2 * 2  # two sprites of each that is scrolled
    sliced = [text.split(" of ")[1] for text in seen["script"]]
    assert sliced == ["4", "6", "10", "12"]  # pages; axial, coronal, sagittal


def test_nothing_in_it_is_executed(every_kind):
    assert "<b>bold" not in every_kind
    assert "mean 9 <script>" not in every_kind
    assert "<i>corrupt" not in every_kind
    links = set(re.findall(r'href="(?!data:)([^"]*)"', every_kind))
    assert "mask/%3Cb%3Ebold%20%26%20%2523.png" in links
    assert all(re.fullmatch(r"(mask|instances)/[\w%.]+", link) for link in links)


def test_the_flagged_stand_first_and_failures_are_said(every_kind):
    assert "Incomplete." in every_kind
    assert "1 of 6 images could not be segmented." in every_kind
    assert "2 of 5 images are flagged" in every_kind
    assert every_kind.index("<h3>stack.tif") < every_kind.index("<h3>volume.nii.gz")
    assert every_kind.index("with its mask") > every_kind.index('alt="&lt;b&gt;bold')
    assert "the mask is empty" in every_kind


def test_sizes_of_structures(every_kind):
    text = " ".join(every_kind.split())
    assert '<th scope="row">posterior, pixels</th><td>50</td><td>50</td><td>50</td>' in text
    assert "anterior 10 pixels; posterior 50 pixels" in text


def test_500_images_make_a_small_page(folder, report):
    case = inferred(folder, report, "a.png", save_png, (64, 64))
    (first,) = report.entries
    names = [f"{i:03}.png" for i in range(500)]
    unlike = {"differences": ["mean 9"]}
    report.entries = [
        {**first, "image": name, **(unlike if name == "499.png" else {})} for name in names
    ]
    cases = [InferenceCase(folder / name, case.entries, case.sources) for name in names]
    page = write(folder, report, cases)
    assert page.count("<img") == MAX_PICTURES
    assert f"{500 - MAX_PICTURES} more images are not drawn here" in page
    assert f"{500 - MAX_ROWS} more are in run_report.json" in page
    assert page.index("499.png") < page.index("000.png")
    assert len(page) < 1e6


def test_a_mask_that_does_not_fit_is_no_picture_and_said(folder, report):
    case = inferred(folder, report, "a.png", save_png, (20, 30))
    save_png(folder / "out" / "mask" / "a.png", np.zeros((5, 5), np.uint8))
    page = write(folder, report, [case])
    assert "No picture: the mask has another size, (5, 5), than the image" in page


def test_images_that_nothing_was_compared_with_are_not_called_alike(folder, report):
    case = inferred(
        folder, report, "a.png", save_png, (20, 30),
        differences=["not checked: no description of the training images beside the model"],
    )  # fmt: skip
    page = write(folder, report, [case])
    assert "flagged" not in page.split("</style>")[1].split("<h2>")[0]
    assert "the images were not compared with the training images" in page
