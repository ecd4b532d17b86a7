"""What results as DICOM there are, for ``infer``, ``serve`` and ``pacs.yaml`` alike."""

from typing import Literal, get_args

DicomKind = Literal["seg", "rtstruct", "sr", "capture"]
"""Segmentation, contours, report, pictures."""
DicomSeg = Literal["binary", "fractional", "labelmap"]
"""What a segmentation holds: a mask of each structure, probabilities, or one map of numbers."""
DICOM_KINDS: tuple[DicomKind, ...] = get_args(DicomKind)
DICOM_SEGS: tuple[DicomSeg, ...] = get_args(DicomSeg)
