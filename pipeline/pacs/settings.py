"""``pacs.yaml``: the peers, what is taken from them, and the bounds of what is received."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    field_validator,
    model_validator,
)
from pydicom.datadict import tag_for_keyword

from pipeline.bundle.dicom_kinds import DicomKind, DicomSeg
from pipeline.schemas import read_settings_of, read_yaml

SECRET_KEY = re.compile(r"^(pass(word|wd)?|token|secret|user(name)?|credentials?)$", re.IGNORECASE)
"""Keys under which somebody might write a secret."""
SECRET_IN_URL = re.compile(r"://[^/]*@")
LOOPBACK = {"127.0.0.1", "localhost", "::1"}
MEGABYTE = 10**6
EXAMPLE = "docs/how_to/pacs.md"
REMEDY = f"mend it; {EXAMPLE} has an example"

Title = Annotated[str, StringConstraints(pattern=r"\A[!-\[\]-~][ -\[\]-~]{0,14}[!-\[\]-~]?\z")]
"""An application entity title: 1 to 16 characters."""
Variable = Annotated[str, StringConstraints(pattern=r"\A[A-Za-z_][A-Za-z0-9_]*\z")]
"""Name of an environment variable."""
Port = Annotated[int, Field(ge=1, le=65535)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]


class Part(BaseModel):
    """A part of the file; a key that it does not know is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Tls(Part):
    """Certificates of a connection.

    Attributes:
        authority: certificates that the other side's is signed by; None: those of the system.
        certificate: own certificate, with those above it.
        key: its private key.
        key_password_variable: environment variable that holds the password of the key.
    """

    authority: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    key_password_variable: Variable | None = None

    @model_validator(mode="after")
    def _both(self) -> "Tls":
        if (self.certificate is None) != (self.key is None):
            raise ValueError("expected certificate and key, or neither")
        return self


class WebPeer(Part):
    """A peer that speaks DICOMweb.

    Attributes:
        url: root of its QIDO, WADO and STOW services.
        user_variable: environment variable that holds the user's name.
        password_variable: environment variable that holds the password.
        token_variable: environment variable that holds a bearer token.
        tls: certificates.
        timeout_seconds: longest wait for an answer.
    """

    protocol: Literal["dicomweb"]
    url: str
    user_variable: Variable | None = None
    password_variable: Variable | None = None
    token_variable: Variable | None = None
    tls: Tls = Tls()
    timeout_seconds: Positive = 60

    @model_validator(mode="after")
    def _safe(self) -> "WebPeer":
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("url: expected https://HOST/PATH")
        if (self.user_variable is None) != (self.password_variable is None):
            raise ValueError("expected user_variable and password_variable, or neither")
        secret = self.password_variable or self.token_variable
        if secret and parts.scheme == "http" and parts.hostname not in LOOPBACK:
            raise ValueError("url: expected https, since http would send the password readable")
        return self


class DimsePeer(Part):
    """A peer that speaks DICOM's own protocol.

    Attributes:
        aet: its application entity title.
        host: its name or address; what it sends must come from there.
        port: of its service.
        retrieve: how a study is asked for: over the same connection (get), or sent to ``listen``
            (move).
        tls: certificates; None: the connection is not encrypted.
        timeout_seconds: longest wait for an answer.
    """

    protocol: Literal["dimse"]
    aet: Title
    host: str
    port: Port
    retrieve: Literal["get", "move"] = "get"
    tls: Tls | None = None
    timeout_seconds: Positive = 60


AnyPeer = Annotated[WebPeer | DimsePeer, Field(discriminator="protocol")]


class Listen(Part):
    """Where studies are received.

    Attributes:
        host: own address.
        port: own port.
        tls: own certificate, and the authority of the senders'; None: not encrypted.
        associations: largest number at a time.
    """

    host: str = "127.0.0.1"
    port: Port = 11112
    tls: Tls | None = None
    associations: Count = 10

    @field_validator("tls")
    @classmethod
    def _own(cls, tls: Tls | None) -> Tls | None:
        if tls is not None and tls.certificate is None:
            raise ValueError("expected certificate and key of this machine")
        return tls


class Watch(Part):
    """Which studies are segmented, and where the results go.

    Attributes:
        results: peer that the results are stored in.
        poll: peer that is asked for new studies; None: only those that are sent.
        where: what they must match, by keyword: ``ModalitiesInStudy: CT``.
        newest_days: age of the oldest study that is asked for; 1: those of today.
        every_seconds: pause between two questions.
        quiet_seconds: a study is complete when nothing of it came for so long.
        count_from: peer that knows how many instances a study that is sent has; when all have
            come, it is complete.
    """

    results: str
    poll: str | None = None
    where: dict[str, str] = {}
    newest_days: Count = 2
    every_seconds: Positive = 60
    quiet_seconds: Positive = 60
    count_from: str | None = None

    @field_validator("where")
    @classmethod
    def _keywords(cls, where: dict[str, str]) -> dict[str, str]:
        for keyword in where:
            check_keyword(keyword)
        return where


