"""What a site says of itself: where its cohort is. Nothing of it comes from the server."""

import os
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from pipeline.schemas import read_settings_of, read_yaml

SITES = "UNET_SCHOOL_SITES"
"""Environment variable: the folder of the sites' settings, ``NAME.yaml`` for each on this machine.

A real site has one such file."""
EXAMPLE = "docs/federated.md"
REMEDY = f"{EXAMPLE} has an example"


class SiteSettings(BaseModel):
    """The settings of a site.

    Attributes:
        data: folder of its prepared cohort.
        out: folder for the bundle that the server sends, and for :attr:`models`.
        tracking: folder of its tracking store.
        policy: YAML file, its policy for received bundles; None: the strict one.
        parent: id of the MLflow run that its training belongs to; None: of none.
        resume: state of an interrupted training to go on from; None: begin anew.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    data: Path
    out: Path
    tracking: Path
    policy: Path | None = None
    parent: str | None = None
    resume: Path | None = None

    @property
    def models(self) -> Path:
        """Folder of the models."""
        return self.out / "models"


def read_site(name: str) -> SiteSettings:
    """Read the settings of a site on this machine.

    Raises:
        FileNotFoundError: it has none.
        ValueError: the environment names no folder, or a setting is none.
    """
    folder = os.environ.get(SITES)
    if folder is None:
        raise ValueError(f"{SITES}: not set; expected the folder with {name}.yaml; {REMEDY}")
    path = Path(folder) / f"{name}.yaml"
    content = read_yaml(path, EXAMPLE, "write data: DIR, out: DIR and tracking: DIR")
    return read_settings_of(path, SiteSettings, content, REMEDY)
