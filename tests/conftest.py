import gc
import logging
import os
import shutil
from pathlib import Path
from unittest import mock

import hypothesis
import pytest
import torch

from tests.disks import wait_for_no_disk

hypothesis.settings.register_profile("untimed", deadline=None)  # a busy machine is no failure
hypothesis.settings.load_profile("untimed")
ROOT = Path(__file__).parents[1]
wait_for_no_disk()
gc.disable()  # imports make a million objects, and no garbage


def pytest_collection_finish():
    """Collect garbage from now on, but never look at what was imported: a fifth of the time."""
    gc.freeze()
    gc.enable()


@pytest.fixture(autouse=True)
def environment():
    """Leave the environment to the next test as it was; MLflow sets its variable."""
    with mock.patch.dict(os.environ):
        yield


@pytest.fixture(autouse=True)
def root_logger():
    """Leave no handler of the root logger that writes to the standard error of this test.

    MLflow's migrations add one where a test begins the first store of its process.
    """
    root = logging.getLogger()
    before = list(root.handlers)
    yield
    for handler in set(root.handlers) - set(before):
        if type(handler) is logging.StreamHandler:  # pytest's own are of other types
            root.removeHandler(handler)


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def migrated_database(tmp_path_factory):
    """Begin every tracking store with a copy of one migrated database.

    MLflow takes a second of CPU time to create its tables; a copy takes none.
    """
    from pipeline.tracking import connection, parent_run, run

    template = tmp_path_factory.mktemp("template")
    connect, database = connection.connect, connection.DATABASE

    def connect_to_a_copy(root, experiment):
        if not (root / database).exists() and "MLFLOW_TRACKING_URI" not in os.environ:
            if not (template / database).exists():
                connection.open_client(template).search_experiments()
            root.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(template / database, root / database)
        return connect(root, experiment)

    with pytest.MonkeyPatch.context() as patch:
        for module in (connection, parent_run, run):
            patch.setattr(module, "connect", connect_to_a_copy)
        yield


@pytest.fixture(scope="session", autouse=True)
def components_of_monai():
    """List the components of MONAI once; every parser of a config lists them for itself."""
    from monai.bundle.config_item import ComponentLocator

    find, tables = ComponentLocator._find_classes_or_functions, {}

    def find_once(locator, modules):
        key = tuple(modules)
        if key not in tables:
            tables[key] = find(locator, modules)
        return tables[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ComponentLocator, "_find_classes_or_functions", find_once)
        yield


@pytest.fixture(scope="session", autouse=True)
def without_compilers():
    """Evaluations measure no engine that compiles for seconds; their own tests do."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipeline.inference.engine.has_openvino", lambda: False)
        patch.setattr("pipeline.inference.engine.has_onnxruntime", lambda: False)
        yield


@pytest.fixture(scope="session")
def write_slice():
    """Return a function that writes one DICOM file."""
    from tests.dicom_files import write_slice

    return write_slice


@pytest.fixture(scope="session")
def bundle() -> Path:
    return ROOT / "bundles" / "membranes" / "configs"


@pytest.fixture(scope="session")
def small() -> dict:
    """Overrides that make a run of the bundle take a second."""
    return {
        "network_def#features": [4, 4, 8, 8, 8],
        "patch": [32, 32],
        "window": [64, 64],
        "batch_size": 2,
        "steps_per_epoch": 2,
        "max_epochs": 2,
        "val_interval": 1,
        "threads": 1,
    }


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data sets; tests that need it are skipped where it is absent."""
    folder = Path(os.environ.get("UNET_SCHOOL_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}; name its folder in UNET_SCHOOL_DATA")
    return folder


@pytest.fixture(scope="session")
def phantom(tmp_path_factory) -> Path:
    """A cohort of five small phantoms: 3 train, 1 validates, 1 tests."""
    from pipeline.data.phantom import write_cells

    folder = tmp_path_factory.mktemp("phantom")
    write_cells(folder, count=5, size=64, seed=3)
    return folder
