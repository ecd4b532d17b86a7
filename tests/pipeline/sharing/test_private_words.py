"""An identifier that is planted in a file of a cohort is not in a package."""

import io
import struct
import unicodedata
import zlib

import nibabel as nib
import numpy as np
import pytest
import SimpleITK
import tifffile
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from pydicom import Dataset, dcmread
from pydicom.datadict import DicomDictionary

from pipeline.sharing.dicom_text import TEXT, dicom_texts
from pipeline.sharing.privacy import check_private
from pipeline.sharing.private_words import private_words
from tests.dicom_files import write_slice

PIXELS = np.arange(64, dtype=np.uint8).reshape(8, 8)
PLANTED = "Zwickl Huber 48291733"


def png(path, chunk):
    info = PngInfo()
    if chunk == "tEXt":
        info.add_text("Comment", PLANTED)
    elif chunk == "zTXt":
        info.add_text("Comment", PLANTED, zip=True)
    elif chunk == "iTXt":
        info.add_itxt("Comment", PLANTED)
    exif = Image.Exif()
    if chunk == "eXIf":
        exif[315] = PLANTED
    Image.fromarray(PIXELS).save(path, pnginfo=info, exif=exif)
    if chunk == "behind the pixels":
        text = b"tEXtComment\0" + PLANTED.encode()
        chunk = struct.pack(">I", len(text) - 4) + text + struct.pack(">I", zlib.crc32(text))
        content = path.read_bytes()
        path.write_bytes(content[:-12] + chunk + content[-12:])


def jpeg(path, field):
    exif = Image.Exif()
    if field == "Artist":
        exif[0x013B] = PLANTED
    elif field == "UserComment":
        exif.get_ifd(0x8769)[0x9286] = b"ASCII\0\0\0" + PLANTED.encode()
    elif field == "XPAuthor":
        exif[0x9C9D] = PLANTED.encode("utf-16-le")
    comment = {"comment": PLANTED} if field == "comment" else {}
    Image.fromarray(PIXELS).save(path, exif=exif, **comment)


def tiff(path, field):
    if field == "ImageDescription":
        tifffile.imwrite(path, PIXELS, description=f"series=3\npatient={PLANTED}")
    else:
        tifffile.imwrite(path, PIXELS, extratags=[(315, "s", 0, PLANTED, True)], metadata=None)


def nifti(path, field):
    image = nib.Nifti1Image(PIXELS[..., None], np.eye(4))
    if field == "extension":
        image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", PLANTED.encode()))
        image.to_filename(path)
    elif field == "db_name":
        image.header["db_name"] = PLANTED[:17]  # the field has 18 bytes
        content = bytearray(image.to_bytes())
        content[14:32] = struct.pack("18s", PLANTED.encode()[:17])
        path.write_bytes(content)
    else:
        image.header[field] = PLANTED
        image.to_filename(path)


def itk(path, _):
    image = SimpleITK.GetImageFromArray(PIXELS)
    image.SetMetaData("Comment", PLANTED)
    SimpleITK.WriteImage(image, str(path))


PLANTS = [
    *(("a.png", png, chunk) for chunk in ("tEXt", "zTXt", "iTXt", "eXIf", "behind the pixels")),
    *(("a.jpg", jpeg, field) for field in ("Artist", "UserComment", "XPAuthor", "comment")),
    *(("a.tif", tiff, field) for field in ("ImageDescription", "Artist")),
    *(("a.nii", nifti, field) for field in ("descrip", "aux_file", "db_name", "extension")),
    ("a.nii.gz", nifti, "descrip"),
    ("a.mha", itk, "Comment"),
    ("a.nrrd", itk, "Comment"),
]


@pytest.mark.parametrize(
    ("name", "write", "field"), PLANTS, ids=lambda value: getattr(value, "__name__", value)
)
def test_text_beside_the_pixels_is_found(tmp_path, name, write, field):
    write(tmp_path / name, field)
    Image.fromarray(PIXELS).save(tmp_path / "b.png")
    words = private_words({"test": [{"image": name}, {"image": "b.png"}]}, folder=tmp_path)
    planted = PLANTED[:17] if field == "db_name" else PLANTED
    card = f"# A model\n\nFor {planted.upper()}.".encode()
    with pytest.raises(ValueError, match=rf"docs/README\.md: holds .*{name}\) of your data"):
        check_private({"docs/README.md": card}, words, [])
    check_private({"docs/README.md": b"# A model\n\nFor all."}, words, [])


def identifiers():
    """Yield an attribute of each kind that may hold text, with a value of its kind."""
    values = {"DA": "19830211", "DT": "19830211101500", "UI": "1.2.826.0.1.77", "AE": "ZWICKL_AE"}
    for keyword in (
        "PatientName", "OtherPatientNames", "PatientMotherBirthName", "PatientID",
        "OtherPatientIDs",
        "AccessionNumber", "StudyInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID",
        "PatientBirthDate", "StudyDate", "AcquisitionDateTime", "ReferringPhysicianName",
        "OperatorsName", "PatientAddress", "PatientTelephoneNumbers", "InstitutionName",
        "StationName", "StudyDescription", "ImageComments", "PatientComments", "RetrieveAETitle",
        "AdditionalPatientHistory", "DeviceSerialNumber", "ProtocolName", "EthnicGroup",
    ):  # fmt: skip
        vr = next(row[0] for row in DicomDictionary.values() if row[4] == keyword)
        yield keyword, values.get(vr, "Zwickl^Huber")


