"""The bill of materials of a packed bundle: CycloneDX 1.6, with the model's card.

It is made of other files of the package alone, so that a receiver makes it again and compares. It
therefore holds no time, and its serial number is a hash of its content.
"""

import json
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from pipeline.sharing.archive import RefusedError
from pipeline.sharing.audit import METADATA
from pipeline.sharing.bom_model import CODE, DATA, MODEL, licences_of, model_component, properties
from pipeline.sharing.licence import LICENCE, weights_licences
from pipeline.sharing.packages import FILES_HASH, PACKAGES_FILE, required_versions
from pipeline.sharing.packed_configs import EVALUATION, FINGERPRINT
from pipeline.sharing.parsing import strict_json
from pipeline.sharing.source import is_source, tree_sha256
from pipeline.sharing.values import VALUES, read_values

BOM = "bom.cdx.json"
SPEC_VERSION = "1.6"
VALUES_HASH = "SHA-256 over the names, types, shapes and values of the weights, in any file"
TREE_HASH = "SHA-256 over the lines 'HASH  PATH' of the source files, sorted by path"


def bill_of_materials(read: Callable[[str], bytes], hashes: Mapping[str, str]) -> bytes:
    """Return the bill of materials of a package.

    Args:
        read: returns the content of one of the package's files.
        hashes: SHA-256 of each of its files, by path; the bill itself may be missing.

    Raises:
        KeyError: the package lacks a file.
        RefusedError: a document cannot be read, or the required packages are stated otherwise.
    """
    metadata, evaluation, fingerprint, installed = (
        strict_json(read(file), file) for file in (METADATA, EVALUATION, FINGERPRINT, PACKAGES_FILE)
    )
    licence = read(LICENCE).decode()
    packages = _packages(required_versions(metadata), installed, evaluation["versions"])
    config = read_values(read(VALUES)).train
    model = model_component(metadata, evaluation, config, licence, hashes)
    refs = [package["bom-ref"] for package in packages]
    content = {
        "bomFormat": "CycloneDX",
        "specVersion": SPEC_VERSION,
        "version": 1,
        "metadata": {
            "lifecycles": [{"phase": "post-build"}],
            "component": model,
            "properties": properties(
                values_sha256=VALUES_HASH, tree_sha256=TREE_HASH, files_sha256=FILES_HASH
            ),
        },
        "components": [
            _code(evaluation["versions"], hashes),
            _data(evaluation, fingerprint, licence),
            *packages,
        ],
        "dependencies": [
            {"ref": MODEL, "dependsOn": [CODE, DATA, *refs]},
            {"ref": CODE, "dependsOn": refs},
        ],
        # packages that the required ones require are not listed
        "compositions": [{"aggregate": "incomplete", "dependencies": refs}],
    }
    serial = uuid.uuid5(uuid.NAMESPACE_OID, _text(content))
    return _text({**content, "serialNumber": f"urn:uuid:{serial}"}).encode()


def validate_bill(content: bytes) -> None:
    """Validate a bill of materials against CycloneDX's schema, without a connection.

    Raises:
        ValueError: it is not valid; names the place.
    """
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    error = JsonStrictValidator(SchemaVersion.V1_6).validate_str(content.decode())
    if error is not None:
        place = "::".join(map(str, error.data.absolute_path)) or "content"
        raise ValueError(f"{BOM}, {place}: {error.data.message}; expected CycloneDX {SPEC_VERSION}")


def _code(versions: Mapping[str, str], hashes: Mapping[str, str]) -> dict[str, Any]:
    """Return the component of the enclosed source, which is the release's own."""
    source = {path: digest for path, digest in hashes.items() if is_source(path)}
    return {
        "type": "library",
        "bom-ref": CODE,
        "name": "unet-school",
        "version": versions["unet-school"],
        "description": "Source that the configs need, enclosed",
        "licenses": [{"license": {"id": "Apache-2.0"}}],
        "properties": properties(tree_sha256=tree_sha256(source), files=str(len(source))),
    }


def _data(
    evaluation: Mapping[str, Any], fingerprint: Mapping[str, Any], licence: str
) -> dict[str, Any]:
    """Return the component of the images that trained and tested the model."""
    cohort, *earlier = weights_licences(licence)
    before = "".join(f"; the weights began from a training on {other.images}" for other in earlier)
    own = cohort.cohort is None
    dataset = {
        "type": "dataset",
        "name": cohort.title,
        "description": f"{fingerprint['images']} training images; not enclosed{before}",
        "classification": "confidential" if own else "public",
        **({"sensitiveData": ["may show patients"]} if own else {}),
        "contents": {
            "properties": properties(datalist_sha256=evaluation["model"]["datalist_sha256"])
        },
    }
    return {
        "type": "data",
        "bom-ref": DATA,
        "name": cohort.title,
        "description": "Cohort that trained, validated and tested the model",
        "licenses": licences_of(licence),
        "data": [dataset],
    }


def _packages(
    required: Mapping[str, str],
    installed: Mapping[str, Mapping[str, str]],
    versions: Mapping[str, str],
) -> list[dict[str, Any]]:
    """Return the components of Python and of the required packages."""
    stated: Mapping[str, str] = {name: own["version"] for name, own in installed.items()}
    if stated != required:
        name = min(key for key in {**stated, **required} if stated.get(key) != required.get(key))
        reason = f"{METADATA} requires {required.get(name, 'no such package')}"
        raise RefusedError(PACKAGES_FILE, f"{name} {stated.get(name, 'missing')}", reason)
    python = {
        "type": "platform",
        "bom-ref": "python",
        "name": "python",
        "version": versions["python"],
    }
    return [python, *(_package(name, package) for name, package in sorted(installed.items()))]


def _package(name: str, package: Mapping[str, str]) -> dict[str, Any]:
    purl = f"pkg:pypi/{name.lower().replace('_', '-')}@{package['version']}"
    further = {key: package[key] for key in ("build", "files_sha256") if key in package}
    return {
        "type": "library",
        "bom-ref": purl,
        "name": name,
        "version": package["version"],
        "purl": purl,
        **({"properties": properties(**further)} if further else {}),
    }


def _text(content: Mapping[str, Any]) -> str:
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"
