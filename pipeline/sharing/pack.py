"""Packing a trained bundle: everything a receiver needs, and nothing of a patient."""

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mlflow import MlflowClient
from mlflow.entities import Run
from safetensors.torch import save as as_safetensors

from pipeline.data.datalist import read_datalist
from pipeline.data.drift import describe_cohort
from pipeline.data.fingerprint import CaseStatistics
from pipeline.evaluation.summary import SUMMARY, EvaluationSummary
from pipeline.files import atomic
from pipeline.inference import TrainedModel
from pipeline.sharing.archive import write_archive
from pipeline.sharing.audit import audit
from pipeline.sharing.card import model_card
from pipeline.sharing.evaluation import shared_evaluation
from pipeline.sharing.licence import licence_text
from pipeline.sharing.manifest import MANIFEST, make_manifest
from pipeline.sharing.packed_configs import EVALUATION, EXPORTS, FINGERPRINT, packed_configs
from pipeline.sharing.privacy import check_private, private_words
from pipeline.sharing.requirements import VERSION_KEYS, installed_versions, public_version
from pipeline.sharing.sample import sample_files
from pipeline.sharing.source import source_files
from pipeline.tracking.store import evaluations

EXECUTED = "config.json"
RECORD_FIELDS = {
    "bundle", "sha256", "datalist_sha256", "mlflow_run_id", "operating_point", "trained_on",
    "chosen_on",
}  # fmt: skip
"""What of a model's record is packed; images stand in it by their hashes alone."""
METADATA_SCORES = ("iou", "dice", "accuracy")
"""Metrics of the evaluation that the metadata hold, too."""


class Trained(NamedTuple):
    """A training with its evaluation, as the tracking store has them.

    Attributes:
        config: the config that the training executed.
        evaluated: the config that the evaluation executed.
        summary: of the evaluation.
        model: that was evaluated.
        dataset_dir: the cohort of both.
    """

    config: dict[str, Any]
    evaluated: dict[str, Any]
    summary: EvaluationSummary
    model: TrainedModel
    dataset_dir: Path


