"""The state of a training on disk: the newest one, the one before it, and whether it ended.

A state is a file of torch with the SHA-256 of its bytes as the comment of its zip archive, so that
a state of which a byte changed is seen, and ``torch.load`` still reads it. At every moment one
whole state exists.
"""

import hashlib
import io
import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.files import atomic, sync_file, sync_folder, write_json

STATE, PREVIOUS_STATE = "last.pt", "previous.pt"
"""The newest state of a run and the one before it; too large and too short-lived for artefacts."""
FINISHED = "finished.json"
"""Written beside the states when the model is published and recorded."""
DIGITS = 64
"""Hexadecimal digits of the hash."""
COMMENT_LENGTH = struct.Struct("<H")
"""Length of the comment, the last field of a zip archive before the comment itself."""
END_BYTES = 22
"""Length of the end of a zip archive without a comment."""
END_OF_ARCHIVE = b"PK\x05\x06"

StateContent = dict[str, Any]


class DamagedStateError(ValueError):
    """A state that was cut off or changed, or cannot be read."""


def has_state(folder: Path) -> bool:
    """Whether a folder has a state to go on from, the newest or the one before it."""
    return any((folder / name).is_file() for name in (STATE, PREVIOUS_STATE))


def write_state(folder: Path, content: Mapping[str, Any]) -> None:
    """Write a state, atomically; the newest before it becomes the previous one.

    Raises:
        OSError: there is no room, or the folder cannot be written.
    """
    last = folder / STATE
    with atomic(last) as temporary:
        temporary.write_bytes(seal(_serialise(content)))
        sync_file(temporary)
        if last.is_file():
            last.replace(folder / PREVIOUS_STATE)
    sync_folder(folder)


def read_state(path: Path) -> StateContent:
    """Read a state; see :func:`read_whole_state`."""
    return read_whole_state(path)[1]


def read_whole_state(path: Path) -> tuple[Path, StateContent]:
    """Read a state; where it is damaged or absent, the one beside it, which is printed.

    Nothing in it is executed.

    Args:
        path: ``last.pt`` or ``previous.pt``.

    Returns:
        The file that was read, and its content.

    Raises:
        FileNotFoundError: there is none.
        ValueError: none is whole.
    """
    others = [path.with_name(name) for name in (STATE, PREVIOUS_STATE)]
    candidates = [one for one in dict.fromkeys([path, *others]) if one.is_file()]
    if not candidates:
        raise FileNotFoundError(f"{path}: no such state of a training; give a run that has one")
    reasons = []
    for candidate in candidates:
        try:
            state = _read(candidate)
        except DamagedStateError as error:
            reasons.append(str(error))
            continue
        if candidate != path:
            reason = "; ".join(reasons) or f"{path}: absent"
            epoch = state.get("trainer", {}).get("epoch")
            print(f"{reason}; goes on from {candidate.name}, of epoch {epoch}", flush=True)
        return candidate, state
    raise ValueError(f"{'; '.join(reasons)}; restore it from a copy, or begin a new training")


def remove_damaged_states(folder: Path) -> None:
    """Remove states that are damaged, so that none becomes the previous one in place of a whole."""
    for path in (folder / STATE, folder / PREVIOUS_STATE):
        if path.is_file():
            try:
                unseal(path.read_bytes())
            except DamagedStateError:
                path.unlink()


def seal(content: bytes) -> bytes:
    """Return a zip archive with the SHA-256 of its bytes as comment.

    Example:
        >>> import torch, io
        >>> buffer = io.BytesIO()
        >>> torch.save({"a": 1}, buffer)
        >>> unseal(seal(buffer.getvalue())) == buffer.getvalue()
        True
    """
    digest = hashlib.sha256(content).hexdigest().encode()
    return content[: -COMMENT_LENGTH.size] + COMMENT_LENGTH.pack(DIGITS) + digest


def unseal(sealed: bytes) -> bytes:
    """Return the archive that :func:`seal` sealed.

    Raises:
        DamagedStateError: a byte of it changed, or it was never sealed.
    """
    content = sealed[: -DIGITS - COMMENT_LENGTH.size] + COMMENT_LENGTH.pack(0)
    if seal(content) != sealed:
        raise DamagedStateError("damaged")
    return content


def newest_states(models: Path) -> list[Path]:
    """Return the states of the runs below a folder of models that are not finished, newest last.

    Runs of a version that did not seal its states are left out: they cannot be resumed.
    """
    folders = {path.parent for name in (STATE, PREVIOUS_STATE) for path in models.glob(f"*/{name}")}
    unfinished = [
        folder
        for folder in folders
        if not (folder / FINISHED).is_file() and not _is_unsealed(folder / STATE)
    ]
    return sorted((folder / STATE for folder in unfinished), key=_time)


def mark_finished(folder: Path, content: Mapping[str, Any]) -> None:
    """Say that a training is over: its model is published, and the tracking store has it."""
    write_json(folder / FINISHED, dict(content), durable=True)


def read_finished(folder: Path) -> dict[str, Any] | None:
    """Return what :func:`mark_finished` wrote; None: the training is not over."""
    path = folder / FINISHED
    if not path.is_file():
        return None
    content: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return content


def _time(state: Path) -> float:
    return max(
        path.stat().st_mtime for path in (state, state.with_name(PREVIOUS_STATE)) if path.is_file()
    )


def _serialise(content: Mapping[str, Any]) -> bytes:
    import torch  # not at the top: a claim asks for a state's name only

    buffer = io.BytesIO()  # in memory: on a full disk torch's own writer hides the reason
    torch.save(dict(content), buffer)
    return buffer.getvalue()


def _read(path: Path) -> StateContent:
    import torch

    try:
        content = unseal(path.read_bytes())
        state: StateContent = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except OSError as error:
        raise DamagedStateError(f"{path}: cannot be read ({error.strerror})") from None
    except MemoryError:
        raise
    except Exception:  # a broken pickle may raise any exception
        reason = "of an older version" if _is_unsealed(path) else "cut off or changed"
        raise DamagedStateError(f"{path}: {reason}, or not a {STATE}") from None
    return state


def _is_unsealed(path: Path) -> bool:
    """Whether a file is an archive without a comment, as a state was before states were sealed."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - END_BYTES))
        end = file.read()
    return end.startswith(END_OF_ARCHIVE) and end.endswith(COMMENT_LENGTH.pack(0))
