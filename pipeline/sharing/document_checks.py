"""Refuse documents of a package that have another form than ours, or contradict each other."""

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from pydantic import ValidationError

from pipeline.data.drift import EXTENTS, FEATURES, MIN_PATIENTS, OTHERS
from pipeline.data.label_numbers import label_names
from pipeline.evaluation.cases import SURFACE_DICE
from pipeline.inference import OperatingPoint
from pipeline.inference.structures import FOREGROUND
from pipeline.inference.validation_values import ValidationValues
from pipeline.metrics.overlap import FURTHER, METRICS
from pipeline.schemas import first_error
from pipeline.sharing.archive import RefusedError
from pipeline.sharing.audit import METADATA, MODEL_RECORD
from pipeline.sharing.documents import (
    CHOSEN_BY,
    DISTANCES,
    FRACTIONS,
    ISBI,
    OF_FOLDS,
    SLACK,
    THRESHOLD_SOURCES,
    DocumentType,
    EvaluationDocument,
    ExportsDocument,
    FingerprintDocument,
    PackagesDocument,
    RecordDocument,
    RequiredVersions,
)
from pipeline.sharing.evaluation import stated_operating_point
from pipeline.sharing.licence import LICENCE
from pipeline.sharing.packages import PACKAGES_FILE
from pipeline.sharing.packed_configs import EVALUATION, EXPORTS, FINGERPRINT
from pipeline.sharing.parsing import strict_json
from pipeline.sharing.requirements import VERSION_KEYS, public_version
from pipeline.sharing.values import VALUES, Values, read_values

MAX_TEXT_BYTES = {
    "LICENSE": 1 << 16,
    LICENCE: 1 << 16,
    "docs/README.md": 1 << 19,
}
"""Size of each text. The card has a line for each score of each label: of a hundred, 100 KiB."""
MEASURED = re.compile(r"\w[\w ,-]{0,95}")
"""Name of a value that inference measures: ``size of lung, ml``."""
NOT_PACKED = "not what unet-school pack writes"


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
    same = record.engines == evaluation.engines
    _require(same, MODEL_RECORD, "engines", "others", f"those of {EVALUATION}")
    same = record.outer == evaluation.outer
    _require(same, MODEL_RECORD, "outer", "another", f"that of {EVALUATION}")
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
        problem = first_error(error).removeprefix(f"{key}: ")
        raise RefusedError(f"{file}, {key}", problem, NOT_PACKED) from None


def _require(holds: bool, file: str, key: str, value: object, expected: str) -> None:
    if not holds:
        raise RefusedError(f"{file}, {key}", str(value), f"expected {expected}")


def _check_names(file: str, key: str, names: Iterable[str], allowed: Collection[str]) -> None:
    for name in names:
        _require(name in allowed, file, key, repr(name), "a name that an evaluation writes")


def _check_evaluation(evaluation: EvaluationDocument) -> None:
    _check_scores(evaluation)
    _check_selection(evaluation)
    _check_groups(evaluation)
    _check_outer(evaluation)
    for name in ("python", "unet-school", *VERSION_KEYS.values()):
        _require(name in evaluation.versions, EVALUATION, "versions", name, "its version")


def _check_outer(evaluation: EvaluationDocument) -> None:
    outer, labels = evaluation.outer, list(evaluation.labels) or [FOREGROUND]
    if outer is not None:
        own = list(outer.labels)
        _require(own == labels, EVALUATION, "outer#labels", ", ".join(own), ", ".join(labels))
    having = [] if outer is None else list(outer.thresholds())
    for i, row in enumerate(evaluation.outer_test):
        key = f"outer_test#{i}"
        _require(row.label in having, EVALUATION, key, repr(row.label), "a label with a threshold")
        _require(row.patients >= MIN_PATIENTS, EVALUATION, key, row.patients, f"{MIN_PATIENTS} up")
        ends = [value for value in (row.missed, row.low, row.high) if value is not None]
        _require(all(0 <= end <= 1 for end in ends), EVALUATION, key, ends, "0 to 1")


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
        if name.startswith((*FRACTIONS, SURFACE_DICE)) and name not in ISBI:
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
    own = evaluation.operating_point.by_label
    _check_names(EVALUATION, "operating_point#by_label", own, evaluation.labels)
    stated = stated_operating_point(evaluation.operating_point)
    for key in ("threshold", "tta_versions", "postprocessing"):
        value = getattr(evaluation, key)
        _require(value == stated[key], EVALUATION, key, value, f"{stated[key]}")


def _check_point(file: str, point: OperatingPoint) -> None:
    if selected := point.selected_by:
        key = "operating_point#selected_by"
        is_metric = selected.metric in {*CHOSEN_BY, OF_FOLDS}
        _require(is_metric, file, f"{key}#metric", selected.metric, "a metric")
        _require(selected.split == "validation", file, f"{key}#split", selected.split, "validation")


def _check_groups(evaluation: EvaluationDocument) -> None:
    metric, total = evaluation.group_metric, next(iter(evaluation.test.values()))
    _check_names(EVALUATION, "group_metric", [metric], {*evaluation.test, *CHOSEN_BY})
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
    key: str, spreads: Mapping[str, list[float]], allowed: Collection[set[str]]
) -> None:
    expected = " or ".join(", ".join(sorted(names)) or "none" for names in allowed)
    _require(set(spreads) in allowed, FINGERPRINT, key, ", ".join(spreads) or "none", expected)
    for name, spread in spreads.items():
        _require(spread == sorted(spread), FINGERPRINT, f"{key}#{name}", spread, "ascending ones")


def _check_record(record: RecordDocument) -> None:
    for key in ("trained_on", "chosen_on", "hashes"):
        values = getattr(record, key)
        _require(len(values) == len(set(values)), MODEL_RECORD, key, "one twice", "each once")
    _check_point(MODEL_RECORD, record.operating_point)
    if record.validation_values is not None:
        _check_validation_values(record.validation_values)


def _check_validation_values(values: ValidationValues) -> None:
    key, patients = "validation_values", values.patients
    _require(patients >= MIN_PATIENTS, MODEL_RECORD, key, patients, f"{MIN_PATIENTS} or more")
    within = 0 <= values.flagged <= patients
    _require(within, MODEL_RECORD, key, values.flagged, f"{patients} flagged at most")
    for name, own in values.measured.items():
        _require(MEASURED.fullmatch(name) is not None, MODEL_RECORD, key, repr(name), "a value")
        ascending = own.cuts == sorted(set(own.cuts)) and len(own.counts) == len(own.cuts) + 1
        _require(
            ascending,
            MODEL_RECORD,
            f"{key}#measured#{name}",
            own.cuts,
            "ascending cuts, and counts",
        )
        enough = min(own.counts) >= 0 and MIN_PATIENTS <= own.n <= patients
        expected = f"{MIN_PATIENTS} to {patients} patients"
        _require(enough, MODEL_RECORD, f"{key}#measured#{name}", own.counts, expected)


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
    for name in exports.fixed_sides:
        measured = name in exports.differences
        _require(measured, EXPORTS, f"fixed_sides#{name}", name, "a measured format")
