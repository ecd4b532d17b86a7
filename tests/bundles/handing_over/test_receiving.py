import json
import shutil

import pytest
import safetensors.torch

from pipeline import cli
from pipeline.bundle.received import read_received
from pipeline.files import sha256
from pipeline.inference.weights_hash import weights_sha256
from pipeline.sharing.archive import open_archive, write_archive
from pipeline.sharing.isolation import PLAIN
from pipeline.sharing.manifest import MANIFEST, make_manifest
from pipeline.sharing.policy import read_policy
from pipeline.sharing.receive import receive as receive_package
from pipeline.sharing.signature import Verifier
from tests.bundles.handing_over.calls import receive


def test_what_is_received(received, package):
    page = package.with_name("bundle.zip.acceptance.md").read_text()
    assert "# Acceptance protocol: ACCEPTED" in page
    assert "Dice 1.0000, largest difference of a probability 0.0e+00" in page
    assert "| the sample ran in | " in page
    assert (received / "configs" / "inference.yaml").is_file()
    record = read_received(received)
    assert record.archive_sha256 == sha256(package)
    assert record.manifest_sha256 == sha256(received / "manifest.json")
    assert record.sender.startswith("SHA256:")
    key = package.parent / "keys" / "public.pem"
    assert cli.main(["verify", str(received), "--key", str(key)]) == 0


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
    ("file", "old", "new", "message"),
    [
        ("docs/README.md", b"0.", b"1.", "another model card"),
        ("docs/evaluation.json", b'"mean": 0.', b'"mean": 1.', "not what unet-school pack"),
        ("docs/evaluation.json", b'"seed": ', b'"seed": 9', "another model card"),
        ("configs/metadata.json", b'"iou": 0.', b'"iou": 1.', "the evaluation has"),
    ],
)
def test_a_card_that_disagrees_is_refused(
    changed, package, tmp_path, capsys, file, old, new, message
):
    def other(files):
        assert old in files[file]
        files[file] = files[file].replace(old, new)

    assert receive(changed(other), package, tmp_path / "out") == 2
    assert message in capsys.readouterr().out
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("bom.cdx.json", b'"value": "0.', b'"value": "1.', "bom.cdx.json: another bill"),
        ("bom.cdx.json", b"not a medical device", b"a medical device", "another bill of materials"),
        ("docs/packages.json", b'"files_sha256": "', b'"files_sha256": "0', "docs/packages.json, "),
        ("bom.cdx.json", None, None, "bom.cdx.json: missing"),
    ],
)
def test_a_bill_of_materials_that_disagrees_is_refused(
    changed, package, tmp_path, capsys, file, old, new, message
):
    def other(files):
        if old is None:
            return {name: content for name, content in files.items() if name != file}
        assert old in files[file]
        return {**files, file: files[file].replace(old, new)}

    assert receive(changed(other), package, tmp_path / "out") == 2
    assert message in capsys.readouterr().out
    assert not (tmp_path / "out").exists()


def test_a_package_without_the_hash_of_its_files_is_refused(changed, package, tmp_path, capsys):
    def other(files):
        packages = json.loads(files["docs/packages.json"])
        del packages["numpy"]["files_sha256"]
        files["docs/packages.json"] = json.dumps(packages).encode()

    assert receive(changed(other), package, tmp_path / "out") == 2
    assert "bom.cdx.json: another bill of materials" in capsys.readouterr().out


def test_a_package_that_the_project_does_not_require_is_refused(changed, package, tmp_path, capsys):
    def needy(files):
        metadata = json.loads(files["configs/metadata.json"])
        metadata["required_packages_version"]["no-such-package"] = "1.2"
        files["configs/metadata.json"] = json.dumps(metadata).encode()

    assert receive(changed(needy), package, tmp_path / "out") == 2
    page = capsys.readouterr().out
    assert "'no-such-package' '1.2': expected a package that unet-school" in page
    assert "pip install" not in page


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("docs/data_license.txt", None, "docs/data_license.txt: missing"),
        ("docs/data_license.txt", b"\xff\xfe", "docs: UnicodeDecodeError"),
        ("docs/evaluation.json", b"{}", "docs/evaluation.json, split: Field required"),
        ("docs/README.md", b"# A model\n" * 100_000, "docs/README.md: 1000000 bytes"),
        ("docs/data_license.txt", b"Weights: trained on x.\n" * 2000, "docs/data_license.txt: 20"),
        ("models/model.json", b"{}", "models/model.json, sha256: None"),
        ("sample/image.tif", None, "sample: no image"),
        ("sample/mask.tif", b"no picture", "sample, mask: "),
    ],
)
def test_a_broken_package_is_refused_in_one_line(
    changed, package, tmp_path, capsys, file, content, message
):
    def broken(files):
        return {name: data for name, data in files.items() if name != file} | (
            {file: content} if content is not None else {}
        )

    assert receive(changed(broken), package, tmp_path / "out") == 2
    assert f"- refused: {message}" in capsys.readouterr().out
    assert not (tmp_path / "out").exists()


