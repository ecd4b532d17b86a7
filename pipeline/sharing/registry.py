"""Register packed bundles as versions in MLflow's model registry."""

from pathlib import Path

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

ALIAS = "packed"
"""Alias of the version that was packed last."""


def register(client: MlflowClient, name: str, run: str, archive: Path, digest: str) -> str:
    """Register a packed bundle; return its version number.

    An archive with a registered hash keeps its version.

    Args:
        client: the tracking store's client.
        name: the bundle's name.
        run: the id of the training run.
        archive: the packed bundle.
        digest: the archive's SHA-256.
    """
    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    registered = client.search_model_versions(f"name = '{name}'")
    same = [version for version in registered if version.tags.get("sha256") == digest]
    version = (same or [None])[0] or client.create_model_version(
        name, archive.as_uri(), run, tags={"sha256": digest}
    )
    client.set_registered_model_alias(name, ALIAS, version.version)
    return str(version.version)
