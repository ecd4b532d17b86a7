"""Pack a trained bundle: everything that a receiver needs, and no patient data."""

import hashlib
import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import safetensors.torch
from mlflow import MlflowClient
from mlflow.entities import Run

from pipeline.bundle import Bundle
from pipeline.data.datalist import read_datalist
from pipeline.data.drift import MIN_PATIENTS, describe_cohort
from pipeline.data.fingerprint import CaseStatistics
from pipeline.evaluation.summary import SUMMARY, EvaluationSummary
from pipeline.files import atomic
from pipeline.inference import TrainedModel
from pipeline.inference.trained_model import serialise
from pipeline.sharing.archive import write_archive
from pipeline.sharing.audit import METADATA, audit
from pipeline.sharing.bom import BOM, bill_of_materials, validate_bill
from pipeline.sharing.card import model_card
from pipeline.sharing.document_checks import check_documents, check_texts
from pipeline.sharing.evaluation import shared_engines, shared_evaluation
from pipeline.sharing.licence import LICENCE, licence_text
from pipeline.sharing.manifest import MANIFEST, make_manifest, sha256_of_each
from pipeline.sharing.packages import PACKAGES_FILE, required_packages
from pipeline.sharing.packed_configs import (
    EVALUATION,
    EXPORTS,
    FINGERPRINT,
    packed_configs,
    packed_values,
)
from pipeline.sharing.policy import read_policy
from pipeline.sharing.privacy import check_private
from pipeline.sharing.private_words import private_words
from pipeline.sharing.requirements import VERSION_KEYS, installed_versions, public_version
from pipeline.sharing.sample import sample_files
from pipeline.sharing.source import source_files
from pipeline.sharing.unpack import SAFE_WEIGHTS, WEIGHTS
from pipeline.sharing.values import VALUES
from pipeline.tracking.store import evaluations

EXECUTED_CONFIG = "config.json"
RECORD_FIELDS = {
    "bundle", "sha256", "datalist_sha256", "mlflow_run_id", "operating_point", "trained_on",
    "chosen_on", "hashes", "expected_dice", "outer", "validation_values",
}  # fmt: skip
"""Fields of a model's record that are packed; the record lists images only by their hashes."""
METADATA_SCORES = ("iou", "dice", "accuracy")
"""Metrics of the evaluation that ``metadata.json`` holds, too."""


class Trained(NamedTuple):
    """A training and its evaluation, read from the tracking store.

    Attributes:
        config: the config that the training executed.
        evaluated: the config that the evaluation executed.
        summary: the evaluation's summary.
        model: the evaluated model.
        dataset_dir: folder of the cohort, which training and evaluation share.
    """

    config: dict[str, Any]
    evaluated: dict[str, Any]
    summary: EvaluationSummary
    model: TrainedModel
    dataset_dir: Path


