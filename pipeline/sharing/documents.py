"""The form of a package's documents: of each exactly what ``unet-school pack`` writes.

A receiver's runs read these documents, and its model card and bill of materials repeat them. So a
document of another form is refused before any of it is used, and ``pack`` writes none.
"""

from typing import Annotated, Literal, Self, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, RootModel, model_validator

from pipeline.data.drift import MIN_PATIENTS
from pipeline.evaluation.engine_trials import MAX_SCORE_LOSS
from pipeline.evaluation.groups import SIGNIFICANT
from pipeline.evaluation.outer_contour import OuterScore
from pipeline.evaluation.score_words import SURFACE_DICE_NAME
from pipeline.inference import OperatingPoint
from pipeline.inference.confidence import DiceEstimate
from pipeline.inference.engine import Engine, KeptScoreName
from pipeline.inference.outer_contour import OuterContour
from pipeline.inference.validation_values import ValidationValues
from pipeline.metrics.instances import INSTANCE_METRICS
from pipeline.metrics.overlap import FURTHER, METRICS, SOFT
from pipeline.metrics.segments import PARTITION_METRICS
from pipeline.sharing.manifest import Digest

MAX_COUNT = 10**9
SLACK = 2e-6
"""Mean and interval are rounded apart, to six places."""
ISBI = (
    "v_rand_thinned", "v_info_thinned", "v_rand", "v_info", "rand_error", "pixel_error",
    "pixel_error_f", "warping_error", "warping_splits", "warping_mergers", "warping_lost",
    "warping_remaining",
)  # fmt: skip
"""Scores of :func:`pipeline.metrics.isbi.isbi_scores`."""
INSTANCES = ("ap", "f1_over_ious", "v_rand", "merges", "splits", "touching")
"""Scores of :func:`pipeline.metrics.instances.instance_scores` beside its metrics."""
FRACTIONS = (*METRICS, *FURTHER, *SOFT, "iou_background", "dice_background", "brier")
"""Scores of one label from 0 to 1."""
DISTANCES = ("hd95_px", "hd95_mm", "asd_px", "asd_mm")
OF_EACH_LABEL = (*FRACTIONS, *DISTANCES)
SCORES = frozenset((*OF_EACH_LABEL, *INSTANCE_METRICS, *INSTANCES, *ISBI))
CHOSEN_BY = frozenset((*METRICS, *INSTANCE_METRICS, *PARTITION_METRICS))
"""Metrics that select a threshold."""
OF_FOLDS = "mean of the folds' thresholds"
"""By what the threshold of an ensemble was selected."""
THRESHOLD_SOURCES = ("given", "as the model was evaluated before")
"""Beside ``chosen by METRIC on validation``."""
VERDICTS = ("differ", "no difference shown")

Number = Annotated[float, Field(allow_inf_nan=False)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Distance = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0, le=MAX_COUNT)]
Positive = Annotated[int, Field(ge=1, le=MAX_COUNT)]
Word = Annotated[str, Field(pattern=r"^[\w-]{1,64}$")]
BundleName = Annotated[str, Field(pattern=r"^\w[\w .-]{0,99}$")]
Name = Annotated[str, Field(pattern=r"^\w([\w -]{0,62}[\w-])?$")]
"""Of a label."""
Package = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
Version = Annotated[str, Field(pattern=r"^\d[A-Za-z0-9_.+!-]{0,63}$")]
EvaluatedVersion = Annotated[str, Field(pattern=r"^(\d[A-Za-z0-9_.+!-]{0,63}|not installed)$")]
Modality = Annotated[str, Field(pattern=r"^[\w .,()/+-]{0,64}$")]
Text = Annotated[str, Field(pattern=r"^[\w .,;+<>=≤≥()/&%'#*-]{1,64}$")]
"""Name or value of a column: no address, which needs a colon."""
Size = Annotated[str, Field(pattern=r"^([1-9]\d{0,6}( x [1-9]\d{0,6}){1,2}|others)$")]
Channels = Annotated[str, Field(pattern=r"^[1-9]\d{0,4}$")]
NumberFormat = Literal[
    "bool", "uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64",
    "float16", "float32", "float64", "float128",
]  # fmt: skip
Baseline = Literal[
    "all foreground", "mean of the training masks", "best intensity threshold, chosen on test"
]


class Document(BaseModel):
    """A frozen schema that takes no unknown key."""

    model_config = ConfigDict(frozen=True, extra="forbid")


DocumentType = TypeVar("DocumentType", bound=BaseModel)


class Score(Document):
    """A mean over images, with its interval over patients; a single patient has none."""

    mean: Number
    low: Number | None
    high: Number | None
    n: Positive
    patients: Positive

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if self.patients > self.n:
            raise ValueError(f"{self.patients} patients of {self.n} images")
        if self.low is None or self.high is None:
            if self.patients > 1 or self.low is not self.high:
                raise ValueError("expected both ends of the interval, of 2 patients or more")
            return self
        slack = SLACK * max(1, abs(self.mean))
        if self.patients == 1 or not self.low - slack <= self.mean <= self.high + slack:
            raise ValueError(f"the mean {self.mean} of the interval {self.low} to {self.high}")
        return self


