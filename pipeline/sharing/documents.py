"""The form of a package's documents: of each exactly what ``unet-school pack`` writes.

A receiver's runs read these documents, and its model card and bill of materials repeat them. So a
document of another form is refused before any of it is used, and ``pack`` writes none.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, RootModel, ValidationError, model_validator

from pipeline.data.drift import EXTENTS, FEATURES, MIN_PATIENTS, OTHERS
from pipeline.data.label_numbers import label_names
from pipeline.evaluation.groups import SIGNIFICANT
from pipeline.inference import OperatingPoint
from pipeline.metrics.instances import INSTANCE_METRICS
from pipeline.metrics.overlap import FURTHER, METRICS, SOFT
from pipeline.schemas import first_error
from pipeline.sharing.archive import RefusedError
from pipeline.sharing.audit import METADATA, MODEL_RECORD
from pipeline.sharing.evaluation import stated_operating_point
from pipeline.sharing.packages import PACKAGES_FILE
from pipeline.sharing.packed_configs import EVALUATION, EXPORTS, FINGERPRINT
from pipeline.sharing.parsing import strict_json
from pipeline.sharing.requirements import VERSION_KEYS, public_version
from pipeline.sharing.values import VALUES, Values, read_values

MAX_TEXT_BYTES = {
    "LICENSE": 1 << 16,
    "docs/data_license.txt": 1 << 16,
    "docs/README.md": 1 << 19,
}
"""Size of each text. The card has a line for each score of each label: of a hundred, 100 KiB."""
NOT_PACKED = "not what unet-school pack writes"
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
CHOSEN_BY = frozenset((*METRICS, *INSTANCE_METRICS))
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
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
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


class Weights(Document):
    """The evaluated weights."""

    sha256: Sha256
    bundle: BundleName
    datalist_sha256: Sha256
    mlflow_run_id: Word


class Execution(Document):
    """The code that evaluated."""

    code: Annotated[str, Field(pattern=r"^(none|([0-9a-f]{40}|[0-9a-f]{64})(-dirty)?)$")]
    config_sha256: Sha256
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
    group_metric: str
    versions: dict[Package, EvaluatedVersion]
    test: Annotated[dict[str, Score], Field(min_length=1)]
    outcomes: dict[Literal["found", "both empty", "missed", "invented"], Positive]
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
        own = (f"{name}_{label}" for name in OF_EACH_LABEL for label in labels)
        return SCORES.union(own)


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
    """A required package; what is known of the sender's, where it had this very version."""

    version: Version
    build: Version | None = None
    files_sha256: Sha256 | None = None


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

    model_sha256: Sha256
    images: Positive
    tolerance: Annotated[float, Field(gt=0, le=1e-2)]
    differences: dict[Name, Distance]
    fixed_sides: dict[Name, Annotated[list[Positive], Field(min_length=2, max_length=3)]]


class RecordDocument(Document):
    """``models/model.json``: the fields of a record that are packed."""

    bundle: BundleName
    sha256: Sha256
    datalist_sha256: Sha256
    mlflow_run_id: Word
    operating_point: OperatingPoint
    trained_on: Annotated[list[Sha256], Field(min_length=1)]
    chosen_on: list[Sha256]
    hashes: Annotated[list[Literal["bytes", "values"]], Field(min_length=1, max_length=2)]


def check_texts(sizes: Mapping[str, int]) -> None:
    """Refuse a text that is too long to be read whole.

    Args:
        sizes: bytes of each file of the package.

    Raises:
        RefusedError: names the first that is.
    """
    for file, most in MAX_TEXT_BYTES.items():
        if sizes.get(file, 0) > most:
            raise RefusedError(file, f"{sizes[file]} bytes", f"expected {most} at most")


def check_documents(read: Callable[[str], bytes], files: Collection[str]) -> None:
    """Refuse documents of another form than ours, or that contradict each other.

    Args:
        read: returns the content of one of the package's files.
        files: their paths.

    Raises:
        RefusedError: names the file and the key.
    """
    evaluation = _read(read, EVALUATION, EvaluationDocument)
    _check_evaluation(evaluation)
    fingerprint = _read(read, FINGERPRINT, FingerprintDocument)
    _check_fingerprint(fingerprint)
    record = _read(read, MODEL_RECORD, RecordDocument)
    _check_record(record)
    packages = _read(read, PACKAGES_FILE, PackagesDocument)
    _check_packages(packages, _read(read, METADATA, RequiredVersions), evaluation)
    _check_values(read_values(read(VALUES)), record, strict_json(read(METADATA), METADATA))
    if EXPORTS in files:
        _check_exports(_read(read, EXPORTS, ExportsDocument), record)


