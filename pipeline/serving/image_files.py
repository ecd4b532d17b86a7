"""Images that come from viewers and go to them, as files."""

import shutil
import threading
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from pipeline.data.identity import hash_pixels
from pipeline.data.volumes import read_volume
from pipeline.files import atomic
from pipeline.inference.formats import save_volume
from pipeline.serving.images import ServedImage, ServedImages, checked_id
from pipeline.serving.uploads import IMAGE_SUFFIXES, UploadStore, suffix_of_upload


class Upload(NamedTuple):
    """An uploaded file.

    Attributes:
        name: as the plug-in names it; its suffix alone is used.
        file: its content.
    """

    name: str | None
    file: BinaryIO


class ImageFiles:
    """Keeps uploaded images in the cohort, and gives images as viewers load them.

    Args:
        images: that are served.
        uploads: that stores them.
        downloads: folder of what is made for viewers.
    """

    def __init__(self, images: ServedImages, uploads: UploadStore, downloads: Path) -> None:
        self.images, self.uploads, self.downloads = images, uploads, downloads
        self._adding = threading.Lock()
        shutil.rmtree(downloads, ignore_errors=True)  # of images that may have changed since

    def add(self, name: str, upload: Upload) -> ServedImage:
        """Keep an uploaded image under an id; the same image again is the one that is there.

        Raises:
            ValueError: it is not accepted, or another image has the id.
            OSError: it cannot be written.
        """
        name = checked_id(name)
        suffix = suffix_of_upload(upload.name, IMAGE_SUFFIXES)
        path = self.uploads.store(upload.file, suffix)
        try:
            with self._adding:  # two of one name
                if self.images.has(name):
                    return self._same(self.images.get(name), path)
                return self._keep(path, self.images.uploaded / f"{name}{suffix}")
        finally:
            path.unlink(missing_ok=True)

    def viewer_file(self, image: ServedImage) -> Path:
        """Return the file of an image that a viewer loads: its own, of DICOM as NIfTI.

        Raises:
            ValueError: it cannot be read.
            OSError: it cannot be written.
        """
        if image.header is None:
            return image.path
        path = self.downloads / f"{image.file_name}.nii.gz"
        if not path.is_file():
            volume = read_volume(image.path)
            with atomic(path) as temporary:
                array = np.atleast_3d(volume.array)
                save_volume(temporary, array, volume.affine, volume.in_mm)
        return path

    def _keep(self, path: Path, target: Path) -> ServedImage:
        if target.exists():
            raise ValueError(
                f"image {target.name!r}: the cohort has a file of this name that is not served; "
                "rename the volume in the viewer"
            )
        target.parent.mkdir(0o700, parents=True, exist_ok=True)
        path.rename(target)
        try:
            return self.images.add(target)
        except BaseException:
            target.unlink(missing_ok=True)
            raise

    def _same(self, image: ServedImage, path: Path) -> ServedImage:
        other = self.viewer_file(image)
        if hash_pixels(other).pixels != hash_pixels(path).pixels:
            raise ValueError(
                f"image {image.id!r}: another image has this id; rename the volume in the viewer"
            )
        return image
