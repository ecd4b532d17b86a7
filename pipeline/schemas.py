"""Reading JSON that the project itself wrote, and YAML of its users; else refused in one line."""

from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

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
    value = "" if first["type"] == "missing" else f"found {str(first['input'])[:60]!r}; "
    return f"{where}: {value}{first['msg']}"
