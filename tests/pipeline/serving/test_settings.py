"""Values of the command that would be wrong in silence."""

import pytest

from pipeline.serving.settings import ServeSettings


@pytest.mark.parametrize(
    ("setting", "line"),
    [
        ({"waiting": 0}, "--waiting 0: expected 1 or more"),
        ({"upload_mb": 0}, "--upload-mb 0: expected more than 0"),
        ({"port": 65536}, "--port 65536: expected 0 to 65535"),
        ({"origins": ("http://localhost:3000/",)}, "--origin http://localhost:3000/: expected"),
        ({"origins": ("*",)}, r"--origin \*: expected scheme, name and port"),
    ],
)
def test_a_value_out_of_its_range_is_refused(setting, line):
    with pytest.raises(ValueError, match=f"^{line}"):
        ServeSettings(**setting)