def doubled(files):
    """Replace the weights, and return the hash of the new ones."""
    weights = safetensors.torch.load(files["models/model.safetensors"])
    weights = {name: tensor * 2 for name, tensor in weights.items()}
    files["models/model.safetensors"] = safetensors.torch.save(weights)
    return weights_sha256(weights)


def test_weights_that_are_not_the_records_are_refused(changed, package, tmp_path, capsys):
    assert receive(changed(lambda files: doubled(files) and None), package, tmp_path / "out") == 2
    assert "models/model.json, sha256: " in capsys.readouterr().out


def test_another_postprocessing_than_the_evaluated_one_is_refused(
    changed, package, tmp_path, capsys
):
    def other(files):
        record = json.loads(files["models/model.json"])
        record["operating_point"]["postprocessing"]["min_pixels"] += 1
        files["models/model.json"] = json.dumps(record).encode()

    assert receive(changed(other), package, tmp_path / "out") == 2
    assert "models/model.json: postprocessing" in capsys.readouterr().out


def test_weights_that_were_not_evaluated_are_refused(changed, package, tmp_path, capsys):
    def others(files):
        record = json.loads(files["models/model.json"])
        record["sha256"] = doubled(files)
        files["models/model.json"] = json.dumps(record).encode()

    assert receive(changed(others), package, tmp_path / "out") == 2
    assert "models/model.json: weights" in capsys.readouterr().out


def test_a_manifest_cannot_add_to_the_protocol(package, tmp_path):
    archive = open_archive(package)
    files = {name: archive.read(name) for name in archive.files if name != MANIFEST}
    picture = "<img src=http://evil.example/x.png>"
    made = {
        "commit": "[click](x) **ACCEPTED** |\n| sample | Dice 1.0000 \x1b[2J",
        "versions": {picture: "1\u202e"},
    }
    files[MANIFEST] = make_manifest(archive.name, files, made)
    path = tmp_path / "changed.zip"
    write_archive(path, archive.name, files)
    shutil.copy(f"{package}.sig", f"{path}.sig")
    assert receive(path, package, tmp_path / "out") == 2
    page = path.with_name("changed.zip.acceptance.md").read_text()
    assert "refused: manifest.json: made" in page
    assert page.count("\n| sample |") == 1
    assert not {"\x1b", "\u202e", "<"} & set(page.replace("\\<", ""))


def test_a_package_of_another_key_is_refused(package, tmp_path, capsys):
    cli.main(["key", "new", "--out", str(tmp_path / "keys")])
    key = tmp_path / "keys" / "public.pem"
    call = ["receive", str(package), "--key", str(key), "--out", str(tmp_path / "out")]
    assert cli.main([*call, "--protocol", str(tmp_path / "page.md")]) == 2
    assert "the signature does not match" in capsys.readouterr().out
    assert "REFUSED" in (tmp_path / "page.md").read_text()
    assert not (tmp_path / "out").exists()


def test_an_existing_folder_is_not_changed(package, received, capsys):
    assert receive(package, package, received) == 1
    assert "exists; give another --out" in capsys.readouterr().err


def test_a_site_may_ask_for_a_complete_sandbox(package, tmp_path, monkeypatch):
    policy = read_policy().model_copy(update={"complete_sandbox": True})
    monkeypatch.setattr("pipeline.sharing.receive.find_isolation", lambda: PLAIN)
    verifier = Verifier(key=package.parent / "keys" / "public.pem")
    signature = package.with_name(f"{package.name}.sig")
    result = receive_package(package, signature, verifier, tmp_path / "out", policy, "mayo")
    (line,) = map(str, result.refusals)
    assert line == "sample: a plain process: the policy asks for bubblewrap or unshare"
    assert not (tmp_path / "out").exists()
