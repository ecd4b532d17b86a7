"""Every format, decoded as a viewer shows it."""

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
import tifffile
from monai.transforms import LoadImage
from PIL import Image

from pipeline.data.readers import PageReader, count_pages, read_page, read_pixels, split_page

PIXELS = np.arange(12, dtype=np.uint8).reshape(3, 4)
"""Rows and columns, as a viewer shows them."""
LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def nifti(pages, affine=LPS):
    """Store pages (rows, columns) as NIfTI whose x runs along a row, y down, z over the pages."""
    return nib.Nifti1Image(np.stack([page.T for page in pages], axis=2), affine)


@pytest.fixture
def files(tmp_path):
    Image.fromarray(PIXELS).save(tmp_path / "a.png")
    tifffile.imwrite(tmp_path / "one.tif", PIXELS)
    tifffile.imwrite(tmp_path / "tile.tif", np.pad(PIXELS, ((0, 13), (0, 12))), tile=(16, 16))
    tifffile.imwrite(tmp_path / "lzw.tif", PIXELS, compression="lzw")
    tifffile.imwrite(tmp_path / "cells.ome.tif", PIXELS, metadata={"axes": "YX"})
    stack = np.stack([PIXELS, PIXELS + 100])
    tifffile.imwrite(tmp_path / "stack.tif", stack, photometric="minisblack")
    nib.save(nifti([PIXELS]), tmp_path / "flat.nii.gz")
    nib.save(nifti(stack), tmp_path / "v.nii")
    sitk.WriteImage(sitk.GetImageFromArray(stack), str(tmp_path / "v.nrrd"))
    sitk.WriteImage(sitk.GetImageFromArray(PIXELS), str(tmp_path / "flat.mha"))
    return tmp_path


@pytest.mark.parametrize(
    "name",
    ["a.png", "one.tif", "lzw.tif", "cells.ome.tif", "flat.nii.gz", "flat.mha", "stack.tif#0",
     "v.nii#0", "v.nrrd#0"],
)  # fmt: skip
@pytest.mark.parametrize("label", [False, True])
def test_every_format_gives_the_same_rows(files, name, label):
    array = LoadImage(reader=PageReader(label), ensure_channel_first=True)(str(files / name))
    assert array.shape == (1, 3, 4)
    assert np.array_equal(array[0], PIXELS)


@pytest.mark.parametrize("name", ["stack.tif", "v.nii", "v.nrrd"])
def test_pages_of_a_stack(files, name):
    assert count_pages(files / name) == 2
    assert np.array_equal(read_page(files / name, 1).array, PIXELS + 100)
    assert read_pixels(files / name).size == (4, 3, 2)


def test_a_tile_is_a_page(files):
    assert np.array_equal(read_page(files / "tile.tif").array[:3, :4], PIXELS)


@pytest.mark.parametrize("name", ["a.png", "one.tif", "flat.nii.gz", "flat.mha"])
def test_a_volume_of_one_slice_is_flat(files, name):
    assert read_pixels(files / name).affine is None


@pytest.mark.parametrize("codes", ["RAS", "LPS", "PIR", "SAL", "RAI"])
def test_a_slice_looks_the_same_however_it_is_stored(tmp_path, codes):
    image = nifti([PIXELS, PIXELS + 100])
    ornt = nib.orientations
    turn = ornt.ornt_transform(ornt.io_orientation(image.affine), ornt.axcodes2ornt(codes))
    nib.save(image.as_reoriented(turn), tmp_path / "v.nii.gz")
    assert np.array_equal(read_page(tmp_path / "v.nii.gz", 1).array, PIXELS + 100)


def test_a_coronal_slice_has_the_head_above(tmp_path):
    voxels = np.zeros((4, 1, 3), np.uint8)
    voxels[0, 0, 2] = 7  # right and top of the patient, as the axes lead left, back and up
    nib.save(nib.Nifti1Image(voxels, LPS), tmp_path / "c.nii.gz")
    assert read_page(tmp_path / "c.nii.gz").array.tolist()[0][0] == 7


def test_files_of_one_case_are_channels(files):
    Image.fromarray(PIXELS + 50).save(files / "b.png")
    load = LoadImage(reader=PageReader(), ensure_channel_first=True)
    array = load([str(files / "a.png"), str(files / "b.png")])
    assert np.array_equal(array, np.stack([PIXELS, PIXELS + 50]))
    Image.fromarray(PIXELS[:2]).save(files / "c.png")
    with pytest.raises(ValueError, match=r"c\.png: size \(2, 4\); expected \(3, 4\) as a\.png"):
        load([str(files / "a.png"), str(files / "c.png")])


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
    with pytest.raises(ValueError, match=f"{name}: cannot be read as a"):
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


