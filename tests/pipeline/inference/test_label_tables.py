"""Names of labels as other programs read them, parsed by the documented formats."""

import json
import re
import xml.etree.ElementTree as ET

import nibabel as nib
import numpy as np
import SimpleITK as sitk

from pipeline.bundle.codes import read_colours
from pipeline.inference.formats import save_pages, save_volume
from pipeline.inference.label_tables import (
    ITK_SNAP,
    SLICER,
    itk_snap_table,
    named_labels,
    nifti_extension,
    slicer_table,
    write_label_tables,
)
from pipeline.pages.pictures import LABEL_COLOURS

LABELS = {"left lung": 2, "whole": [17, 1035], "core": 1035}
NUMBERS = {2: "left lung", 17: "whole", 1035: "core"}


def itk_snap(text):
    """Number, red, green, blue, opacity 0 to 1, visibility in slices and mesh, name in quotes."""
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    rows = [re.fullmatch(r'\s*(\d+(?:\s+\d+){6})\s+"(.*)"', line) for line in lines]
    return {int(row[1].split()[0]): (*map(int, row[1].split()[1:]), row[2]) for row in rows}


def slicer(text):
    """Number, name without blanks, red, green, blue, opacity."""
    lines = [line.split() for line in text.splitlines() if not line.startswith("#")]
    assert {len(line) for line in lines} == {6}
    return {int(line[0]): (line[1], *map(int, line[2:])) for line in lines}


def test_itk_snap_reads_names_and_colours():
    rows = itk_snap(itk_snap_table(LABELS))
    assert rows.pop(0) == (0, 0, 0, 0, 0, 0, "Clear Label")
    assert {number: row[-1] for number, row in rows.items()} == NUMBERS
    assert {row[3:6] for row in rows.values()} == {(1, 1, 1)}
    colours = {label.number: label.colour for label in named_labels(LABELS)}
    assert {number: row[:3] for number, row in rows.items()} == colours
    assert len(set(colours.values())) == 3


def test_slicer_reads_names_and_colours():
    text = slicer_table(LABELS)
    assert text.startswith("# Color table file ")
    assert "# 4 values" in text
    rows = slicer(text)
    assert rows.pop(0) == ("background", 0, 0, 0, 0)
    assert {n: row[0] for n, row in rows.items()} == {**NUMBERS, 2: "left_lung"}
    assert {n: row[1:4] for n, row in rows.items()} == {
        label.number: label.colour for label in named_labels(LABELS)
    }
    assert {row[4] for row in rows.values()} == {255}


def test_colours_are_those_of_the_metadata_where_they_name_them(tmp_path):
    code = ["39607008", "SCT", "Lung"]
    named = {"category": code, "type": code}
    lungs = {"left lung": {**named, "colour": [197, 165, 145]}, "core": named}
    metadata = tmp_path / "metadata.json"
    metadata.write_text(json.dumps({"supported_apps": {"dicom": lungs}}))
    colours = read_colours(metadata, LABELS)
    expected = {2: (197, 165, 145), 17: LABEL_COLOURS[1], 1035: LABEL_COLOURS[2]}
    rows = itk_snap(itk_snap_table(LABELS, colours))
    assert {number: rows[number][:3] for number in NUMBERS} == expected
    rows = slicer(slicer_table(LABELS, colours))
    assert {number: rows[number][1:4] for number in NUMBERS} == expected
    mask = np.zeros((2, 2, 2), np.uint8)
    extension = nifti_extension(LABELS, colours)
    save_volume(tmp_path / "a.nii.gz", mask, np.eye(4), extension=extension)
    (read,) = nib.load(tmp_path / "a.nii.gz").header.extensions
    labels = ET.fromstring(read.get_content()).findall("VolumeInformation/LabelTable/Label")
    assert {
        int(label.get("Key")): tuple(
            round(255 * float(label.get(name))) for name in ("Red", "Green", "Blue")
        )
        for label in labels
    } == expected


def test_more_labels_than_colours():
    many = {f"label {i}": i for i in range(1, 40)}
    assert len(slicer(slicer_table(many))) == len(itk_snap(itk_snap_table(many))) == 40


def test_the_tables_of_one_label_without_a_name(tmp_path):
    write_label_tables(tmp_path, {})
    assert itk_snap((tmp_path / ITK_SNAP).read_text())[1][-1] == "foreground"
    assert slicer((tmp_path / SLICER).read_text())[1][0] == "foreground"


def names_in(path):
    (extension,) = nib.load(path).header.extensions
    assert extension.get_code() == 0
    tree = ET.fromstring(extension.get_content())
    assert tree.findtext("VolumeInformation/VolumeType") == "Label"
    labels = tree.findall("VolumeInformation/LabelTable/Label")
    return {int(label.get("Key")): label.text for label in labels}


def test_nifti_names_its_numbers_and_other_programs_read_it_as_before(tmp_path):
    volume = np.zeros((3, 4, 5), np.uint16)
    volume[1, 2, 3], volume[0, 0, 0] = 1035, 17
    affine = np.diag([2.0, 3.0, 4.0, 1.0])
    for name in ("a.nii.gz", "b.nii"):
        save_volume(tmp_path / name, volume, affine, extension=nifti_extension(LABELS))
        assert names_in(tmp_path / name) == NUMBERS
        image = nib.load(tmp_path / name)
        np.testing.assert_array_equal(np.asarray(image.dataobj), volume)
        np.testing.assert_array_equal(image.affine, affine)
        read = sitk.ReadImage(str(tmp_path / name))
        np.testing.assert_array_equal(sitk.GetArrayFromImage(read).T, volume)
        assert read.GetSpacing() == (2.0, 3.0, 4.0)


def test_a_mask_has_its_own_extension_in_place_of_the_sources(tmp_path):
    source = nib.Nifti1Image(np.zeros((3, 4, 2), np.int16), np.eye(4))
    source.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"patient"))
    nib.save(source, tmp_path / "scan.nii.gz")
    pages = np.ones((2, 4, 3), bool)
    extension = nifti_extension({"lung": 1})
    save_pages(tmp_path / "m.nii.gz", pages, tmp_path / "scan.nii.gz", extension=extension)
    assert names_in(tmp_path / "m.nii.gz") == {1: "lung"}