@pytest.mark.parametrize(("keyword", "value"), list(identifiers()))
def test_an_attribute_of_dicom_is_found(tmp_path, keyword, value):
    write_slice(tmp_path / "a.dcm", PIXELS.astype(np.uint16), **{keyword: value})
    write_slice(tmp_path / "b.dcm", PIXELS.astype(np.uint16), PatientName="O^O", PatientID="0")
    cases = [{"image": "a.dcm", "patient": "p1"}, {"image": "b.dcm", "patient": "p2"}]
    words = private_words({"training": cases}, folder=tmp_path)
    document = f'{{"text": "see {value.replace("^", ", ")}"}}'.encode()
    with pytest.raises(ValueError, match=rf"holds '.*' \(DICOM {keyword} of a\.dcm\) of your data"):
        check_private({"docs/evaluation.json": document}, words, [])


def test_every_attribute_with_text_is_read_private_and_nested_ones_too(tmp_path):
    write_slice(tmp_path / "a.dcm", PIXELS.astype(np.uint16))
    dataset = dcmread(tmp_path / "a.dcm")
    dataset.private_block(0x0011, "Clinic", create=True).add_new(1, "LO", "Nepomuk")
    inner = Dataset()
    inner.PersonName = "Zwickl^Eva"
    dataset.add_new("RequestAttributesSequence", "SQ", [inner])
    person, technique = Dataset(), Dataset()
    person.CodeMeaning, technique.CodeMeaning = "Nurse Vreni", "Head"
    operator = Dataset()
    operator.PersonIdentificationCodeSequence = [person]
    dataset.OperatorIdentificationSequence = [operator]
    dataset.AnatomicRegionSequence = [technique]
    dataset.save_as(tmp_path / "a.dcm")
    texts = {text.text for text in dicom_texts(tmp_path / "a.dcm")}
    assert "Head" not in texts
    assert {"Nepomuk", "Nurse Vreni", "Zwickl^Eva", "Invented^Name", "ID-4711"} <= texts
    assert {"PN", "LO", "SH", "LT", "ST", "UT", "UC", "DA", "DT", "UI", "AE", "UR"} <= TEXT


@pytest.mark.parametrize("name", ["Anonymous", "UNKNOWN", ""])
def test_a_removed_name_is_not_searched_for(tmp_path, name):
    write_slice(tmp_path / "a.dcm", PIXELS.astype(np.uint16), PatientName=name, PatientID=name)
    assert name not in private_words({"test": [{"image": "a.dcm"}]}, folder=tmp_path)


def test_a_series_is_read(tmp_path):
    (tmp_path / "scan").mkdir()
    for i in range(2):
        write_slice(
            tmp_path / "scan" / f"{i}.dcm", PIXELS.astype(np.uint16), (0, 0, i), PatientName="Z^Eva"
        )
    assert "Eva Z" in private_words({"test": [{"image": "scan"}]}, folder=tmp_path)


def test_what_a_patient_of_several_slices_says_is_searched_for():
    eva = {"patient": "p1", "born": "1983-02-11", "accession": 48291733, "sex": "female"}
    others = [{"image": f"{i}.png", "patient": f"p{i}", "sex": "female"} for i in (2, 3)]
    slices = [{"image": f"eva/{i}.png", **eva} for i in range(3)]
    words = private_words({"training": [*slices, *others]})
    assert {"1983-02-11", "11.02.1983", "48291733"} <= words.keys()
    assert not {"female", "images"} & words.keys()


def test_a_folder_of_one_patient_is_searched_for():
    cases = [{"image": f"images/{name}/1.png", "patient": name} for name in ("zwickl", "huber")]
    words = private_words({"training": cases})
    assert "zwickl" in words
    assert "images" not in words


@pytest.mark.parametrize(
    "written",
    [
        "Müller-Größ", unicodedata.normalize("NFD", "Müller-Größ"), "MÜLLER GRÖSS", "müller_größ",
        r"M\u00fcller-Gr\u00f6\u00df", r"Müller\-Größ", "M&uuml;ller-Gr&ouml;&szlig;",
        "Mül\u00adler-Größ", "Müller, Größ",
    ],
)  # fmt: skip
@pytest.mark.parametrize("form", ["NFC", "NFD"])
@pytest.mark.parametrize("path", ["LICENSE", "docs/a.csv", "configs/a.yaml", "docs/a.json"])
def test_a_name_is_found_however_it_is_written_in_every_text(written, form, path):
    words = {unicodedata.normalize(form, "Müller-Größ"): "patient"}
    with pytest.raises(ValueError, match=rf"{path}: holds"):
        check_private({path: f"by {written}.".encode()}, words, [])


def test_numbers_are_no_parts_of_longer_ones():
    words = {"1.2.3": "UID", "48291733": "id"}
    check_private({"docs/a.json": b'[1.2.3.4, 0.48291733, 482917330, "1, 2, 3"]'}, words, [])
    with pytest.raises(ValueError, match="holds"):
        check_private({"docs/a.json": b"series 1.2.3."}, words, [])


def test_a_text_that_cannot_be_searched_is_refused():
    content = "Zwickl".encode("utf-16")
    with pytest.raises(ValueError, match=r"docs/a\.csv: not UTF-8 text"):
        check_private({"docs/a.csv": content}, {"Zwickl": "patient"}, [])


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    stream = io.BytesIO()
    Image.fromarray(PIXELS).save(stream, "PNG")
    (tmp_path / "a.png").write_bytes(stream.getvalue()[:30])
    with pytest.raises(ValueError, match=r"a\.png: cannot be read as an image"):
        private_words({"test": [{"image": "a.png"}]}, folder=tmp_path)
