"""Reading JSON that the project itself wrote, and YAML of its users; else refused in one line."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError

from pipeline.errors import nearest

Schema = TypeVar("Schema", bound=BaseModel)


def read_schema(path: Path, schema: type[Schema], remedy: str) -> Schema:
    """Read a JSON file of a schema.

    Args:
        path: of the file.
        schema: that its content must have.
        remedy: what to do where the file is absent or of another form.

    Raises:
        FileNotFoundError: no such file.
        ValueError: its content is of another form; names the first key that is.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; {remedy}")
    try:
        return schema.model_validate_json(path.read_text("utf-8"))
    except ValidationError as error:
        raise ValueError(f"{path}: {first_error(error)}; {remedy}") from None


def read_yaml(path: Path, example: str, remedy: str) -> Any:
    """Read a YAML file that a user wrote.

    Args:
        path: of the file.
        example: page of the docs that has one.
        remedy: what to do where it is no YAML.

    Raises:
        FileNotFoundError: no such file.
        ValueError: it is not YAML; its content is not repeated, which may be a secret.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; {example} has an example")
    try:
        return yaml.safe_load(path.read_text("utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError):
        raise ValueError(f"{path}: not readable as YAML; {remedy}") from None


def read_settings_of(path: Path, schema: type[Schema], content: Any, remedy: str) -> Schema:
    """Return what a user's YAML says, as a schema whose keys are all known.

    Args:
        path: of the file, for the message.
        schema: that its content must have.
        content: of the file.
        remedy: what to do where it is of another form.

    Raises:
        ValueError: a key or value is not as expected; names it, and for an unknown key the nearest.
            The value of an unknown key may be a secret, and is not shown.
    """
    try:
        return schema.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        *place, key = first["loc"] or ("",)
        if first["type"] != "extra_forbidden":
            raise ValueError(f"{path}: {first_error(error)}; {remedy}") from None
        where, keys = "#".join(map(str, first["loc"])), _keys_at(schema, place)
        problem = f"{where}: no such key{nearest(str(key), keys)}"
        raise ValueError(f"{path}: {problem}; {remedy}") from None


def first_error(error: ValidationError) -> str:
    """Say in one line what a schema refuses: the key, and why.

    Example:
        >>> class Size(BaseModel):
        ...     rows: int
        >>> try:
        ...     Size(rows="many")
        ... except ValidationError as error:
        ...     first_error(error)
        "rows: found 'many'; Input should be a valid integer, unable to parse string as an integer"
    """
    first = error.errors()[0]
    where = "#".join(map(str, first["loc"])) or "content"
    if first["type"] == "value_error":  # of a validator of our own, which says the whole
        return f"{where}: {first['ctx']['error']}" if first["loc"] else str(first["ctx"]["error"])
    value = "" if first["type"] == "missing" else f"found {str(first['input'])[:60]!r}; "
    return f"{where}: {value}{first['msg']}"


def _keys_at(schema: type[BaseModel], place: Sequence[str | int]) -> list[str]:
    """Return the keys that a schema has at a place; where it has a choice, those of each."""
    parts = [schema]
    for step in place:
        fields = [part.model_fields[step] for part in parts if step in part.model_fields]
        if fields:  # else it is a name of the user, or says which of several schemas
            parts = [part for field in fields for part in _schemas_in(field.annotation)]
    return list(dict.fromkeys(key for part in parts for key in part.model_fields))


def _schemas_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _schemas_in(inner)
