"""The packed bundle as a version in MLflow's model registry."""

from pathlib import Path

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

ALIAS = "packed"
"""The newest version that was packed."""


def register(client: MlflowClient, name: str, run: str, archive: Path, digest: str) -> str:
    """Register a packed bundle; return the number of its version.

    An archive that is registered already, by its hash, is not registered again.

    Args:
        client: of the tracking store.
        name: of the bundle.
        run: id of the training.
        archive: the packed bundle.
        digest: its SHA-256.
    """
    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    known = client.search_model_versions(f"name = '{name}'")
    same = [each for each in known if each.tags.get("sha256") == digest]
    version = (same or [None])[0] or client.create_model_version(
        name, archive.as_uri(), run, tags={"sha256": digest}
    )
    client.set_registered_model_alias(name, ALIAS, version.version)
    return str(version.version)