# ------------------------------------------------------------------------------------- Pillow


def test_the_orientation_of_exif_is_applied(tmp_path):
    exif = Image.Exif()
    exif[274] = 6  # turned by a quarter
    Image.fromarray(np.repeat(PIXELS[..., None] * 20, 3, -1)).save(tmp_path / "a.png", exif=exif)
    assert np.array_equal(read_page(tmp_path / "a.png").array[..., 0], np.rot90(PIXELS * 20, -1))


def palette_image(path, colours, indices):
    image = Image.fromarray(indices.astype(np.uint8), "P")
    image.putpalette(np.array(colours, np.uint8).ravel().tolist())
    image.save(path)


def test_the_palette_of_an_image_is_applied(tmp_path):
    greys = [(9, 9, 9), (200, 200, 200), (3, 3, 3)]
    palette_image(tmp_path / "grey.png", greys, np.array([[0, 1, 2]]))
    assert read_page(tmp_path / "grey.png").array.tolist() == [[9, 200, 3]]
    palette_image(tmp_path / "red.png", [(0, 0, 0), (255, 0, 0)], np.array([[0, 1]]))
    assert read_page(tmp_path / "red.png").array.tolist() == [[[0, 0, 0], [255, 0, 0]]]


def test_the_indices_of_a_mask_with_a_palette_are_its_numbers(tmp_path):
    palette_image(tmp_path / "a.png", [(0, 0, 0), (255, 0, 0), (0, 9, 0)], np.array([[0, 1, 2]]))
    assert read_page(tmp_path / "a.png", label=True).array.tolist() == [[0, 1, 2]]
    palette_image(tmp_path / "b.png", [(9, 0, 0), (0, 0, 0)], np.array([[0, 1]]))
    with pytest.raises(
        ValueError, match=r"b\.png: a mask with a palette whose index 0 is the colo"
    ):
        read_page(tmp_path / "b.png", label=True)


@pytest.mark.parametrize(("mode", "says"), [("CMYK", "inks"), ("YCbCr", "video colour")])
def test_another_mode_is_refused_by_name(tmp_path, mode, says):
    path = tmp_path / "a.jpg"
    Image.new(mode, (4, 3)).save(path)
    if mode == "YCbCr":  # JPEG stores RGB so itself
        assert read_page(path).colour
        return
    with pytest.raises(
        ValueError, match=rf"a\.jpg: mode {mode} \({says}\); expected grey.*convert"
    ):
        read_page(path)


def test_sixteen_bits_of_colour_stay_sixteen(tmp_path):
    import imagecodecs

    pixels = np.arange(36, dtype=np.uint16).reshape(3, 4, 3) * 1000
    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(pixels))
    read = read_page(tmp_path / "a.png")
    assert read.maximum == 65535
    assert np.array_equal(read.array, pixels)


@pytest.mark.parametrize("bits", [2, 4])
def test_a_mask_of_few_bits_keeps_its_numbers(tmp_path, bits):
    numbers = np.array([[0, 1, 2, 3]], np.uint8)
    Image.fromarray(numbers).save(tmp_path / "a.png", bits=bits)
    path = tmp_path / "b.png"
    path.write_bytes(_png_of_bits(numbers, bits))
    assert read_page(path, label=True).array.tolist() == [[0, 1, 2, 3]]
    assert read_page(path).array.tolist() == [[n * 255 // (2**bits - 1) for n in range(4)]]


def _png_of_bits(numbers, bits):
    import struct
    import zlib

    def chunk(kind, content):
        body = kind + content
        return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))

    rows, columns = numbers.shape
    packed = b""
    for row in numbers:
        value = "".join(f"{n:0{bits}b}" for n in row)
        value += "0" * (-len(value) % 8)
        packed += b"\0" + int(value, 2).to_bytes(len(value) // 8, "big")
    header = struct.pack(">IIBBBBB", columns, rows, bits, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(packed))
        + chunk(b"IEND", b"")
    )  # fmt: skip


