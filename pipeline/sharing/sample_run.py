"""Run a received bundle on its sample, and compare the result, both in the sandbox."""

import shutil
import sys
import tempfile
from pathlib import Path

from pipeline.inference.engine import PLAIN
from pipeline.sharing.archive import RefusedError
from pipeline.sharing.isolation import Isolation
from pipeline.sharing.limits import Limits
from pipeline.sharing.sample import EXACT_BITS
from pipeline.sharing.sample_comparison import read_comparison
from pipeline.sharing.sample_results import SampleAgreement, sample_image
from pipeline.sharing.sandbox import default_limits, run_sandboxed

OFFLINE_RUN = """
import runpy, socket, sys
from pipeline.bundle.command_line import begin
def refuse(*_, **__):
    raise OSError("a received bundle asked for the network")
socket.socket.connect = socket.socket.connect_ex = socket.create_connection = refuse
begin()
sys.argv = ["monai.bundle", *sys.argv[1:]]
runpy.run_module("monai.bundle", run_name="__main__")
"""
"""Program that runs a bundle in a process which, also without a sandbox, opens no connection."""
COMPARISON = ["-P", "-W", "ignore", "-m", "pipeline.sharing.sample_comparison"]
CANNOT_RUN = "the bundle does not run on this machine"
CANNOT_COMPARE = "its results cannot be compared"


def run_sample(bundle: Path, isolation: Isolation, limits: Limits | None = None) -> SampleAgreement:
    """Run a bundle's inference on its sample, on the CPU, and compare the result.

    The comparison is a process of its own, which runs nothing of the bundle.

    Args:
        bundle: folder of the bundle.
        isolation: of both processes.
        limits: of each; None: see :func:`pipeline.sharing.sandbox.default_limits`.

    Raises:
        RefusedError: the run failed or exceeded a limit, or its results cannot be compared.
    """
    bundle, limits = bundle.resolve(), limits or default_limits()
    image = sample_image(bundle / "sample")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary).resolve()
        images, run, comparison = (folder / name for name in ("images", "run", "comparison"))
        for made in (images, run, comparison):
            made.mkdir()
        shutil.copy(image, images)
        command = _inference(bundle, images, run / "out")
        outcome = run_sandboxed(command, isolation, limits, [bundle, images], run)
        if outcome.reason:
            # an image that failed is named in what is printed, not among the errors
            raise RefusedError(image.name, outcome.reason, CANNOT_RUN)
        command = [sys.executable, *COMPARISON, str(bundle / "sample"), str(run / "out")]
        outcome = run_sandboxed(command, isolation, limits, [bundle, run], comparison)
        if outcome.reason:
            raise RefusedError("sample", outcome.reason, CANNOT_COMPARE)
        return read_comparison(outcome.printed)


def _inference(bundle: Path, images: Path, out: Path) -> list[str]:
    config = bundle / "configs" / "inference.yaml"
    places = {"config_file": config, "image_dir": images, "output_dir": out}
    settings = {**places, "device": "cpu", "engine": PLAIN, "probabilities": EXACT_BITS}
    arguments = [text for key, value in settings.items() for text in (f"--{key}", str(value))]
    return [sys.executable, "-W", "ignore", "-c", OFFLINE_RUN, "run", "inferring", *arguments]
