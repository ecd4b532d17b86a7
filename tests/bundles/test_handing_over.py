import io
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from mlflow import MlflowClient
from monai.bundle import load, push_to_hf_hub, verify_metadata, verify_net_in_out
from PIL import Image
from safetensors.torch import load as load_safetensors
from safetensors.torch import save as save_safetensors

from pipeline import cli
from pipeline.data.datalist import SPLITS, write_datalist
from pipeline.data.phantom import write_cells
from pipeline.networks import UNet
from pipeline.sharing.archive import open_archive, write_archive
from pipeline.sharing.manifest import MANIFEST, make_manifest
from pipeline.sharing.receive import run_sample, unpack
from tests.conftest import ROOT

NO_RUNS = shutil.ignore_patterns("models", "eval", "explanation", "predictions")
PLANTED = {
    "patient": "Zwickl-Huber",
    "note": "fell from a ladder",
    "age": 43.71,
    "born": "1983-02-11",
}
SCHEMA = Path(__file__).with_name("metadata.schema.json")
BUNDLE = ROOT / "bundles" / "membranes"


@pytest.fixture(scope="module")
def cohort(tmp_path_factory) -> Path:
    """A cohort whose files and columns tell of patients what must not leave."""
    folder = tmp_path_factory.mktemp("geheim_cohort")
    write_cells(folder, count=25, size=64, seed=3)
    content = json.loads((folder / "datalist.json").read_text())
    splits = {}
    for split in SPLITS:
        splits[split] = []
        for i, entry in enumerate(content[split]):
            files = {key: entry[key].replace("cells_", "zwickl_") for key in ("image", "label")}
            for key, name in files.items():
                (folder / entry[key]).rename(folder / name)
            columns = {**PLANTED, "patient": f"Zwickl-Huber {split} {i}", "sex": "fm"[i % 2]}
            splits[split].append({**files, **columns})
    write_datalist(folder, splits, name="cells of the Geheim clinic", split="by hand")
    return folder