def _read(read: Callable[[str], bytes], file: str, schema: type[DocumentType]) -> DocumentType:
    content = read(file)
    strict_json(content, file)  # each key once, no invisible letters
    try:
        return schema.model_validate_json(content, strict=True)
    except ValidationError as error:
        key = "#".join(map(str, error.errors()[0]["loc"])) or "content"
        found = first_error(error).removeprefix(f"{key}: ")
        raise RefusedError(f"{file}, {key}", found, NOT_PACKED) from None


def _require(holds: bool, file: str, key: str, value: object, expected: str) -> None:
    if not holds:
        raise RefusedError(f"{file}, {key}", str(value), f"expected {expected}")


def _check_names(file: str, key: str, names: Iterable[str], known: Collection[str]) -> None:
    for name in names:
        _require(name in known, file, key, repr(name), "a name that an evaluation writes")


def _check_evaluation(evaluation: EvaluationDocument) -> None:
    _check_scores(evaluation)
    _check_selection(evaluation)
    _check_groups(evaluation)
    for name in ("python", "unet-school", *VERSION_KEYS.values()):
        _require(name in evaluation.versions, EVALUATION, "versions", name, "its version")


def _check_scores(evaluation: EvaluationDocument) -> None:
    test, names = evaluation.test, evaluation.score_names()
    _check_names(EVALUATION, "test", test, names)
    for name in METRICS:
        _require(name in test, EVALUATION, "test", name, "this score")
    first = next(iter(test.values()))
    for name, score in test.items():
        same = (score.n, score.patients) == (first.n, first.patients)
        counted = f"{score.n} images, {score.patients} patients"
        _require(same, EVALUATION, f"test#{name}", counted, "the same of each score")
        ends = [value for value in (score.mean, score.low, score.high) if value is not None]
        if name.startswith(FRACTIONS) and name not in ISBI:
            inside = all(-SLACK <= value <= 1 + SLACK for value in ends)
            _require(inside, EVALUATION, f"test#{name}", ends, "0 to 1")
        elif name.startswith(DISTANCES):
            _require(min(ends) >= 0, EVALUATION, f"test#{name}", ends, "0 or more")
    pooled = {f"{name}_pooled" for name in (*METRICS, *FURTHER, "ece", "brier")}
    touching = {f"{name}_per_100_touching" for name in ("merges", "splits")}
    _check_names(EVALUATION, "test_pooled", evaluation.test_pooled, pooled | touching)
    for name, value in evaluation.test_pooled.items():
        within = name in touching or value <= 1 + SLACK
        _require(within, EVALUATION, f"test_pooled#{name}", value, "0 to 1")
    for title, row in evaluation.baselines.items():
        _check_names(EVALUATION, f"baselines#{title}", row, METRICS)
    structures, labels = sum(evaluation.outcomes.values()), max(1, len(evaluation.labels))
    _require(
        structures == first.n * labels, EVALUATION, "outcomes", structures, f"{first.n * labels}"
    )


def _check_selection(evaluation: EvaluationDocument) -> None:
    metric = evaluation.threshold_metric
    _check_names(EVALUATION, "threshold_metric", [metric], CHOSEN_BY)
    sources = (*THRESHOLD_SOURCES, f"chosen by {metric} on validation")
    _require(
        evaluation.threshold_source in sources,
        EVALUATION,
        "threshold_source",
        evaluation.threshold_source,
        " or ".join(sources),
    )
    _check_point(EVALUATION, evaluation.operating_point)
    stated = stated_operating_point(evaluation.operating_point)
    for key in ("threshold", "tta_versions", "postprocessing"):
        value = getattr(evaluation, key)
        _require(value == stated[key], EVALUATION, key, value, f"{stated[key]}")


def _check_point(file: str, point: OperatingPoint) -> None:
    if selected := point.selected_by:
        key = "operating_point#selected_by"
        known = selected.metric in {*CHOSEN_BY, OF_FOLDS}
        _require(known, file, f"{key}#metric", selected.metric, "a metric")
        _require(selected.split == "validation", file, f"{key}#split", selected.split, "validation")


def _check_groups(evaluation: EvaluationDocument) -> None:
    metric, total = evaluation.group_metric, next(iter(evaluation.test.values()))
    known = {*evaluation.test, *CHOSEN_BY}
    _check_names(EVALUATION, "group_metric", [metric], known)
    for key, rows in (("groups", evaluation.groups), ("age_bins", evaluation.age_bins)):
        for i, row in enumerate(rows):
            fits = row.n <= total.n and row.patients <= total.patients
            counted = f"{row.n} images, {row.patients} patients"
            expected = f"{total.n} and {total.patients} at most"
            _require(fits, EVALUATION, f"{key}#{i}", counted, expected)
    for i, row in enumerate(evaluation.age_bins):
        columns = list(row.model_extra or ())
        _require(columns == ["age"], EVALUATION, f"age_bins#{i}", columns, "age alone")


