"""Results as DICOM: segmentations, contours, reports and pictures for a hospital's archive."""

from pipeline.dicom.results import DicomResults

__all__ = ["DicomResults"]
