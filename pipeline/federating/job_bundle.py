"""What a server sends to every site before a federated training: the bundle, as a package.

A site judges it as it judges any bundle of another hospital, before anything of it is unpacked.
"""

import json
import time
from pathlib import Path

import safetensors.torch
import torch
from monai.utils import set_determinism

from pipeline.bundle import Bundle
from pipeline.bundle.received import RECEIVED, ReceivedRecord
from pipeline.errors import few
from pipeline.files import sha256, write_json
from pipeline.inference.weights_hash import weights_sha256
from pipeline.provenance import git_commit, version_of
from pipeline.sharing.archive import open_archive, write_archive
from pipeline.sharing.audit import METADATA, MODEL_RECORD, audit
from pipeline.sharing.manifest import MANIFEST, make_manifest
from pipeline.sharing.packed_configs import packed_configs, packed_values
from pipeline.sharing.policy import Policy
from pipeline.sharing.unpack import SAFE_WEIGHTS, unpack
from pipeline.sharing.values import VALUES

JOB_BUNDLE = "bundle.zip"
"""Name of the package in a job of FLARE."""
UNCHANGED = ("LICENSE", METADATA)
"""Files that the package has as the bundle has them."""
VERSIONS = ("torch", "monai", "nvflare")


def write_job_bundle(bundle: Bundle, path: Path, seed: int) -> dict[str, torch.Tensor]:
    """Write a bundle as a package that sites judge, and return the first weights, which it holds.

    Args:
        bundle: with the overlays and overrides of the training.
        path: of the archive.
        seed: of the first weights.

    Raises:
        FileNotFoundError: the bundle lacks its licence or its metadata.
    """
    values = packed_values(bundle, bundle.config("training"), bundle.config("evaluating"))
    weights = {
        name: one.contiguous() for name, one in first_network(bundle, seed).state_dict().items()
    }
    content = {
        **{file: _read(bundle.folder / file) for file in UNCHANGED},
        VALUES: values.to_json(),
        **packed_configs(values),
        SAFE_WEIGHTS: safetensors.torch.save(weights),
        MODEL_RECORD: json.dumps({"sha256": weights_sha256(weights)}).encode(),
    }
    made = {
        "commit": git_commit(bundle.folder),
        "versions": {name: version_of(name) for name in VERSIONS},
        "mlflow_run": "none",
    }
    content[MANIFEST] = make_manifest(bundle.name, content, made)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_archive(path, bundle.name, content)
    return weights


def receive_job_bundle(path: Path, into: Path, policy: Policy, sender: str) -> Bundle:
    """Judge a package that a server sent, unpack it, and return its bundle.

    Its config is kept to its own folder and to what the site names, as that of any received
    bundle, see :mod:`pipeline.bundle.received`.

    Args:
        path: of the archive.
        into: where the folder of the bundle is made.
        policy: the site's own.
        sender: name of the job, for the record.

    Raises:
        ValueError: the site's policy refuses the package; nothing of it was unpacked.
    """
    report = audit(path, policy)
    if report.refusals:
        raise ValueError(
            f"{path.name}: refused, not unpacked: {few([str(one) for one in report.refusals])}; "
            "show it to the one who sent the job"
        )
    archive = open_archive(path, policy.archive_limits)
    folder = into / archive.name
    unpack(archive, folder)
    record = ReceivedRecord(
        sender=sender,
        archive_sha256=sha256(path),
        manifest_sha256=archive.sha256(MANIFEST),
        received=time.strftime("%Y-%m-%d %H:%M %Z"),
    )
    write_json(folder / RECEIVED, record.model_dump())
    return Bundle(folder)


def first_network(bundle: Bundle, seed: int) -> torch.nn.Module:
    """Return the network with the weights that the training begins with, drawn by the seed."""
    parser = bundle.with_overrides({"device": "cpu"}).parser("training")
    set_determinism(seed)
    network: torch.nn.Module = parser.get_parsed_content("network_def")
    return network


def _read(path: Path) -> bytes:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; every bundle needs it")
    return path.read_bytes()