@pytest.fixture(scope="module")
def evaluated(run_bundle, cohort, tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("sender")
    run_bundle(root, "training", dataset_dir=str(cohort), run_name="geheim_run")
    run_bundle(
        root, "evaluating", ["evaluate.yaml"], dataset_dir=str(cohort), output_dir=str(root / "e"),
        group_columns=["sex"], age_column="age", tta_versions=2,
    )  # fmt: skip
    return root


def pack(root: Path, out: Path, *more: str) -> int:
    tracking = ["--tracking", str(root / "mlruns"), "--run", "geheim_run"]
    return cli.main(["pack", str(BUNDLE), *tracking, "--out", str(out), *more])


@pytest.fixture(scope="module")
def package(evaluated, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("package")
    assert pack(evaluated, folder / "bundle.zip") == 0
    assert cli.main(["key", "new", "--out", str(folder / "keys")]) == 0
    sign(folder / "bundle.zip", folder)
    return folder / "bundle.zip"


def sign(path: Path, folder: Path) -> None:
    assert cli.main(["sign", str(path), "--key", str(folder / "keys" / "private.pem")]) == 0


def receive(path: Path, package: Path, out: Path) -> int:
    key = package.parent / "keys" / "public.pem"
    return cli.main(["receive", str(path), "--key", str(key), "--out", str(out)])


@pytest.fixture(scope="module")
def received(package, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("receiver") / "cells"
    assert receive(package, package, out) == 0
    return out


@pytest.fixture
def changed(package, tmp_path):
    """Return a function that packs and signs anew, after a change of some files."""

    def changed(change, made=None):
        archive = open_archive(package)
        files = {name: archive.read(name) for name in archive.files if name != MANIFEST}
        files = change(files) or files
        files[MANIFEST] = make_manifest(files, made or {})
        path = tmp_path / "changed.zip"
        write_archive(path, archive.name, files)
        sign(path, package.parent)
        return path

    return changed


def test_packing_twice_gives_the_same_bytes(evaluated, package, tmp_path):
    pack(evaluated, tmp_path / "again.zip")
    assert (tmp_path / "again.zip").read_bytes() == package.read_bytes()


def test_nothing_of_a_patient_leaves(package, cohort, evaluated):
    content = package.read_bytes().lower()
    for word in ("zwickl", "ladder", "43.71", "1983-02-11", "geheim", str(cohort), str(evaluated)):
        assert word.lower().encode() not in content, word
    with zipfile.ZipFile(package) as archive:
        pictures = [name for name in archive.namelist() if name.endswith((".png", ".tif"))]
        assert {Path(name).parent.name for name in pictures} == {"sample"}
        image = next(archive.read(name) for name in pictures if "image" in name)
    pixels = np.asarray(Image.open(io.BytesIO(image)))
    own = [np.asarray(Image.open(path)) for path in (cohort / "images").iterdir()]
    assert not any(np.array_equal(pixels[: each.shape[0], : each.shape[1]], each) for each in own)


def test_a_bundle_that_would_tell_a_patient_is_not_packed(evaluated, cohort, tmp_path, capsys):
    bundle = shutil.copytree(BUNDLE, tmp_path / "membranes", ignore=NO_RUNS)
    licence = bundle / "docs" / "data_license.txt"
    licence.write_text("Ask Zwickl-Huber training 3, who fell from a ladder.\n")
    tracking = ["--tracking", str(evaluated / "mlruns"), "--run", "geheim_run"]
    assert cli.main(["pack", str(bundle), *tracking, "--out", str(tmp_path / "b.zip")]) == 1
    line = capsys.readouterr().err
    assert "would tell" in line
    assert "README.md" in line or "data_license.txt" in line
    assert not (tmp_path / "b.zip").exists()


def test_the_weights_are_the_ones_that_were_evaluated(package, evaluated):
    archive = open_archive(package)
    plain = torch.load(io.BytesIO(archive.read("models/model.pt")), weights_only=True)
    safe = load_safetensors(archive.read("models/model.safetensors"))
    trained = torch.load(evaluated / "models" / "model.pt", weights_only=True)
    assert plain.keys() == safe.keys() == trained.keys()
    for name, each in trained.items():
        assert torch.equal(plain[name], each)
        assert torch.equal(safe[name], each)


def test_card_and_metadata_tell_what_was_evaluated(package, evaluated):
    archive = open_archive(package)
    card = archive.read("docs/README.md").decode()
    found = json.loads((evaluated / "e" / "summary.json").read_text())["test"]["iou"]
    metadata = json.loads(archive.read("configs/metadata.json"))
    assert f"| iou | {found['mean']:.4f} |" in card
    assert metadata["eval_metrics"]["iou"] == round(found["mean"], 4)
    assert {"monai_version", "pytorch_version"} <= metadata.keys()
    assert "scikit-image" in metadata["required_packages_version"]


def test_a_group_of_few_patients_is_not_told(package):
    told = json.loads(open_archive(package).read("docs/evaluation.json"))
    assert told["groups"] == []
    assert told["groups_left_out"] > 0
    assert told["gaps"] == []
    assert "age" not in told
    fingerprint = json.loads(open_archive(package).read("docs/fingerprint.json"))
    assert fingerprint["groups"]["sex"] == {"others": 15}


def test_the_package_is_registered_once(evaluated, package):
    client = MlflowClient(f"sqlite:///{evaluated / 'mlruns' / 'mlflow.db'}")
    (version,) = client.search_model_versions("name = 'membranes'")
    again = client.get_model_version_by_alias("membranes", "packed")
    assert again.version == version.version
    run = client.get_run(version.run_id)
    assert run.info.run_name == "geheim_run"
    assert len(version.tags["sha256"]) == 64


def test_metadata_of_other_scores_are_refused(evaluated, tmp_path, capsys):
    bundle = shutil.copytree(BUNDLE, tmp_path / "membranes", ignore=NO_RUNS)
    metadata = json.loads((bundle / "configs" / "metadata.json").read_text())
    metadata["eval_metrics"] = {"iou": 0.99}
    (bundle / "configs" / "metadata.json").write_text(json.dumps(metadata))
    tracking = ["--tracking", str(evaluated / "mlruns"), "--run", "geheim_run"]
    assert cli.main(["pack", str(bundle), *tracking, "--out", str(tmp_path / "b.zip")]) == 1
    assert "eval_metrics iou is 0.99, the evaluation has" in capsys.readouterr().err


def test_a_run_of_another_bundle_is_refused(evaluated, tmp_path, capsys):
    tracking = ["--tracking", str(evaluated / "mlruns"), "--run", "geheim_run"]
    other = str(ROOT / "bundles" / "lungs_xray")
    assert cli.main(["pack", other, *tracking, "--out", str(tmp_path / "b.zip")]) == 1
    assert "the run is one of membranes" in capsys.readouterr().err


def test_without_an_evaluation_nothing_is_packed(trained, tmp_path, capsys):
    tracking = ["--tracking", str(trained / "mlruns"), "--run", "no_such_run"]
    assert cli.main(["pack", str(BUNDLE), *tracking, "--out", str(tmp_path / "b.zip")]) == 1
    assert "no_such_run: no finished evaluation" in capsys.readouterr().err


def test_what_is_received(received, package):
    page = package.with_name("bundle.zip.acceptance.md").read_text()
    assert "# Acceptance protocol: ACCEPTED" in page
    assert "Dice 1.0000, largest difference of a probability 0.0e+00" in page
    assert (received / "configs" / "inference.yaml").is_file()


def run_received(received: Path, run: str, config: str, cwd: Path, **settings) -> str:
    """Run a received bundle as where the project is not installed; return which source was used."""
    alone = (
        "import atexit, runpy, sys\n"
        f"sys.path = [p for p in sys.path if p not in ('', {str(ROOT)!r})]\n"
        "sys.meta_path = [f for f in sys.meta_path if 'editable' not in repr(f).lower()]\n"
        "atexit.register(lambda: print('source', sys.modules['pipeline'].__file__))\n"
        "sys.argv = ['monai.bundle', *sys.argv[1:]]\n"
        "runpy.run_module('monai.bundle', run_name='__main__')\n"
    )
    arguments = [text for key, value in settings.items() for text in (f"--{key}", str(value))]
    command = [sys.executable, "-W", "ignore", "-c", alone, "run", run]
    files = ["--config_file", str(received / "configs" / config)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*command, *files, *arguments], cwd=cwd, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_a_received_bundle_infers_by_its_own_source_from_any_folder(received, tmp_path):
    write_cells(tmp_path / "own", count=3, size=64, seed=9)
    bright = np.full((64, 64), 255, np.uint8)
    Image.fromarray(bright).save(tmp_path / "own" / "images" / "white.png")
    told = run_received(
        received, "inferring", "inference.yaml", tmp_path,
        image_dir=tmp_path / "own" / "images", output_dir=tmp_path / "out",
    )  # fmt: skip
    assert f"source {received / 'pipeline' / '__init__.py'}" in told
    report = json.loads((tmp_path / "out" / "run_report.json").read_text())
    quality = {each["image"]: each["quality"] for each in report["per_image"]}
    assert quality["white.png"] == "unlike the training images"
    assert quality["cells_000.png"] == "as the training images"
    assert "quality     white.png: deviation 0, where 90 % of them have" in told


def test_a_received_bundle_is_evaluated_and_tuned_on_own_patients(received, cohort, tmp_path):
    write_cells(tmp_path / "own", count=5, size=64, seed=9)
    before = (received / "models" / "model.json").read_bytes()
    evaluating = {"dataset_dir": tmp_path / "own", "output_dir": tmp_path / "eval"}
    told = run_received(received, "evaluating", "evaluate.yaml", tmp_path, **evaluating)
    found = json.loads((tmp_path / "eval" / "summary.json").read_text())
    sent = json.loads((received / "docs" / "evaluation.json").read_text())
    assert found["sender"]["scores"]["iou"]["sender"]["mean"] == sent["test"]["iou"]["mean"]
    assert found["sender"]["scores"]["iou"]["own"]["mean"] == found["test"]["iou"]["mean"]
    assert found["threshold"] == sent["threshold"]
    assert found["sender"]["shift"]["images"] == [15, 1]
    assert "iou         sender" in told
    assert "Shift from the sender" in (tmp_path / "eval" / "report.html").read_text()
    record = json.loads(before)
    after = json.loads((received / "models" / "model.json").read_text())
    assert {key: after[key] for key in record} == record

    model = received / "models" / "model.pt"
    weights = torch.load(model, weights_only=True)
    tuning = {"dataset_dir": tmp_path / "own", "init_from": model, "max_epochs": 1}
    still = {"learning_rate": 0.0, "steps_per_epoch": 1}
    tuning |= {"sender_dir": cohort, "output_dir": tmp_path / "tuned"}
    told = run_received(received, "training", "train.yaml", tmp_path, **tuning, **still)
    tuned = torch.load(received / "own_models" / "model.pt", weights_only=True)
    same = [torch.equal(tuned[name], each) for name, each in weights.items() if "conv" in name]
    assert same
    assert all(same)
    assert model.read_bytes() != (received / "own_models" / "model.pt").read_bytes()
    seen = set(json.loads((received / "own_models" / "model.json").read_text())["trained_on"])
    assert set(record["trained_on"]) < seen
    assert "dice, test split    received     tuned    gained" in told
    both = json.loads((tmp_path / "tuned" / "both_models.json").read_text())
    ran = {}
    for name in ("received_on_own", "tuned_on_own", "received_on_sender", "tuned_on_sender"):
        ran[name] = json.loads((tmp_path / "tuned" / name / "summary.json").read_text())
        which, whose = name.split("_on_")
        assert both[whose][which] == pytest.approx(ran[name]["test"]["dice"]["mean"], abs=1e-6)
    assert both["sender"]["difference"]["n"] == 5
    assert ran["received_on_own"]["threshold"] == sent["threshold"]
    assert ran["tuned_on_own"]["threshold_source"] == "chosen by accuracy on validation"
    assert ran["tuned_on_sender"]["threshold"] == ran["tuned_on_own"]["threshold"]


def test_a_changed_result_of_the_sample_is_refused(changed, package, tmp_path, capsys):
    def brighter(files):
        content = bytearray(files["sample/probability.tif"])
        content[-2:] = b"\x00\x00" if content[-2:] != b"\x00\x00" else b"\x80\x3f"
        files["sample/probability.tif"] = bytes(content)

    assert receive(changed(brighter), package, tmp_path / "out") == 2
    assert "another result than the sender's" in capsys.readouterr().out
    assert not (tmp_path / "out").exists()
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize(
    ("file", "old", "new", "told"),
    [
        ("docs/README.md", b"0.", b"1.", "another model card"),
        ("docs/evaluation.json", b'"mean": 0.', b'"mean": 1.', "another model card"),
        ("configs/metadata.json", b'"iou": 0.', b'"iou": 1.', "not evaluation's"),
    ],
)
def test_a_card_that_disagrees_is_refused(changed, package, tmp_path, capsys, file, old, new, told):
    def other(files):
        assert old in files[file]
        files[file] = files[file].replace(old, new)

    assert receive(changed(other), package, tmp_path / "out") == 2
    assert told in capsys.readouterr().out
    assert not (tmp_path / "out").exists()


def test_a_package_that_is_none_of_ours_is_not_asked_for(changed, package, tmp_path, capsys):
    def needy(files):
        metadata = json.loads(files["configs/metadata.json"])
        metadata["required_packages_version"]["no-such-package"] = "1.2"
        files["configs/metadata.json"] = json.dumps(metadata).encode()

    assert receive(changed(needy), package, tmp_path / "out") == 2
    told = capsys.readouterr().out
    assert "'no-such-package' '1.2': not one of ours" in told
    assert "pip install" not in told


@pytest.mark.parametrize(
    ("file", "content", "told"),
    [
        ("docs/data_license.txt", None, "docs/data_license.txt: missing"),
        ("docs/data_license.txt", b"\xff\xfe", "docs: UnicodeDecodeError"),
        ("docs/evaluation.json", b"{}", "docs: "),
        ("models/model.json", b"{}", "docs: KeyError: 'threshold'"),
        ("sample/image.tif", None, "sample: no image"),
        ("sample/mask.tif", b"no picture", "sample: "),
    ],
)
def test_a_broken_package_is_refused_in_one_line(
    changed, package, tmp_path, capsys, file, content, told
):
    def broken(files):
        return {name: each for name, each in files.items() if name != file} | (
            {file: content} if content is not None else {}
        )

    assert receive(changed(broken), package, tmp_path / "out") == 2
    assert f"- refused: {told}" in capsys.readouterr().out
    assert not (tmp_path / "out").exists()


def test_other_weights_than_were_evaluated_are_refused(changed, package, tmp_path, capsys):
    def others(files):
        weights = torch.load(io.BytesIO(files["models/model.pt"]), weights_only=True)
        weights = {name: (each * 2).contiguous() for name, each in weights.items()}
        stream = io.BytesIO()
        torch.save(weights, stream)
        files["models/model.pt"] = stream.getvalue()
        files["models/model.safetensors"] = save_safetensors(weights)

    assert receive(changed(others), package, tmp_path / "out") == 2
    assert "models/model.json: weights" in capsys.readouterr().out


def test_a_manifest_draws_nothing_on_the_page(changed, package, tmp_path):
    made = {"commit": "abc |\n| sample | Dice 1.0000 \x1b[2J", "versions": ["a"]}
    path = changed(lambda files: None, made)
    assert receive(path, package, tmp_path / "out") == 0
    page = path.with_name("changed.zip.acceptance.md").read_text()
    assert page.count("| sample |") == 1
    assert "\x1b" not in page


def test_a_package_of_another_key_is_refused(package, tmp_path, capsys):
    cli.main(["key", "new", "--out", str(tmp_path / "keys")])
    key = tmp_path / "keys" / "public.pem"
    call = ["receive", str(package), "--key", str(key), "--out", str(tmp_path / "out")]
    assert cli.main([*call, "--protocol", str(tmp_path / "page.md")]) == 2
    assert "the signature does not fit" in capsys.readouterr().out
    assert "REFUSED" in (tmp_path / "page.md").read_text()
    assert not (tmp_path / "out").exists()


def test_a_folder_that_exists_is_left_alone(package, received, capsys):
    assert receive(package, package, received) == 1
    assert "exists; give another --out" in capsys.readouterr().err


def test_monais_own_tools_accept_it(received):
    configs = received / "configs"
    meta = str(configs / "metadata.json")
    verify_metadata(meta_file=meta, filepath=str(SCHEMA))
    verify_net_in_out("network_def", meta_file=meta, config_file=str(configs / "train.yaml"), n=4)
    definition = yaml.safe_load((configs / "train.yaml").read_text())["network_def"]
    definition.pop("_target_")
    model = load(
        received.name, model=UNet(**definition), bundle_dir=str(received.parent), device="cpu"
    )
    for name, each in torch.load(received / "models" / "model.pt", weights_only=True).items():
        assert torch.equal(model.state_dict()[name], each)


def test_it_has_the_layout_of_the_hugging_face_hub(received, tmp_path, monkeypatch):
    hub = pytest.importorskip("huggingface_hub")
    sent = {}

    class Offline:
        """Takes what would be sent."""

        def __init__(self, token=None):
            pass

        def create_repo(self, **_):
            pass

        def upload_folder(self, repo_id, folder_path, **_):
            sent[repo_id] = {path.name for path in Path(folder_path).iterdir()}
            return "nowhere"

    monkeypatch.setattr(hub, "HfApi", Offline)
    shutil.copytree(received, tmp_path / "cells")
    push_to_hf_hub(repo="clinic/cells", name="cells", bundle_dir=str(tmp_path))
    assert {"README.md", "LICENSE", "configs", "models", "docs"} <= sent["clinic/cells"]
    assert "library_name: monai" in (tmp_path / "cells" / "README.md").read_text()


@pytest.mark.parametrize("name", ["lungs_ct", "lungs_xray", "nuclei", "pancreas_ct"])
def test_every_bundle_of_ours_is_accepted(run_bundle, phantom, tmp_path, name, capsys):
    bundle = ROOT / "bundles" / name
    settings = {"configs": bundle / "configs", "dataset_dir": str(phantom), "run_name": name}
    if name == "nuclei":  # MONAI's U-Net takes one number more
        settings["network_def#features"] = [4, 4, 8, 8, 8, 4]
    run_bundle(tmp_path, "training", **settings)
    settings |= {"run_name": "evaluation", "output_dir": str(tmp_path / "e")}
    run_bundle(tmp_path, "evaluating", ["evaluate.yaml"], **settings)
    call = ["pack", str(bundle), "--run", name, "--tracking", str(tmp_path / "mlruns")]
    assert cli.main([*call, "--out", str(tmp_path / "b.zip")]) == 0
    assert cli.main(["audit", str(tmp_path / "b.zip")]) == 0
    assert "accepted" in capsys.readouterr().out
    unpack(open_archive(tmp_path / "b.zip"), tmp_path / "bundle")
    assert run_sample(tmp_path / "bundle").enough
