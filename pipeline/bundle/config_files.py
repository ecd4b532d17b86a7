"""Reading configs, each file once for as long as it does not change."""

import copy
from functools import lru_cache
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser
from monai.config import PathLike


class ConfigFiles(ConfigParser):
    """MONAI's reading of config files; a run reads the same ones several times.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "train.yaml"
        >>> _ = path.write_text("seed: 1")
        >>> ConfigFiles.load_config_files([str(path)])
        {'seed': 1}
    """

    @classmethod
    def load_config_file(cls, filepath: PathLike, **kwargs: Any) -> dict[str, Any]:
        """Return the content of a file."""
        path = Path(filepath)
        if kwargs or not path.is_file():  # MONAI says what is wrong with it
            content: dict[str, Any] = super().load_config_file(filepath, **kwargs)
            return content
        status = path.stat()
        return copy.deepcopy(_content(path.resolve(), status.st_mtime_ns, status.st_size))


@lru_cache(maxsize=64)
def _content(path: Path, _modified: int, _bytes: int) -> dict[str, Any]:
    content: dict[str, Any] = ConfigParser.load_config_file(path)
    return content
