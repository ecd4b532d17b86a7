"""A filter of FLARE's server that writes down the outline of each message from a site."""

import json
from pathlib import Path

from nvflare.apis.filter import Filter


class RecordMessages(Filter):
    """Write each result of a site as a line of JSON: an array as its dtype and shape.

    Beside it stands the share of values that are 0, of all arrays together.

    Args:
        path: of the file.
    """

    def __init__(self, path: str):
        super().__init__()
        self.path = path

    def process(self, shareable, fl_ctx):
        with Path(self.path).open("a") as file:
            line = {"message": outline(shareable), "zeros": share_of_zeros(shareable)}
            file.write(json.dumps(line) + "\n")
        return shareable


def share_of_zeros(value):
    found = list(arrays(value))
    return sum(int((one == 0).sum()) for one in found) / max(1, sum(one.size for one in found))


def arrays(value):
    if isinstance(value, dict):
        for item in value.values():
            yield from arrays(item)
    elif hasattr(value, "dtype") and hasattr(value, "shape") and value.shape != ():
        yield value


def outline(value):
    if isinstance(value, dict):
        return {str(key): outline(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [outline(item) for item in value]
    if hasattr(value, "dtype") and hasattr(value, "shape") and value.shape != ():
        return f"{value.dtype} {list(value.shape)}"
    return value if isinstance(value, (str, int, float, type(None))) else repr(value)
