"""A small bundle for the hippocampus, and a service of it at a free port of this machine."""

import contextlib
import shutil
import threading
import time

import pytest

from pipeline import cli
from pipeline.bundle import Bundle
from pipeline.inference.single import SingleInference
from pipeline.serving.app import make_app
from pipeline.serving.service import WORK, Service
from pipeline.serving.settings import ServeSettings
from pipeline.serving.training import Training
from pipeline.serving.users import read_users
from tests.bundles.kinds import PATCHES, SMALL
from tests.pipeline.serving.viewers import Slicer

SERIES = "1.2.826.0.1.3680043.8.498.1"
START_SECONDS = 60
TOKEN, OTHER = "t" * 40, "o" * 40
"""Of two users."""


@pytest.fixture(scope="session")
def volumes(real_data):
    """The real volumes of the hippocampus, those with the lowest numbers first."""
    return sorted((real_data / "hippocampus" / "imagesTr").glob("[a-z]*.nii.gz"))


@pytest.fixture(scope="session")
def bundle_3d(volumes, tmp_path_factory):
    """A bundle for volumes with two labels, trained for a moment on six of them."""
    root = tmp_path_factory.mktemp("bundle_3d")
    for path in volumes[:6]:
        for kind in ("imagesTr", "labelsTr"):
            (root / kind).mkdir(exist_ok=True)
            shutil.copy(path.parents[1] / kind / path.name, root / kind / path.name)
    folder = root / "hippocampus"
    call = ["new", str(folder), "--images", str(root / "imagesTr"), "--masks",
            str(root / "labelsTr"), "--labels", "anterior=1", "posterior=2"]  # fmt: skip
    assert cli.main(call) == 0
    places = {"tracking_dir": str(root / "mlruns")}
    Bundle(folder, (), {**SMALL, **PATCHES[3], **places}).run("training")
    return folder


@pytest.fixture(scope="session")
def inference(bundle_3d, tmp_path_factory):
    """The inference of the bundle, loaded once."""
    overrides = {**PATCHES[3], "network_def#features": SMALL["network_def#features"]}
    return SingleInference(bundle_3d, overrides=overrides)


@pytest.fixture
def images(tmp_path, volumes, real_data):
    """A folder with two volumes and a DICOM series."""
    folder = tmp_path / "images"
    folder.mkdir()
    for path in volumes[6:8]:
        shutil.copy(path, folder / path.name)
    shutil.copytree(real_data / "dicom_mr" / "hippocampus_crop", folder / "mr")
    return folder


@pytest.fixture
def start(inference, images, tmp_path):
    """Return a function that serves the bundle in a thread, and returns address and service."""
    for name in ("uvicorn", "python_multipart"):
        pytest.importorskip(name, reason=f"no {name}; install unet-school[serve]")
    from pipeline.serving.server import http_server, open_socket

    with contextlib.ExitStack() as stack:

        def start(data=tmp_path / "labels", users=None, command=("false",), **settings):
            settings = ServeSettings(port=0, users=users, **settings)
            training = Training(command, data / WORK / "training.log", settings.training)
            service = Service(inference, settings, images, data, training)
            listener = stack.enter_context(contextlib.closing(open_socket(settings)))
            server = http_server(make_app(service, read_users(users)))
            thread = threading.Thread(target=server.run, args=([listener],))
            stack.enter_context(service.segmenter.jobs)
            thread.start()
            stack.callback(thread.join)
            stack.callback(setattr, server, "should_exit", True)
            wait_for(lambda: server.started)
            return f"http://127.0.0.1:{listener.getsockname()[1]}", service

        yield start


@pytest.fixture
def users(tmp_path):
    path = tmp_path / "users.txt"
    path.write_text(f"# name token\nanna {TOKEN}\nbela {OTHER}\n")
    path.chmod(0o600)
    return path


@pytest.fixture
def slicer(start):
    address, service = start()
    viewer = Slicer(address)
    viewer.service = service
    return viewer


def wait_for(condition) -> None:
    end = time.monotonic() + START_SECONDS
    while not condition():
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.05)
