"""A plain install, without any extra, runs everything that needs none."""

import json
import subprocess
import sys

from pipeline.errors import EXTRAS
from tests.conftest import ROOT

ROOMS = ("dicom.", "federating.", "jobs.", "pacs.", "searching.", "serving.", "sharing.")
ENGINES = ("openvino_programs", "onnx_programs", "int8_compiler")
MODULES_OF_EXTRAS = (
    *(f"pipeline.{room}" for room in ROOMS),
    *(f"pipeline.inference.{module}" for module in ENGINES),
)
SCRIPT = """
import importlib, json, pkgutil
from tests.source.hide_extras import hide_extras
hide_extras()
import pipeline
failed = {}
for module in pkgutil.walk_packages(pipeline.__path__, "pipeline."):
    if module.name.endswith("__main__"):
        continue
    try:
        importlib.import_module(module.name)
    except ModuleNotFoundError as error:
        failed[module.name] = error.name
print(json.dumps(failed))
"""


def test_only_the_rooms_of_an_extra_import_its_packages():
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=ROOT, capture_output=True, text=True, check=True
    )
    failed = json.loads(done.stdout.splitlines()[-1])
    wrong = [name for name in failed if not name.startswith(MODULES_OF_EXTRAS)]
    assert not wrong, failed
    tops = {name.partition(".")[0] for name in failed.values()}
    assert tops <= set(EXTRAS), tops