class GroupRow(Score):
    """A score of a group; its further keys are the values of the columns."""

    model_config = ConfigDict(frozen=True, extra="allow")
    __pydantic_extra__: dict[Text, Text | int | Number | bool]
    patients: Annotated[int, Field(ge=MIN_PATIENTS, le=MAX_COUNT)]
    enough: Literal[True]


class GapRow(Document):
    """The difference of two groups."""

    column: Text
    first: Text | int | Number | bool
    second: Text | int | Number | bool
    difference: Number
    p: Fraction
    verdict: Literal["differ", "no difference shown"]

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if self.verdict != VERDICTS[self.p >= SIGNIFICANT]:
            raise ValueError(f"the verdict '{self.verdict}' of p {self.p}")
        return self


class EngineLoss(Document):
    """What an engine loses of the score, with its interval."""

    score: KeptScoreName = "dice"
    mean: Number
    low: Number
    high: Annotated[float, Field(le=MAX_SCORE_LOSS, allow_inf_nan=False)]


class EngineRow(Document):
    """An engine of inference that the sender's evaluation accepted."""

    engine: Engine
    seconds: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    loss: EngineLoss
    accepted: Literal[True]
    reason: Literal[""]


Engines = Annotated[list[EngineRow], Field(max_length=len(get_args(Engine)))]


class Weights(Document):
    """The evaluated weights."""

    sha256: Digest
    bundle: BundleName
    datalist_sha256: Digest
    mlflow_run_id: Word


class Execution(Document):
    """The code that evaluated."""

    code: Annotated[str, Field(pattern=r"^(none|([0-9a-f]{40}|[0-9a-f]{64})(-dirty)?)$")]
    config_sha256: Digest
    seed: Annotated[int, Field(ge=0, lt=1 << 64)]


class EvaluationDocument(Document):
    """``docs/evaluation.json``, by :func:`pipeline.sharing.evaluation.shared_evaluation`."""

    split: Literal["test"]
    operating_point: OperatingPoint
    threshold: Fraction
    tta_versions: Annotated[int, Field(ge=1, le=8)]
    postprocessing: str
    labels: dict[Name, Positive | Annotated[list[Positive], Field(min_length=1)]]
    threshold_source: str
    threshold_metric: str
    test_pooled: dict[str, Distance]
    baselines: dict[Baseline, dict[str, Fraction]]
    engines: Engines
    group_metric: str
    versions: dict[Package, EvaluatedVersion]
    test: Annotated[dict[str, Score], Field(min_length=1)]
    outcomes: dict[Literal["found", "both empty", "missed", "invented"], Positive]
    outer: OuterContour | None = None
    outer_test: list[OuterScore] = []
    groups: list[GroupRow]
    gaps: list[GapRow]
    age_bins: list[GroupRow]
    groups_left_out: Count
    age_bins_left_out: Count
    model: Weights
    evaluation: Execution

    def score_names(self) -> frozenset[str]:
        """Return the names that a score can have; of several labels each has its own."""
        labels = self.labels if len(self.labels) > 1 else ()
        surface = {name for name in self.test if SURFACE_DICE_NAME.fullmatch(name)}
        own = (f"{name}_{label}" for name in (*OF_EACH_LABEL, *surface) for label in labels)
        return SCORES.union(surface, own)


Spread = Annotated[list[Number], Field(min_length=3, max_length=3)]


class FingerprintDocument(Document):
    """``docs/fingerprint.json``, by :func:`pipeline.data.drift.describe_cohort`."""

    images: Positive
    modality: Modality
    patients: Positive
    sizes: dict[Size, Positive]
    channels: Annotated[list[Channels], Field(min_length=1)]
    dtypes: Annotated[list[NumberFormat], Field(min_length=1)]
    maximum: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None
    intensities: dict[str, Spread]
    extents: dict[str, Spread]
    foreground: list[Fraction]
    groups: dict[Text, dict[Text, Positive]]


class PackageRow(Document):
    """A required package, and the sender's own where it had this very version."""

    version: Version
    build: Version | None = None
    files_sha256: Digest | None = None


class PackagesDocument(RootModel[Annotated[dict[Package, PackageRow], Field(min_length=1)]]):
    """``docs/packages.json``, by :func:`pipeline.sharing.packages.required_packages`."""


class RequiredVersions(BaseModel):
    """What ``configs/metadata.json`` says of packages; the bundle's author writes the rest."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    monai_version: Version
    pytorch_version: Version
    numpy_version: Version
    required_packages_version: dict[Package, Version]


class ExportsDocument(Document):
    """``docs/exports.json``, by :func:`pipeline.sharing.export.export`."""

    model_sha256: Digest
    images: Positive
    tolerance: Annotated[float, Field(gt=0, le=1e-2)]
    differences: dict[Name, Distance]
    fixed_sides: dict[Name, Annotated[list[Positive], Field(min_length=2, max_length=3)]]


class RecordDocument(Document):
    """``models/model.json``: the fields of a record that are packed."""

    bundle: BundleName
    sha256: Digest
    datalist_sha256: Digest
    mlflow_run_id: Word
    operating_point: OperatingPoint
    engines: Engines
    trained_on: Annotated[list[Digest], Field(min_length=1)]
    chosen_on: list[Digest]
    hashes: Annotated[list[Literal["bytes", "values"]], Field(min_length=1, max_length=2)]
    expected_dice: dict[Name, DiceEstimate] = {}
    outer: OuterContour | None = None
    validation_values: ValidationValues | None = None
