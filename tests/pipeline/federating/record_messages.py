"""A filter of FLARE's server that writes down the shape of each message from a site."""

import json
from pathlib import Path

from nvflare.apis.filter import Filter


class RecordMessages(Filter):
    """Write each result of a site as a line of JSON: an array as its dtype and shape.

    Args:
        path: of the file.
    """

    def __init__(self, path: str):
        super().__init__()
        self.path = path

    def process(self, shareable, fl_ctx):
        with Path(self.path).open("a") as file:
            file.write(json.dumps(outline(shareable)) + "\n")
        return shareable


def outline(value):
    if isinstance(value, dict):
        return {str(key): outline(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [outline(item) for item in value]
    if hasattr(value, "dtype") and hasattr(value, "shape") and value.shape != ():
        return f"{value.dtype} {list(value.shape)}"
    return value if isinstance(value, (str, int, float, type(None))) else repr(value)
