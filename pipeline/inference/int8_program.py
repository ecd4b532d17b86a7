"""A network in integers of 8 bits, as a file beside its weights.

Its scales come from training images, which are not there where a model is used: an evaluation makes
the program, measures it, and keeps it. It holds no image. A packed bundle leaves it out, since
OpenVINO's parser should not read a file of another site: the receiver's evaluation makes its own.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from pipeline.files import atomic


def int8_path(model: Path) -> Path:
    """Return where the program of a model lies.

    Example:
        >>> int8_path(Path("models/model.pt")).as_posix()
        'models/model.int8.zip'
    """
    return model.with_suffix(".int8.zip")


@dataclass(frozen=True)
class Int8Program:
    """The bytes of a program, see :func:`pipeline.inference.int8_compiler.quantise`."""

    content: bytes

    @property
    def sha256(self) -> str:
        """The hash by which the record of a model names it."""
        return hashlib.sha256(self.content).hexdigest()

    @classmethod
    def read(cls, model: Path, sha256: str) -> "Int8Program":
        """Read the program that an evaluation measured.

        Args:
            model: its weights.
            sha256: of that program.

        Raises:
            ValueError: there is none, or another one.
        """
        path = int8_path(model)
        remedy = "evaluate again, which makes it, or take engine=float32"
        if not path.is_file():
            raise ValueError(f"{path}: no such file, and openvino_int8 needs it; {remedy}")
        program = cls(path.read_bytes())
        if program.sha256 != sha256:
            raise ValueError(f"{path}: not the program that the evaluation measured; {remedy}")
        return program

    def write(self, model: Path) -> None:
        """Keep the program beside weights.

        Raises:
            OSError: there is no room, or the folder cannot be written.
        """
        with atomic(int8_path(model), durable=True) as temporary:
            temporary.write_bytes(self.content)