class Limits(Part):
    """Bounds of what is received.

    Attributes:
        instance_mb: of one instance.
        study_mb: of one study.
        study_instances: of one study.
        studies: that a question may find.
        free_mb: that stay free on the disk.
    """

    instance_mb: Positive = 512
    study_mb: Positive = 4096
    study_instances: Count = 5000
    studies: Count = 1000
    free_mb: Annotated[float, Field(ge=0)] = 512

    @property
    def instance_bytes(self) -> int:
        """Largest number of bytes of one instance."""
        return int(self.instance_mb * MEGABYTE)

    @property
    def study_bytes(self) -> int:
        """Largest number of bytes of one study."""
        return int(self.study_mb * MEGABYTE)


class Retries(Part):
    """How often something is tried when the network fails, and the pauses, each twice the last.

    Attributes:
        attempts: largest number.
        first_seconds: first pause.
        longest_seconds: longest pause.
    """

    attempts: Count = 12
    first_seconds: Positive = 2
    longest_seconds: Positive = 600


class Keep(Part):
    """What stays on this machine of a study that is done; of a failed one everything does.

    Attributes:
        images: the received images.
        results: what inference wrote.
    """

    images: bool = False
    results: bool = False


class Settings(Part):
    """The content of ``pacs.yaml``.

    Attributes:
        folder: of the table, the received studies and the results; relative to the file.
        aet: own application entity title.
        bundle: that segments; relative to the file.
        series: which series of a study are segmented, as ``infer --series`` takes it; None: all.
        dicom: kinds of results, as ``infer --dicom`` takes them.
        dicom_seg: what a segmentation holds, as ``infer --dicom-seg`` takes it; None: what the
            bundle says.
        peers: those that are accepted, by a name of your choice.
        listen: where studies are received; None: nowhere.
        watch: what ``watch`` does; None: nothing.
        limits: of what is received.
        retries: when the network fails.
        keep: what stays of a study that is done.
    """

    folder: Path
    aet: Title = "UNET_SCHOOL"
    bundle: Path | None = None
    series: str | None = None
    dicom: Annotated[tuple[DicomKind, ...], Field(min_length=1)] = ("seg",)
    dicom_seg: DicomSeg | None = None
    peers: dict[str, AnyPeer]
    listen: Listen | None = None
    watch: Watch | None = None
    limits: Limits = Limits()
    retries: Retries = Retries()
    keep: Keep = Keep()

    @model_validator(mode="after")
    def _names(self) -> "Settings":
        watch = self.watch
        for key in ("results", "poll", "count_from") if watch else ():
            name = getattr(watch, key)
            if name is not None and name not in self.peers:
                raise ValueError(f"watch#{key}: no peer {name!r}; peers: {', '.join(self.peers)}")
        if watch and watch.poll is None and self.listen is None:
            raise ValueError("watch: expected poll, or listen beside it; nothing would come")
        for name, peer in self.peers.items():
            if isinstance(peer, DimsePeer) and peer.retrieve == "move" and self.listen is None:
                raise ValueError(f"peers#{name}#retrieve: move needs listen, where studies come")
        return self


def read_settings(path: Path) -> Settings:
    """Read ``pacs.yaml``; its paths are relative to its folder.

    Raises:
        FileNotFoundError: no such file.
        ValueError: it is not YAML, or a key or value is not as expected; a secret that stands in
            it is not repeated.
    """
    content = read_yaml(path, EXAMPLE, REMEDY)
    for where in _secrets(content, ()):
        raise ValueError(
            f"{path}: {where}: a secret may not stand in this file; put it into an environment "
            "variable, and name that in user_variable, password_variable or token_variable"
        )
    settings = read_settings_of(path, Settings, content, REMEDY)
    return _with_paths(settings, path.parent)


def check_keyword(keyword: str) -> None:
    """Refuse what is no keyword of DICOM.

    Raises:
        ValueError: no such keyword.

    Example:
        >>> check_keyword("PatientID")
    """
    if tag_for_keyword(keyword) is None:
        raise ValueError(f"{keyword}: no keyword of DICOM; expected one such as PatientID")


def _secrets(content: Any, where: tuple[str, ...]) -> Iterator[str]:
    """Yield the keys whose value may be a secret."""
    if isinstance(content, dict):
        for key, value in content.items():
            place = (*where, str(key))
            if SECRET_KEY.match(str(key)):
                yield "#".join(place)
            yield from _secrets(value, place)
    elif isinstance(content, str) and SECRET_IN_URL.search(content):
        yield "#".join(where)


def _with_paths(settings: Settings, folder: Path) -> Settings:
    """Return the settings with the paths of files and folders from the working directory."""
    return Settings.model_validate(_rooted(settings.model_dump(), folder))


def _rooted(content: Any, folder: Path) -> Any:
    if isinstance(content, dict):
        return {key: _rooted(value, folder) for key, value in content.items()}
    return folder / content if isinstance(content, Path) else content