def find_trained(client: MlflowClient, run: str, dataset_dir: Path | None = None) -> Trained:
    """Find a training's newest evaluation on a test split, its config and its weights.

    Args:
        client: the tracking store's client.
        run: name or id of the training or of the evaluation.
        dataset_dir: folder of the cohort; None: the folder that the evaluation used.

    Raises:
        ValueError: there is no finished evaluation, the stored weights are not the evaluated ones,
            or the cohort has been split again.
        FileNotFoundError: the weights or the cohort have moved.
    """
    evaluation = next(
        (stored for stored in evaluations(client, run) if stored.data.tags["run"] == "evaluating"),
        None,
    )
    if evaluation is None:
        raise ValueError(
            f"{run}: a cross-validation has several models; give one fold's evaluation"
        )
    summary = EvaluationSummary(**_artifact(client, evaluation, SUMMARY))
    training = client.get_run(str(summary.model.mlflow_run_id))
    path = Path(summary.model.path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; the evaluated weights were stored there")
    model = TrainedModel(path)
    if model.record.sha256 != summary.model.sha256:
        raise ValueError(f"{path}: not the evaluated weights; evaluate them first")
    if model.record.operating_point != summary.operating_point:
        raise ValueError(
            f"{path}: evaluated with another operating point than its record holds; evaluate it "
            "again without a threshold"
        )
    trained, evaluated = (
        _artifact(client, stored, EXECUTED_CONFIG) for stored in (training, evaluation)
    )
    cohort = dataset_dir or _cohort_of(evaluation)
    if not cohort.is_dir():
        raise FileNotFoundError(
            f"{cohort}: no such folder; expected the cohort of the evaluation; give --dataset-dir "
            "if it has moved"
        )
    hashes = evaluation.data.tags["datalist_sha256"], summary.model.datalist_sha256
    if not all(map(read_datalist(cohort).is_identified_by, hashes)):
        raise ValueError(
            f"{cohort}: not the cohort or split of the training; evaluate the model on its own "
            "test split, and give --dataset-dir if the cohort has moved"
        )
    return Trained(trained, evaluated, summary, model, cohort)


def bundle_files(
    bundle: Path, trained: Trained, cases: Sequence[CaseStatistics], exports: Mapping[str, Any]
) -> dict[str, bytes]:
    """Return the files of a packed bundle, by path, without sample and manifest.

    Args:
        bundle: folder of the bundle.
        trained: the bundle's training and evaluation.
        cases: image and mask statistics of the training cases.
        exports: content of ``exports.json``, for the card; empty: no exported format.

    Raises:
        FileNotFoundError: the bundle lacks a file.
        ValueError: the metadata state other scores than the evaluation, a training case has
            changed, a file contains patient data, or a receiver would refuse a document.
    """
    name, own = bundle.resolve().name, trained.summary.model.bundle
    if own != name:
        raise ValueError(f"{bundle}: the run belongs to the bundle {own}; give bundles/{own}")
    if exports and exports.get("model_sha256") != trained.summary.model.sha256:
        raise ValueError(
            "--exports: measured on another model than the evaluated one; export that one"
        )
    for case in cases:
        if case.unreadable or case.changed:
            issue = case.unreadable or f"{case.changed[0]}: changed since it was listed"
            raise ValueError(f"{issue}; correct the cohort, because its fingerprint is packed")
    values = packed_values(Bundle(bundle), trained.config, trained.evaluated)
    evaluation = shared_evaluation(trained.summary, trained.evaluated.get("labels") or {})
    metadata = _metadata(bundle, evaluation)
    datalist = read_datalist(trained.dataset_dir)
    licence_note = _read(bundle / "docs" / "data_license.txt").decode()
    licence = licence_text(datalist.name, licence_note)
    columns = trained.evaluated.get("group_columns") or []
    modality = datalist.description.get("modality", "")
    fingerprint = describe_cohort(cases, columns, modality=modality)
    files = {
        "LICENSE": _read(bundle / "LICENSE"),
        "configs/logging.conf": _read(bundle / "configs" / "logging.conf"),
        METADATA: _json(metadata),
        "docs/README.md": model_card(metadata, evaluation, fingerprint, licence, exports).encode(),
        LICENCE: licence.encode(),
        EVALUATION: _json(evaluation),
        FINGERPRINT: _json(fingerprint),
        PACKAGES_FILE: _json(required_packages(metadata)),
        **({EXPORTS: _json(exports)} if exports else {}),
        VALUES: values.to_json(),
        **packed_configs(values),
        **_weights(trained.model),
    }
    words = private_words(datalist.to_json(), columns, datalist.path.parent)
    check_private(files, words, [trained.dataset_dir, trained.model.path.parent])
    check_texts({file: len(content) for file, content in files.items()})
    check_documents(files.__getitem__, files)
    return _with_bill({**files, **source_files()})


def pack(
    files: Mapping[str, bytes],
    name: str,
    made: Mapping[str, Any],
    out: Path,
    sample: Sequence[Path] = (),
) -> str | None:
    """Write an archive: the files of a bundle, a sample with its result, and the manifest.

    The archive is audited before it is moved to its place, as a receiver would audit it.

    Returns:
        The hash by which a receiver accepts a custom config; None: it needs no such decision.

    Args:
        files: the result of :func:`bundle_files`.
        name: name of the bundle.
        made: the bundle's origin (commit, versions, run), for the manifest.
        out: path of the archive.
        sample: files of an image that may leave the hospital; none: a synthetic image.

    Raises:
        ValueError: an audit by the default policy refuses the archive.
    """
    weights = {WEIGHTS: serialise(safetensors.torch.load(files[SAFE_WEIGHTS]))}
    content = {**files, **sample_files({**files, **weights}, sample)}
    content[MANIFEST] = make_manifest(name, content, made)
    with atomic(out) as temporary:
        write_archive(temporary, name, content)
        custom = hashlib.sha256(files[VALUES]).hexdigest()
        policy = read_policy().model_copy(update={"custom_configs": frozenset({custom})})
        report = audit(temporary, policy)
        if report.refusals:
            raise ValueError(
                f"{report.refusals[0]}; not written, because no receiver would accept it (a model "
                "that another release trained is packed by that release)"
            )
    return custom if any(judgement.is_custom for judgement in report.judgements) else None


def _cohort_of(evaluation: Run) -> Path:
    folder = evaluation.data.tags.get("dataset_dir")
    if folder is None:
        raise ValueError(
            f"{evaluation.info.run_name}: the run recorded no folder of its cohort; give "
            "--dataset-dir"
        )
    return Path(folder)


def _artifact(client: MlflowClient, run: Run, name: str) -> dict[str, Any]:
    if name not in {file.path for file in client.list_artifacts(run.info.run_id)}:
        raise ValueError(f"{run.info.run_name}: the run recorded no {name}; run it again")
    with tempfile.TemporaryDirectory() as folder:
        path = client.download_artifacts(run.info.run_id, name, folder)
        content: dict[str, Any] = json.loads(Path(path).read_text("utf-8"))
    return content


def _read(path: Path) -> bytes:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; every bundle needs it")
    return path.read_bytes()


def _metadata(bundle: Path, evaluation: Mapping[str, Any]) -> dict[str, Any]:
    """Return the bundle's metadata, with the scores and the versions of the evaluation."""
    path = bundle / "configs" / "metadata.json"
    metadata: dict[str, Any] = json.loads(_read(path))
    scores = {name: round(evaluation["test"][name]["mean"], 4) for name in METADATA_SCORES}
    for name, value in metadata.get("eval_metrics", {}).items():
        if scores.get(name) != value:
            raise ValueError(
                f"{path}: eval_metrics {name} is {value}, the evaluation has {scores.get(name)}; "
                "remove eval_metrics, because pack writes it"
            )
    versions = evaluation["versions"]
    evaluated = {key: public_version(versions[name]) for key, name in VERSION_KEYS.items()}
    installed = installed_versions()
    required = {
        name: version for name, version in installed.items() if name not in VERSION_KEYS.values()
    }
    return {
        **metadata,
        **evaluated,
        "required_packages_version": required,
        "eval_metrics": scores,
    }


def _weights(model: TrainedModel) -> dict[str, bytes]:
    weights = {name: tensor.contiguous() for name, tensor in model.weights.items()}
    record = model.record.model_dump(include=RECORD_FIELDS, mode="json")
    record["engines"] = shared_engines(model.record.engines)
    values = model.record.validation_values
    shared = None if values is None else values.of_many_patients(MIN_PATIENTS)
    record["validation_values"] = None if shared is None else shared.model_dump(mode="json")
    return {
        SAFE_WEIGHTS: safetensors.torch.save(weights),
        "models/model.json": _json(record),
    }


def _with_bill(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Add the bill of materials to the files that it is made of."""
    bill = bill_of_materials(files.__getitem__, sha256_of_each(files))
    validate_bill(bill)
    return {**files, BOM: bill}


def _json(content: Mapping[str, Any]) -> bytes:
    return (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode()
