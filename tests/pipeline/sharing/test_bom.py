"""The bill of materials says what the package's own files say, and is of CycloneDX's schema."""

import json
import re

import pytest

from pipeline.sharing.archive import RefusedError
from pipeline.sharing.bom import bill_of_materials, validate_bill
from pipeline.sharing.licence import licence_text
from pipeline.sharing.manifest import sha256_of_each
from pipeline.sharing.packages import required_packages
from pipeline.sharing.source import tree_sha256
from tests.pipeline.sharing.evaluations import EVALUATION

FINGERPRINT = {"images": 40, "patients": 40}


@pytest.fixture
def files(whole) -> dict[str, bytes]:
    """The files of a package that its bill of materials is made of."""
    metadata = json.loads(whole["configs/metadata.json"])
    documents = {
        "docs/evaluation.json": EVALUATION,
        "docs/fingerprint.json": FINGERPRINT,
        "docs/packages.json": required_packages(metadata),
    }
    return {
        **whole,
        "docs/data_license.txt": licence_text("shenzhen", "No data.\n").encode(),
        **{path: json.dumps(content).encode() for path, content in documents.items()},
    }


def bill(files):
    content = bill_of_materials(files.__getitem__, sha256_of_each(files))
    validate_bill(content)
    return json.loads(content)


def component(content, ref):
    return next(item for item in content["components"] if item["bom-ref"] == ref)


def properties(item):
    return {entry["name"]: entry["value"] for entry in item["properties"]}


def test_the_model_and_its_card(files):
    model = bill(files)["metadata"]["component"]
    assert (model["type"], model["name"]) == ("machine-learning-model", "cells")
    assert model["hashes"] == [
        {"alg": "SHA-256", "content": sha256_of_each(files)["models/model.safetensors"]}
    ]
    assert properties(model) == {"unet-school:values_sha256": EVALUATION["model"]["sha256"]}
    assert model["licenses"] == [{"license": {"id": "CC-BY-NC-SA-4.0"}}]
    card = model["modelCard"]
    assert card["modelParameters"]["modelArchitecture"] == "UNet"
    assert card["modelParameters"]["inputs"] == [
        {"format": "image: image, EM, 1 x 32*n x 32*n, float32"}
    ]
    assert "not a medical device" in card["considerations"]["ethicalConsiderations"][0]["name"]
    assert properties(card) == {"unet-school:confidence_interval": "95 % over patients"}


def test_scores_have_intervals_and_slices(files):
    card = bill(files)["metadata"]["component"]["modelCard"]
    overall, dice, women, old = card["quantitativeAnalysis"]["performanceMetrics"]
    assert overall == {
        "type": "iou",
        "value": "0.8",
        "confidenceInterval": {"lowerBound": "0.7", "upperBound": "0.9"},
    }
    assert "confidenceInterval" not in dice
    assert (women["slice"], women["value"]) == ("sex f", "0.75")
    assert old["slice"] == "age 60 to 70"
    assert card["considerations"]["fairnessAssessments"] == [
        {"groupAtRisk": "sex f", "harms": "iou lower by 0.1000 than of sex m"}
    ]


def test_the_data_and_the_source(files):
    content = bill(files)
    data = component(content, "training-data")
    assert data["data"][0]["classification"] == "public"
    assert data["licenses"] == [{"license": {"id": "CC-BY-NC-SA-4.0"}}]
    source = {
        path: digest
        for path, digest in sha256_of_each(files).items()
        if path.startswith(("pipeline/", "transforms/"))
    }
    assert properties(component(content, "code"))["unet-school:tree_sha256"] == tree_sha256(source)


def test_images_of_the_senders_own_are_confidential(files):
    own = licence_text("cells of the Geheim clinic", "Ask us.\n")
    content = bill({**files, "docs/data_license.txt": own.encode()})
    data = component(content, "training-data")
    assert data["data"][0]["classification"] == "confidential"
    assert data["licenses"][0]["license"]["text"]["content"] == own
    assert "Geheim" not in json.dumps(content)


