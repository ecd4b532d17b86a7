"""A bundle that was received: what is known of it, and which places its config may name.

Whoever writes a config decides what is read and written where it points. The config of a received
bundle is a sender's: each path that it makes must lie in the bundle, or below what the user named
(on the command line, or in an overlay of the user's own). It is decided when the path is used, not
by its text. Own bundles have no such limit.
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pydantic import BaseModel, ConfigDict

from pipeline.bundle.knobs import is_path_knob
from pipeline.imports import MONAI
from pipeline.schemas import read_schema

if TYPE_CHECKING:
    from monai.bundle import ConfigWorkflow

RECEIVED = "received.json"
"""File in the folder of a bundle that ``unet-school receive`` accepted."""
PLACES = (
    "dataset_dir", "models_dir", "tracking_dir", "init_from", "reference_dir", "unlabelled_dir",
    "teachers",
)  # fmt: skip
"""Keys of the places that the state of a training holds."""


class ReceivedRecord(BaseModel):
    """From whom, when and as what a bundle was received.

    Attributes:
        sender: name of the sender, and fingerprint of its key.
        archive_sha256: hash of the archive.
        manifest_sha256: hash of the signed manifest.
        received: time, with its zone.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    sender: str
    archive_sha256: str
    manifest_sha256: str
    received: str


def is_of_job(bundle: Path) -> bool:
    """Whether a bundle came from the server of a federated training, and serves it alone.

    It has no source, unlike a packed one; what its site trains is evaluated by the site's own copy.
    """
    return (bundle / RECEIVED).is_file() and not (bundle / "pipeline").is_dir()


class Containment(NamedTuple):
    """The places that a bundle may read and write.

    Attributes:
        bundle: folder of the received bundle; None: an own one, which has no limit.
        given: what the user named.
    """

    bundle: Path | None = None
    given: tuple[Path, ...] = ()

    def contained(self, path: str | Path, setting: str) -> Path:
        """Return a path that may be read or written; one of a received bundle is absolute.

        Args:
            path: that the config made.
            setting: that names it, for the message.

        Raises:
            ValueError: it lies outside, links followed.

        Example:
            >>> Containment().contained("anywhere", "--output_dir")
            PosixPath('anywhere')
        """
        if self.bundle is None:
            return Path(path)
        absolute = _absolute(path)
        own = absolute.resolve().is_relative_to(self.bundle)
        # links that lie in a user's own folder are the user's
        if own or any(absolute.is_relative_to(place) for place in self.given):
            return absolute
        raise ValueError(
            f"{setting}: found {absolute}, outside the received bundle {self.bundle}; give the "
            "place yourself, on the command line"
        )

    def record(self) -> ReceivedRecord | None:
        """Return what is known of the received bundle; None: an own one."""
        return None if self.bundle is None else read_received(self.bundle)


def read_received(bundle: Path) -> ReceivedRecord:
    """Read the record of a received bundle.

    Raises:
        FileNotFoundError: there is none.
        ValueError: not a record.
    """
    return read_schema(bundle / RECEIVED, ReceivedRecord, "receive the bundle again")


def containment() -> Containment:
    """Return the limits of the bundle that is making the caller; outside a run there are none."""
    if MONAI not in sys.modules:  # so no workflow is running
        return Containment()
    from pipeline.bundle.workflow import current_workflow

    workflow = current_workflow()
    if workflow is None:
        return Containment()
    bundle = Path(workflow.config_root_path).resolve().parent
    if not (bundle / RECEIVED).exists():
        return Containment()
    return Containment(bundle, tuple(_given(workflow, bundle)))


def contained(path: str | Path, setting: str) -> Path:
    """Return a path that the running bundle may use, see :meth:`Containment.contained`."""
    return containment().contained(path, setting)


def _given(workflow: "ConfigWorkflow", bundle: Path) -> Iterator[Path]:
    """The places that the user typed, or set in an own overlay, now or when a training began.

    An archive holds no state of a training, so that one is of this machine.
    """
    from pipeline.bundle.config_files import ConfigFiles
    from pipeline.bundle.workflow import RESTORED, typed_values

    files, overrides = typed_values(workflow)
    own = [file for file in files if not Path(file).resolve().is_relative_to(bundle)]
    keys = {*overrides, *(key for file in own for key in ConfigFiles.load_config_file(file))}
    if workflow in RESTORED:
        keys |= {*PLACES, "output_dir"}
    for key in sorted(filter(is_path_knob, keys)):
        value = workflow.parser.get(key)
        if isinstance(value, str | Path) and str(value)[:1] not in "$@%":
            yield from (_absolute(value), _absolute(value).resolve())


def _absolute(path: str | Path) -> Path:
    """A path without ``..``, links not followed."""
    return Path(os.path.abspath(path))  # noqa: PTH100  resolve() would follow them