def test_a_file_of_another_format_than_its_name_says(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", PIXELS)
    (tmp_path / "a.tif").rename(tmp_path / "a.png")
    with pytest.raises(ValueError, match=r"a\.png: holds TIFF, which its name does not say"):
        read_page(tmp_path / "a.png")


# --------------------------------------------------------------------------------------- TIFF


def test_planar_and_interleaved_colour_are_the_same(tmp_path):
    colour = np.stack([PIXELS, PIXELS + 50, PIXELS + 100], axis=-1)
    tifffile.imwrite(tmp_path / "a.tif", colour, photometric="rgb")
    planar = np.moveaxis(colour, -1, 0)
    tifffile.imwrite(tmp_path / "b.tif", planar, photometric="rgb", planarconfig="separate")
    for name in ("a.tif", "b.tif"):
        read = read_page(tmp_path / name)
        assert read.colour
        assert np.array_equal(read.array, colour)


@pytest.mark.parametrize("channels", [2, 3])
def test_channels_of_ome_are_channels_and_no_colour(tmp_path, channels):
    planes = np.stack([PIXELS + 10 * c for c in range(channels)])
    tifffile.imwrite(
        tmp_path / "a.ome.tif", planes, metadata={"axes": "CYX"}, photometric="minisblack"
    )
    read = read_page(tmp_path / "a.ome.tif")
    assert not read.colour
    assert np.array_equal(read.array, np.moveaxis(planes, 0, -1))


def test_a_stack_of_channels(tmp_path):
    stack = np.stack([np.stack([PIXELS + 10 * c + z for c in range(2)]) for z in range(3)])
    tifffile.imwrite(
        tmp_path / "a.ome.tif", stack, metadata={"axes": "ZCYX"}, photometric="minisblack"
    )
    assert count_pages(tmp_path / "a.ome.tif") == 3
    page = read_page(tmp_path / "a.ome.tif", 2)
    assert np.array_equal(page.array, np.stack([PIXELS + 2, PIXELS + 12], axis=-1))


def test_of_a_pyramid_the_largest_level(tmp_path):
    large = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64)
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        writer.write(large, subifds=1, tile=(16, 16))
        writer.write(large[::2, ::2], subfiletype=1, tile=(16, 16))
    assert np.array_equal(read_page(tmp_path / "a.tif").array, large)


def test_where_zero_is_white_values_are_inverted(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.uint8([[255, 0]]), photometric="miniswhite")
    for label in (False, True):
        assert read_page(tmp_path / "a.tif", label=label).array.tolist() == [[0, 255]]


def test_images_of_several_sizes_and_stacks_of_stacks_are_refused(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        writer.write(PIXELS)
        writer.write(PIXELS[:2])
    with pytest.raises(ValueError, match=r"a\.tif: 2 images of 3 x 4, 2 x 4 in one file"):
        read_page(tmp_path / "a.tif")
    tifffile.imwrite(
        tmp_path / "b.ome.tif", np.zeros((2, 3, 4, 5), np.uint8), metadata={"axes": "TZYX"}
    )
    with pytest.raises(ValueError, match=r"axes TZYX \(2 along T, 3 along Z\); expected one stack"):
        read_page(tmp_path / "b.ome.tif")
    tifffile.imwrite(tmp_path / "c.tif", np.zeros((4, 5, 4), np.uint8), photometric="separated")
    with pytest.raises(
        ValueError, match=r"c\.tif: values of the kind SEPARATED; expected grey or R"
    ):
        read_page(tmp_path / "c.tif")


# ------------------------------------------------------------------------------- pixel sizes


def test_a_pixel_size_is_kept_where_the_file_tells_millimetres(tmp_path):
    tifffile.imwrite(
        tmp_path / "a.ome.tif", PIXELS,
        metadata={
            "axes": "YX", "PhysicalSizeX": 0.5, "PhysicalSizeY": 250, "PhysicalSizeYUnit": "nm"
        },
    )  # fmt: skip
    assert read_page(tmp_path / "a.ome.tif").spacing == pytest.approx((2.5e-4, 5e-4))
    resolution = {"resolution": (2, 4), "metadata": {"unit": "um"}}
    tifffile.imwrite(tmp_path / "b.tif", PIXELS, imagej=True, **resolution)
    assert read_page(tmp_path / "b.tif").spacing == pytest.approx((2.5e-4, 5e-4))
    tifffile.imwrite(tmp_path / "c.tif", PIXELS, resolution=(100, 50), resolutionunit="CENTIMETER")
    assert read_page(tmp_path / "c.tif").spacing == pytest.approx((0.2, 0.1))
    tifffile.imwrite(tmp_path / "d.tif", PIXELS, resolution=(72, 72), resolutionunit="INCH")
    assert read_page(tmp_path / "d.tif").spacing is None  # of print


@pytest.mark.parametrize(("unit", "scale"), [("micron", 1e-3), ("mm", 1), ("meter", 1e3)])
def test_the_units_of_nifti_are_converted(tmp_path, unit, scale):
    image = nifti([PIXELS], np.diag([-2.0, -3.0, 1.0, 1.0]))
    image.header.set_xyzt_units(unit)
    nib.save(image, tmp_path / "a.nii.gz")
    assert read_page(tmp_path / "a.nii.gz").spacing == pytest.approx((3 * scale, 2 * scale))


def test_nifti_of_no_unit_and_voxels_of_one_tells_no_millimetres(files):
    assert read_page(files / "flat.nii.gz").spacing is None
