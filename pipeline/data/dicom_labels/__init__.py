"""Labels of DICOM: segmentations (SEG) and contours (RTSTRUCT), on the grid of their image."""
