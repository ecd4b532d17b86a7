"""The results of an inference as DICOM, beside the masks."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.bundle.codes import BundleCodes, read_codes
from pipeline.bundle.dicom_kinds import DICOM_KINDS, DICOM_SEGS, DicomSeg
from pipeline.data.label_numbers import LabelNumbers
from pipeline.data.suffixes import stem_of
from pipeline.errors import few
from pipeline.inference.further_results import InferredImage
from pipeline.inference.report import InferenceCase
from pipeline.inference.structures import FOREGROUND
from pipeline.inference.trained_model import TrainedModel

if TYPE_CHECKING:
    from pipeline.dicom.source import SourceImage

FOLDER = "dicom"


class DicomResults:
    """Write results as DICOM of images that are DICOM.

    ``dicom/NAME/`` holds ``seg.dcm``, a segmentation; ``rtstruct.dcm``, contours; ``sr.dcm``, a
    structured report of volumes, which refers to the segmentation and brings it along; and
    ``capture_PLANE.dcm``, pictures of the planes that a structure touches, with the outlines.

    All refer to the images of the source, of several channels to those of each, lie in the frame of
    reference of the first, and say which bundle and which weights made them, and that they are not
    for clinical use.

    Of a bundle that separates instances, each instance is a structure with a number: a segment, an
    outline, a group of the report (:mod:`pipeline.dicom.instances`).

    Args:
        kinds: of :data:`pipeline.bundle.dicom_kinds.DICOM_KINDS`; None: nothing is written.
        segments: how a segmentation stores its segments.
        model: that infers.
        bundle: its name.
        metadata: path of the bundle's ``metadata.json``, which may name codes and colours.
        labels: name of each label and its number or numbers.

    Raises:
        ValueError: a kind or a way of storing that does not exist, or that holds no instances; a
            code in the metadata is none.
        ModuleNotFoundError: the extra ``dicom`` is not installed.
    """

    def __init__(
        self,
        kinds: Collection[str] | None,
        segments: DicomSeg,
        model: TrainedModel,
        bundle: str,
        metadata: str,
        labels: LabelNumbers | None = None,
    ) -> None:
        self.kinds = _checked_kinds(kinds or ())
        _check_choice("--dicom-seg", segments, DICOM_SEGS)
        if "seg" in self.kinds and segments == "fractional" and _separates(model):
            raise ValueError(
                "--dicom-seg fractional: holds probabilities of structures, and instances have "
                "none of their own; choose binary or labelmap"
            )
        self.segments, self.labels = segments, labels or {FOREGROUND: 1}
        self.bundle, self.model, self.metadata = bundle, model, Path(metadata)
        self.settings: Mapping[str, Any] = {}
        self.needs_maps = False
        self._codes: BundleCodes | None = None
        self._source: SourceImage | None = None
        if self.kinds:
            import highdicom  # noqa: F401 - an absent extra is said before the first image

            self.settings = {"dicom": list(self.kinds), "dicom_seg": segments}
            self.needs_maps = "sr" in self.kinds or segments == "fractional"

    def check(self, case: InferenceCase) -> None:
        """Refuse an image to which no result can refer.

        Raises:
            ValueError: it is not DICOM, lacks an attribute, or its plane lies nowhere and contours
                are wanted.
        """
        if not self.kinds:
            return
        from pipeline.dicom.written import open_checked

        self._read_codes()
        self._source = open_checked(case, self.kinds)

    def write(self, image: InferredImage, folder: Path) -> list[str]:
        """Write the results of the image that was checked; return their paths in the folder."""
        if self._source is None:
            return []
        from pipeline.dicom.author import Author
        from pipeline.dicom.written import ImageObjects

        codes, name = self._read_codes(), f"{FOLDER}/{stem_of(Path(image.name))}"
        author = Author(self.bundle, codes.version, self.model.record.sha256)
        source, self._source = self._source, None
        objects = ImageObjects(image, source, codes.structures, self.labels, author, self.segments)
        return [f"{name}/{file}" for file in objects.write(self.kinds, folder / name)]

    def _read_codes(self) -> BundleCodes:
        if self._codes is None:
            self._codes = read_codes(self.metadata, self.labels)
            if self._codes.uncoded:
                print(
                    f"dicom       no code for {few(list(self._codes.uncoded))}: written as tissue; "
                    f"name it in supported_apps#dicom of {self.metadata}"
                )
        return self._codes


def _separates(model: TrainedModel) -> bool:
    """Return whether a model separates the instances of its structure."""
    return model.operating_point.instances is not None


def _checked_kinds(kinds: Collection[str]) -> tuple[str, ...]:
    """Return the kinds in their order, with the segmentation that a report refers to."""
    for kind in kinds:
        _check_choice("--dicom", kind, DICOM_KINDS)
    wanted = {*kinds, "seg"} if "sr" in kinds else set(kinds)
    return tuple(kind for kind in DICOM_KINDS if kind in wanted)


def _check_choice(option: str, value: str, choices: Collection[str]) -> None:
    if value not in choices:
        raise ValueError(f"{option}: found '{value}'; expected one of {', '.join(choices)}")
