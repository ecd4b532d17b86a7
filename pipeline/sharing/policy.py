"""What a site allows a received bundle to do."""

from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictStr,
    ValidationError,
    model_validator,
)

from pipeline.schemas import first_error
from pipeline.sharing.archive import MEGABYTE, Limits
from pipeline.sharing.expressions import AllowedNames, is_evaluated
from pipeline.sharing.kinds import KINDS

DEFAULT_POLICY = "policy.yaml"
LIST_OF, OR = "list of ", " or "
"""Before a role: a list of its components; between two: of either."""
REQUIRED = "!"
"""After the name of an argument: it must be there."""


def _require_list(value: Any) -> Any:
    if not isinstance(value, list):
        raise ValueError("expected a list of names")
    return value


def _alternatives(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Names = Annotated[frozenset[StrictStr], BeforeValidator(_require_list)]
Accepted = Annotated[tuple[StrictStr, ...], BeforeValidator(_alternatives), Field(min_length=1)]
"""What a value may be: kinds, roles, lists of a role, or texts as they are."""
Arguments = dict[str, Accepted]
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
        keys: what each key of a package's values may hold.
        overlays: by config, the keys that it may have beside those of ``train``.
        targets: by role, the whole names that ``_target_`` may have, with their arguments.
        complete_sandbox: whether a sample may run only where a sandbox separates it from the
            machine.
        custom_configs: hashes of ``values.json`` that a person has read and accepted.
        names: see :class:`pipeline.sharing.expressions.AllowedNames`; so for the next three.
        limits: the largest sizes.
        trusted_source: hashes of source trees, see :func:`pipeline.sharing.source.tree_sha256`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    keys: dict[str, Accepted]
    overlays: dict[str, tuple[StrictStr, ...]]
    targets: dict[str, dict[str, Arguments]]
    complete_sandbox: StrictBool
    custom_configs: Names
    names: Names
    methods: Names
    attributes: Names
    paths: Names
    limits: PolicyLimits
    trusted_source: Names

    @model_validator(mode="after")
    def _check_alternatives(self) -> "Policy":
        """Refuse what is neither a kind nor a role nor a text for MONAI."""
        arguments = [a for role in self.targets.values() for a in role.values()]
        for accepted in (a for table in (self.keys, *arguments) for a in table.values()):
            for name in accepted:
                if not is_evaluated(name) and not {*roles_of(name)} <= {*KINDS, *self.targets}:
                    raise ValueError(f"{name}: neither a kind nor a role of targets")
        return self

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


def roles_of(name: str) -> list[str]:
    """Return the roles that an alternative names.

    Example:
        >>> roles_of("list of mask step or crop step"), roles_of("loss")
        (['mask step', 'crop step'], ['loss'])
    """
    is_list = name.startswith(LIST_OF)
    return name.removeprefix(LIST_OF).split(OR) if is_list else [name]


def read_policy(path: Path | None = None) -> Policy:
    """Read a policy file.

    Args:
        path: the site's file; None: the default, which accepts what our own bundles need.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a key is unknown or missing, or its value has another type or is out of range.

    Example:
        >>> sorted(read_policy().targets["reader"])
        ['pipeline.data.readers.PageReader', 'pipeline.data.volumes.VolumeReader']
    """
    if path is not None and not path.is_file():
        raise FileNotFoundError(f"{path}: no such policy")
    file = path or files("pipeline.sharing").joinpath(DEFAULT_POLICY)
    place = str(path or DEFAULT_POLICY)
    remedy = f"expected the keys and types of pipeline/sharing/{DEFAULT_POLICY}"
    try:
        return Policy.model_validate(yaml.safe_load(file.read_text("utf-8")))
    except ValidationError as error:
        raise ValueError(f"{place}: {first_error(error)}; {remedy}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{place}: {' '.join(str(error).split())}; {remedy}") from None
