import nibabel as nib
import numpy as np
import pytest
import tifffile
from monai.transforms import LoadImage
from PIL import Image

from pipeline.data.readers import PageReader, count_pages, read_page, read_stack, split_page

PIXELS = np.arange(12, dtype=np.uint8).reshape(3, 4)


@pytest.fixture
def files(tmp_path):
    Image.fromarray(PIXELS).save(tmp_path / "a.png")
    tifffile.imwrite(tmp_path / "one.tif", PIXELS)
    stack = np.stack([PIXELS, PIXELS + 100])
    tifffile.imwrite(tmp_path / "stack.tif", stack, photometric="minisblack")
    nib.save(nib.Nifti1Image(PIXELS, np.eye(4)), tmp_path / "flat.nii.gz")
    nib.save(nib.Nifti1Image(np.stack([PIXELS, PIXELS + 100], 2), np.eye(4)), tmp_path / "v.nii")
    return tmp_path


@pytest.mark.parametrize("name", ["a.png", "one.tif", "flat.nii.gz", "stack.tif#0", "v.nii#0"])
def test_every_format_gives_rows_first(files, name):
    array = LoadImage(reader=PageReader(), ensure_channel_first=True)(str(files / name))
    assert array.shape == (1, 3, 4)
    assert np.array_equal(array[0], PIXELS)


@pytest.mark.parametrize("name", ["stack.tif", "v.nii"])
def test_pages_of_a_stack(files, name):
    assert count_pages(files / name) == 2
    assert np.array_equal(read_page(files / name, 1), PIXELS + 100)
    assert read_stack(files / name).shape == (2, 3, 4)


def test_a_hash_in_the_name_of_a_file(files):
    (files / "a.png").rename(files / "b#3")
    assert split_page(str(files / "b#3")) == (files / "b#3", None)


def test_colour_keeps_its_channels_first(files):
    Image.new("RGBA", (4, 3)).save(files / "c.png")
    assert LoadImage(reader=PageReader(), ensure_channel_first=True)(files / "c.png").shape[0] == 4


@pytest.mark.parametrize("name", ["a.png", "one.tif", "flat.nii.gz"])
def test_a_truncated_file_is_named(files, name):
    content = (files / name).read_bytes()
    (files / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match=f"{name}: cannot be read as an image"):
        read_page(files / name)


def test_unknown_format_stack_without_page_and_missing_page(files):
    (files / "notes.txt").touch()
    with pytest.raises(ValueError, match=r"unknown format '\.txt'"):
        read_page(files / "notes.txt")
    with pytest.raises(ValueError, match="a stack of 2 pages"):
        read_page(files / "stack.tif")
    with pytest.raises(ValueError, match="no page 2"):
        read_page(files / "stack.tif", 2)
    with pytest.raises(FileNotFoundError, match="no such file"):
        read_page(files / "gone.png")
