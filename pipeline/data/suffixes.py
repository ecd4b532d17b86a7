"""Suffixes of the formats that are read."""

from pathlib import Path

PNG_LIKE = (".png", ".jpg", ".jpeg", ".bmp")
TIFF = (".tif", ".tiff", ".ome.tif", ".ome.tiff")
NIFTI = (".nii", ".nii.gz")
ITK = (".mha", ".mhd", ".nrrd")
DICOM = (".dcm", ".dicom", ".ima")
VOLUMES = (*NIFTI, *ITK, *TIFF, *DICOM)
SUFFIXES = (*PNG_LIKE, *TIFF, *NIFTI, *ITK, *DICOM)
COMPOUND = (".nii.gz", ".ome.tif", ".ome.tiff")


def suffix_of(path: Path) -> str:
    """Return the suffix in lower case; ``.nii.gz`` and ``.ome.tif`` count as one.

    Example:
        >>> suffix_of(Path("liver.NII.GZ")), suffix_of(Path("a.ome.tif")), suffix_of(Path("a.b"))
        ('.nii.gz', '.ome.tif', '.b')
    """
    name = path.name.lower()
    compound = next((suffix for suffix in COMPOUND if name.endswith(suffix)), None)
    return compound or Path(name).suffix


def stem_of(path: Path) -> str:
    """Return the name without the suffix of a format; other dots belong to the name.

    Example:
        >>> stem_of(Path("liver_3.nii.gz")), stem_of(Path("cell.ome.tif")), stem_of(Path("1.5 mm"))
        ('liver_3', 'cell', '1.5 mm')
    """
    suffix = suffix_of(path)
    return path.name[: -len(suffix)] if suffix in SUFFIXES else path.name
