"""The mask of one image, of its segmentation or contours."""

from pathlib import Path
from typing import NamedTuple

from pipeline.data.dicom_labels.contours import contour_voxels
from pipeline.data.dicom_labels.grid import ImageGrid
from pipeline.data.dicom_labels.objects import LabelObject
from pipeline.data.dicom_labels.rule import LabelRule, paint
from pipeline.data.dicom_labels.segments import segment_voxels
from pipeline.data.pixels import Pixels


class DicomMask(NamedTuple):
    """A mask that is read of a DICOM file of labels.

    Attributes:
        labels: the file.
        image: file of its image, or reference of its series.
        rule: number of each structure.
    """

    labels: LabelObject
    image: Path
    rule: LabelRule

    @property
    def suffix(self) -> str:
        """Suffix of the format that it is written in."""
        return ".nii.gz" if ImageGrid.of(self.image).shape[2] > 1 else ".png"

    def read(self) -> Pixels:
        """Read the mask on the grid of its image; of a flat image as ``(rows, columns)``.

        Raises:
            FileNotFoundError: the image is gone.
            ValueError: the file is corrupt, does not lie on the grid of its image, or structures
                overlap that have no number together.
        """
        grid = ImageGrid.of(self.image)
        wanted = self.rule.names()
        names = {
            number: wanted[name.casefold()]
            for number, name in self.labels.names.items()
            if name.casefold() in wanted
        }
        structures = (
            contour_voxels(self.labels, grid, names)
            if self.labels.is_contours
            else segment_voxels(self.labels, grid, names, self.rule.fraction)
        )
        try:
            mask = paint(structures, grid.shape, self.rule)
        except ValueError as error:
            if str(error).startswith(str(self.labels.path)):
                raise
            raise ValueError(f"{self.labels.path}: {error}") from None
        if grid.shape[2] == 1:
            return Pixels(mask[:, :, 0].T)
        return Pixels(mask, grid.series.affine)