def test_fine_tuned_weights_name_both_cohorts(files):
    text = licence_text("own", files["docs/data_license.txt"].decode()).encode()
    content = bill({**files, "docs/data_license.txt": text})
    first, second = content["metadata"]["component"]["licenses"]
    assert first["license"]["name"] == "images of the sender's own"
    assert second == {"license": {"id": "CC-BY-NC-SA-4.0"}}
    description = component(content, "training-data")["data"][0]["description"]
    assert "began from a training on Shenzhen chest X-rays" in description


def test_every_required_package_is_a_component(files):
    content = bill(files)
    metadata = json.loads(files["configs/metadata.json"])
    packages = {item["name"]: item for item in content["components"] if "purl" in item}
    assert packages.keys() == {"torch", "monai", "numpy", *metadata["required_packages_version"]}
    monai = packages["monai"]
    assert monai["purl"] == f"pkg:pypi/monai@{metadata['monai_version']}"
    assert len(properties(monai)["unet-school:files_sha256"]) == 64
    model = next(item for item in content["dependencies"] if item["ref"] == "model")
    assert {"code", "training-data", monai["bom-ref"]} <= set(model["dependsOn"])


@pytest.mark.parametrize(
    "installer",
    ["", "parcel-1.0.dist-info/INSTALLER,sha256=pip,4\n../../bin/parcel,sha256=x,9\n"],
)
def test_the_hash_of_a_package_leaves_out_what_its_installer_wrote(
    tmp_path, monkeypatch, installer
):
    folder = tmp_path / "parcel-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: parcel\nVersion: 1.0+cpu\n")
    record = "parcel/a.py,sha256=abc,3\nparcel/__pycache__/a.pyc,,\n"
    (folder / "RECORD").write_text(record + installer)
    monkeypatch.syspath_prepend(tmp_path)
    assert required_packages({"required_packages_version": {"parcel": "1.0"}}) == {
        "parcel": {
            "version": "1.0",
            "build": "1.0+cpu",
            "files_sha256": tree_sha256({"parcel/a.py": "sha256=abc"}),
        }
    }


def test_another_version_than_the_installed_one_has_no_hash():
    assert required_packages({"monai_version": "0.1"}) == {"monai": {"version": "0.1"}}


@pytest.mark.parametrize(
    ("packages", "message"),
    [
        ({"monai": {"version": "0.1"}}, "monai 0.1: configs/metadata.json requires 1."),
        ({"extra": {"version": "1"}}, "extra 1: configs/metadata.json requires no such package"),
        ({"monai": None}, "monai missing: configs/metadata.json requires 1."),
    ],
    ids=["another version", "one more", "one less"],
)
def test_packages_that_the_metadata_do_not_require_are_refused(files, packages, message):
    stated = {**json.loads(files["docs/packages.json"]), **packages}
    stated = {name: package for name, package in stated.items() if package}
    with pytest.raises(RefusedError, match=re.escape(f"docs/packages.json: {message}")):
        bill({**files, "docs/packages.json": json.dumps(stated).encode()})


def test_the_same_files_give_the_same_bytes_and_others_another_serial_number(files):
    first, again = (bill_of_materials(files.__getitem__, sha256_of_each(files)) for _ in range(2))
    assert first == again
    other = {**files, "models/model.json": b"{}"}
    assert bill(other)["serialNumber"] != json.loads(first)["serialNumber"]
    assert "timestamp" not in bill(files)["metadata"]


def test_a_bill_that_is_not_valid_is_one_line(files):
    content = bill(files)
    content["components"][0]["type"] = "cake"
    with pytest.raises(ValueError, match=r"^bom\.cdx\.json, components::0::type: 'cake' is not"):
        validate_bill(json.dumps(content).encode())