def find_trained(client: MlflowClient, run: str, dataset_dir: Path | None = None) -> Trained:
    """Find a training's newest evaluation on a test split, its config and its weights.

    Args:
        client: of the tracking store.
        run: name or id of the training or of the evaluation.
        dataset_dir: of the cohort; None: where it was when the model was evaluated.

    Raises:
        ValueError: there is no finished evaluation, or it is not of the weights that are there, or
            the cohort has been split anew.
        FileNotFoundError: weights or cohort are not where they were.
    """
    evaluation = next(
        (one for one in evaluations(client, run) if one.data.tags["run"] == "evaluating"), None
    )
    if evaluation is None:
        raise ValueError(f"{run}: a cross-validation has several models; name one's evaluation")
    summary = EvaluationSummary(**_artifact(client, evaluation, SUMMARY))
    training = client.get_run(str(summary.model.mlflow_run_id))
    path = Path(summary.model.path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; the weights were evaluated there")
    model = TrainedModel(path)
    if model.record.sha256 != summary.model.sha256:
        raise ValueError(f"{path}: other weights than were evaluated; evaluate these")
    if model.record.operating_point != summary.operating_point:
        raise ValueError(
            f"{path}: its record holds another operating point than it was evaluated with; "
            "evaluate it again, without giving a threshold"
        )
    trained, evaluated = (_artifact(client, one, EXECUTED) for one in (training, evaluation))
    cohort = dataset_dir or Path(evaluation.data.tags["dataset_dir"])
    hashes = {evaluation.data.tags["datalist_sha256"], read_datalist(cohort).sha256}
    if hashes != {summary.model.datalist_sha256}:
        raise ValueError(
            f"{cohort}: another cohort or split than the model was trained on; evaluate it on its "
            "own test split, and give --dataset-dir if that has moved"
        )
    return Trained(trained, evaluated, summary, model, cohort)


def bundle_files(
    bundle: Path, trained: Trained, facts: Sequence[CaseStatistics], exports: Mapping[str, Any]
) -> dict[str, bytes]:
    """Return the files of a packed bundle, by path, without sample and manifest.

    Args:
        bundle: its folder.
        trained: its training and evaluation.
        facts: of the training cases.
        exports: what exporting measured, for the card.

    Raises:
        FileNotFoundError: the bundle lacks a file.
        ValueError: its metadata tell other scores than the evaluation, or a file would tell
            something of a patient.
    """
    name, own = bundle.resolve().name, trained.summary.model.bundle
    if own != name:
        raise ValueError(f"{bundle}: the run is one of {own}; give bundles/{own}")
    if exports and exports.get("model_sha256") != trained.summary.model.sha256:
        raise ValueError("--exports: of another model than was evaluated; export this one")
    for case in facts:
        if case.unreadable or case.changed:
            why = case.unreadable or f"{case.changed[0]}: changed since it was listed"
            raise ValueError(f"{why}; mend the cohort, its fingerprint is packed")
    evaluation = shared_evaluation(trained.summary)
    metadata = _metadata(bundle, evaluation)
    datalist = read_datalist(trained.dataset_dir).content
    licence_note = _read(bundle / "docs" / "data_license.txt").decode()
    licence = licence_text(datalist.get("name", ""), licence_note)
    columns = trained.evaluated.get("group_columns") or []
    fingerprint = describe_cohort(facts, columns)
    files = {
        "LICENSE": _read(bundle / "LICENSE"),
        "configs/logging.conf": _read(bundle / "configs" / "logging.conf"),
        "configs/metadata.json": _json(metadata),
        "docs/README.md": model_card(metadata, evaluation, fingerprint, licence, exports).encode(),
        "docs/data_license.txt": licence.encode(),
        EVALUATION: _json(evaluation),
        FINGERPRINT: _json(fingerprint),
        **({EXPORTS: _json(exports)} if exports else {}),
        **packed_configs(bundle, trained.config, trained.evaluated),
        **_weights(trained.model),
    }
    words = private_words(datalist, columns)
    check_private(files, words, [trained.dataset_dir, trained.model.path.parent])
    return {**files, **source_files()}


def pack(
    files: Mapping[str, bytes],
    name: str,
    made: Mapping[str, Any],
    out: Path,
    sample: Path | None = None,
) -> None:
    """Write an archive: the files of a bundle, a sample with its result, and the manifest.

    It is judged as a receiver would, before it takes its place.

    Args:
        files: by :func:`bundle_files`.
        name: of the bundle.
        made: by what it was made, for the manifest.
        out: the archive.
        sample: an image that may be told; None: one is made.

    Raises:
        ValueError: an audit by the default policy refuses it.
    """
    whole = {**files, **sample_files(files, sample)}
    whole[MANIFEST] = make_manifest(whole, made)
    with atomic(out) as temporary:
        write_archive(temporary, name, whole)
        report = audit(temporary)
        if report.refusals:
            raise ValueError(
                f"{report.refusals[0]}; no receiver would accept it, so it is not kept"
            )


def _artifact(client: MlflowClient, run: Run, name: str) -> dict[str, Any]:
    if name not in {file.path for file in client.list_artifacts(run.info.run_id)}:
        raise ValueError(f"{run.info.run_name}: recorded no {name}; run it again")
    with tempfile.TemporaryDirectory() as folder:
        path = client.download_artifacts(run.info.run_id, name, folder)
        content: dict[str, Any] = json.loads(Path(path).read_text("utf-8"))
    return content


def _read(path: Path) -> bytes:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; every bundle needs it")
    return path.read_bytes()


def _metadata(bundle: Path, evaluation: Mapping[str, Any]) -> dict[str, Any]:
    """The bundle's metadata, with the scores and the versions of the evaluation."""
    path = bundle / "configs" / "metadata.json"
    metadata: dict[str, Any] = json.loads(_read(path))
    found = {name: round(evaluation["test"][name]["mean"], 4) for name in METADATA_SCORES}
    told = metadata.get("eval_metrics", {})
    for name, value in told.items():
        if found.get(name) != value:
            raise ValueError(
                f"{path}: eval_metrics {name} is {value}, the evaluation has {found.get(name)}; "
                "take it out, packing writes it"
            )
    versions = evaluation["versions"]
    ran = {key: public_version(versions[name]) for key, name in VERSION_KEYS.items()}
    installed = installed_versions()
    needed = {name: it for name, it in installed.items() if name not in VERSION_KEYS.values()}
    return {**metadata, **ran, "required_packages_version": needed, "eval_metrics": found}


def _weights(model: TrainedModel) -> dict[str, bytes]:
    weights = {name: tensor.contiguous() for name, tensor in model.weights.items()}
    record = model.record.model_dump(include=RECORD_FIELDS, mode="json")
    return {
        "models/model.pt": model.path.read_bytes(),
        "models/model.safetensors": as_safetensors(weights),
        "models/model.json": _json(record),
    }


def _json(content: Mapping[str, Any]) -> bytes:
    return (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode()