def _check_fingerprint(cohort: FingerprintDocument) -> None:
    images, patients = cohort.images, cohort.patients
    _require(patients <= images, FINGERPRINT, "patients", patients, f"{images} at most")
    _check_counts("sizes", cohort.sizes)
    listed = sum(cohort.sizes.values())
    _require(listed == images, FINGERPRINT, "sizes", f"{listed} images", f"{images}")
    for column, counts in cohort.groups.items():
        _check_counts(f"groups#{column}", counts)
        listed = sum(counts.values())
        _require(listed <= images, FINGERPRINT, f"groups#{column}", listed, f"{images} at most")
    for key in ("channels", "dtypes"):
        values = getattr(cohort, key)
        _require(values == sorted(set(values)), FINGERPRINT, key, values, "each once, sorted")
    enough = patients >= MIN_PATIENTS
    features = [set(FEATURES) if enough else set()]
    extents = [set(EXTENTS[:2]), set(EXTENTS)] if enough else [set()]
    _check_spreads("intensities", cohort.intensities, features)
    _check_spreads("extents", cohort.extents, extents)
    for name, spread in cohort.extents.items():
        _require(spread[0] > 0, FINGERPRINT, f"extents#{name}", spread, "lengths above 0")
    _require(
        len(cohort.foreground) in ((0, 3) if enough else (0,))
        and cohort.foreground == sorted(cohort.foreground),
        FINGERPRINT,
        "foreground",
        cohort.foreground,
        f"three ascending numbers, of {MIN_PATIENTS} patients or more",
    )


def _check_counts(key: str, counts: Mapping[str, int]) -> None:
    for name, n in counts.items():
        large = n >= MIN_PATIENTS or name == OTHERS
        _require(large, FINGERPRINT, f"{key}#{name}", n, f"{MIN_PATIENTS} or more, or {OTHERS}")


def _check_spreads(
    key: str, spreads: Mapping[str, list[float]], known: Collection[set[str]]
) -> None:
    expected = " or ".join(", ".join(sorted(names)) or "none" for names in known)
    _require(set(spreads) in known, FINGERPRINT, key, ", ".join(spreads) or "none", expected)
    for name, spread in spreads.items():
        _require(spread == sorted(spread), FINGERPRINT, f"{key}#{name}", spread, "ascending ones")


def _check_record(record: RecordDocument) -> None:
    for key in ("trained_on", "chosen_on", "hashes"):
        values = getattr(record, key)
        _require(len(values) == len(set(values)), MODEL_RECORD, key, "one twice", "each once")
    _check_point(MODEL_RECORD, record.operating_point)


def _check_packages(
    packages: PackagesDocument, metadata: RequiredVersions, evaluation: EvaluationDocument
) -> None:
    for key, name in VERSION_KEYS.items():
        _require(name in packages.root, PACKAGES_FILE, name, "missing", "its version")
        required, evaluated = getattr(metadata, key), public_version(evaluation.versions[name])
        _require(required == evaluated, METADATA, key, required, f"{evaluated}, as evaluated")


def _check_values(values: Values, record: RecordDocument, metadata: Mapping[str, Any]) -> None:
    bundle = values.train.get("bundle")
    _require(bundle == record.bundle, VALUES, "bundle", bundle, f"{record.bundle}, as the record")
    labels = values.of("inference").get("labels")
    stated = metadata
    for key in ("network_data_format", "outputs", "pred", "channel_def"):
        stated = stated.get(key, {}) if isinstance(stated, Mapping) else {}
    if labels and stated:
        names = label_names(labels)
        key = "network_data_format#outputs#pred#channel_def"
        _require(stated == names, METADATA, key, stated, f"{names}, as the labels")


def _check_exports(exports: ExportsDocument, record: RecordDocument) -> None:
    same = exports.model_sha256 == record.sha256
    _require(same, EXPORTS, "model_sha256", exports.model_sha256, record.sha256)
    for name, difference in exports.differences.items():
        small = difference <= exports.tolerance
        _require(small, EXPORTS, f"differences#{name}", difference, f"{exports.tolerance} at most")
    known = exports.differences
    for name in exports.fixed_sides:
        _require(name in known, EXPORTS, f"fixed_sides#{name}", name, "a measured format")
