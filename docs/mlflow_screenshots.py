"""Take the screenshots of docs/mlflow.md: python docs/mlflow_screenshots.py --tracking mlruns

A server of MLflow is started on the store, Chromium opens each page without a window, and both are
ended. The store must have what the pages show: a comparison of networks, and the papers' runs.
"""

import argparse
import shutil
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from mlflow import MlflowClient

from pipeline.tracking.connection import DATABASE
from pipeline.tracking.store import open_store
from pipeline.tracking.ui import (
    HOST,
    KIND,
    free_port,
    keep_view,
    page_address,
    server_command,
    shown_experiment,
)

DOCS = Path(__file__).parent
SIZE = "2300,620"
SECONDS = 600
RENDER_MILLISECONDS = 60_000
"""Time that a page gets to load its runs before it is taken."""


def pages(client: MlflowClient, server: str, bundle: str) -> Mapping[str, str]:
    """Return the address of each picture, by its file name."""
    experiment = shown_experiment(client, bundle)
    keep_view(client, experiment)
    number = experiment.experiment_id
    return {
        "mlflow_runs.png": page_address(server, number),
        "mlflow_models.png": f"{server}/#/experiments/{number}/models?workflowType={KIND}",
    }


@contextmanager
def running_server(store: Path) -> Iterator[str]:
    """Start MLflow on a store, and end it."""
    port = free_port(5000)
    with subprocess.Popen(server_command(store, port)) as process:
        server = f"http://{HOST}:{port}"
        try:
            wait_for(f"{server}/health")
            yield server
        finally:
            process.terminate()


def wait_for(address: str) -> None:
    """Wait until a page answers.

    Raises:
        TimeoutError: it does not.
    """
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        try:
            with urllib.request.urlopen(address, timeout=5):
                return
        except OSError:
            time.sleep(1)
    raise TimeoutError(f"{address}: no answer in {SECONDS} s")


def take(browser: str, address: str, path: Path) -> None:
    """Take a picture of a page."""
    with tempfile.TemporaryDirectory() as profile:
        words = [
            browser, "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
            f"--user-data-dir={profile}", f"--window-size={SIZE}",
            f"--virtual-time-budget={RENDER_MILLISECONDS}", f"--screenshot={path}", address,
        ]  # fmt: skip
        subprocess.run(words, check=True, timeout=SECONDS, capture_output=True)


def main() -> None:
    """Take all pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tracking", type=Path, default=Path("mlruns"))
    parser.add_argument("--bundle", default="membranes")
    parser.add_argument("--out", type=Path, default=DOCS)
    options = parser.parse_args()
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        raise SystemExit("chromium: not installed; apt-get install chromium")
    client = open_store(options.tracking)
    print(f"store       {options.tracking / DATABASE}")
    with running_server(options.tracking) as server:
        for name, address in pages(client, server, options.bundle).items():
            take(browser, address, options.out / name)
            print(f"picture     {options.out / name}", flush=True)


if __name__ == "__main__":
    main()
