"""What a site allows a received bundle to do."""

from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictStr, ValidationError

from pipeline.schemas import first_error
from pipeline.sharing.archive import MEGABYTE, Limits
from pipeline.sharing.expressions import AllowedNames
from pipeline.sharing.parsing import strict_yaml

DEFAULT_POLICY = "policy.yaml"


def _require_list(value: Any) -> Any:
    if not isinstance(value, list):
        raise ValueError("expected a list of names")
    return value


Names = Annotated[frozenset[StrictStr], BeforeValidator(_require_list)]
Count = Annotated[int, Field(strict=True, ge=1)]


class PolicyLimits(BaseModel):
    """The largest sizes that a site accepts.

    Attributes:
        files: number of files in the archive.
        file_megabytes: size of one file.
        megabytes: size of all files.
        parameters: number of values in all weights together.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    files: Count
    file_megabytes: Count
    megabytes: Count
    parameters: Count


class Policy(BaseModel):
    """A policy, with the keys of its YAML file.

    Attributes:
        targets: whole names that ``_target_`` may have.
        names: see :class:`pipeline.sharing.expressions.AllowedNames`; so for the next three.
        limits: the largest sizes.
        trusted_source: hashes of source trees, see :func:`pipeline.sharing.source.tree_sha256`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    targets: Names
    names: Names
    methods: Names
    attributes: Names
    paths: Names
    limits: PolicyLimits
    trusted_source: Names

    @property
    def allowed(self) -> AllowedNames:
        """What an expression may use."""
        return AllowedNames(self.names, self.methods, self.attributes, self.paths)

    @property
    def archive_limits(self) -> Limits:
        """The limits of an archive, in bytes."""
        limits = self.limits
        return Limits(
            files=limits.files,
            file_bytes=limits.file_megabytes * MEGABYTE,
            total_bytes=limits.megabytes * MEGABYTE,
        )


def read_policy(path: Path | None = None) -> Policy:
    """Read a policy file.

    Args:
        path: the site's file; None: the default, which accepts what our own bundles need.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a key is unknown or missing, or its value has another type or is out of range.

    Example:
        >>> "torch.optim.Adam" in read_policy().targets, "os.system" in read_policy().targets
        (True, False)
    """
    if path is not None and not path.is_file():
        raise FileNotFoundError(f"{path}: no such policy")
    file = path or files("pipeline.sharing").joinpath(DEFAULT_POLICY)
    place = str(path or DEFAULT_POLICY)
    try:
        return Policy.model_validate(strict_yaml(file.read_bytes(), place))
    except ValidationError as error:
        remedy = f"expected the keys and types of pipeline/sharing/{DEFAULT_POLICY}"
        raise ValueError(f"{place}: {first_error(error)}; {remedy}") from None
