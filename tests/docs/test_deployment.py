"""The files of the deployment name what exists, and say what its page says."""

import json
import re
import shlex
from importlib import import_module

import pytest
import yaml

from pipeline import cli
from pipeline.pacs.settings import read_settings
from tests.conftest import ROOT

FOLDER = ROOT / "deployment"
PAGE = (ROOT / "docs" / "deployment.md").read_text("utf-8")
DOCKERFILE = (FOLDER / "Dockerfile").read_text("utf-8")
COMPOSE = yaml.safe_load((FOLDER / "compose.yaml").read_text("utf-8"))
SERVICES = COMPOSE["services"]


def published() -> dict[str, str]:
    """The service of each published port; each is published to this machine alone."""
    ports = {}
    for name, service in SERVICES.items():
        for port in service.get("ports", ()):
            host, outer, inner = port.split(":")
            assert (host, outer) == ("127.0.0.1", inner)
            ports[inner] = name
    return ports


def test_what_the_image_is_built_of_exists_and_is_sent_to_the_builder():
    sent = (FOLDER / "Dockerfile.dockerignore").read_text().splitlines()
    copies = re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE)
    paths = [path for copied in copies for path in copied.split()]
    assert "constraints.txt" in paths
    for path in paths:
        assert (ROOT / path).exists(), path
        assert f"!{path}" in sent, path


def test_the_extras_of_the_image_are_ours_and_its_torch_is_pinned():
    import tomllib

    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    [wanted] = re.findall(r'"\.\[(.+)\]"', DOCKERFILE)
    assert set(wanted.split(",")) <= set(extras["optional-dependencies"])
    pinned = [line for line in (ROOT / "constraints.txt").read_text().splitlines()
              if line.startswith("torch==")]  # fmt: skip
    assert len(pinned) == 1


def test_the_ports_are_those_of_the_page():
    rows = re.findall(r"^\| `(\d+)` \| (\w+) \|", PAGE, re.MULTILINE)
    assert dict(rows) == published()
    orthanc = json.loads((FOLDER / "orthanc.json").read_text())
    assert {str(orthanc["HttpPort"]), str(orthanc["DicomPort"])} == {
        port for port, name in published().items() if name == "orthanc"
    }
    exposed = re.findall(r"^EXPOSE (.+)$", DOCKERFILE, re.MULTILINE)[0].split()
    assert {port for port, name in published().items() if name == "serve"} <= set(exposed)


@pytest.mark.parametrize("name", ["watch", "serve"])
def test_a_service_is_a_command_that_the_program_takes(name, capsys):
    words = SERVICES[name]["command"]
    options = cli._parser().parse_args(words)
    assert options.command is not None
    mounts = {volume.split(":")[1] for volume in SERVICES[name]["volumes"]}
    for word in words:
        if word.startswith("/"):
            assert any(word == mount or word.startswith(f"{mount}/") for mount in mounts), word


def test_the_services_have_no_rights_and_write_in_their_volume_alone():
    for name in ("watch", "serve"):
        service = SERVICES[name]
        assert service["read_only"]
        assert service["cap_drop"] == ["ALL"]
        assert "ports" not in service or name == "serve"
        writable = [volume for volume in service["volumes"] if not volume.endswith(":ro")]
        assert [volume.split(":")[1] for volume in writable] == ["/data"]
        assert writable[0].split(":")[0] in COMPOSE["volumes"]
    assert SERVICES["watch"]["networks"] == ["inside"]
    assert COMPOSE["networks"]["inside"] == {"internal": True}
    [user] = re.findall(r"^USER (\d+):\d+$", DOCKERFILE, re.MULTILINE)
    assert user in PAGE
    assert f"--uid {user}" in DOCKERFILE


def test_the_archive_and_the_watcher_know_each_other():
    settings = read_settings(FOLDER / "pacs.yaml")
    orthanc = json.loads((FOLDER / "orthanc.json").read_text())
    [modality] = orthanc["DicomModalities"].values()
    peer = settings.peers[settings.watch.poll]
    assert (peer.host, peer.port, peer.aet) == (
        "orthanc",
        orthanc["DicomPort"],
        orthanc["DicomAet"],
    )
    assert modality["AET"] == settings.aet
    assert modality["AllowGet"]
    assert str(settings.bundle) in {v.split(":")[1] for v in SERVICES["watch"]["volumes"]}


def test_what_the_page_prepares_is_what_the_services_mount():
    mounted = {
        volume.split(":")[0].removeprefix("./").split("/")[0]
        for service in SERVICES.values()
        for volume in service["volumes"]
        if volume.startswith("./")
    }
    own = {path.name for path in FOLDER.iterdir()}
    commands = PAGE.split("## Install")[1].split("```")[1]
    words = {word.split("/")[0] for line in commands.splitlines() for word in shlex.split(line)}
    assert mounted - own <= words
    assert "ORTHANC_IMAGE" in commands
    for variable in re.findall(r"\$\{(\w+)", (FOLDER / "compose.yaml").read_text()):
        assert variable in commands


@pytest.mark.parametrize("module", ["log", "recorder"])
def test_what_the_page_says_is_written_is_written(module):
    variable = import_module(f"pipeline.inference.{module}").VARIABLE
    [path] = re.findall(rf"{variable}=(\S+)", DOCKERFILE)
    assert path in PAGE
    assert variable in PAGE


def test_the_jobs_of_kubernetes_are_the_command_of_each_fold_and_of_the_results():
    folds, results = yaml.safe_load_all((FOLDER / "kubernetes.yaml").read_text("utf-8"))
    pods = [job["spec"]["template"]["spec"] for job in (folds, results)]
    (fold,), (result,) = (pod["containers"] for pod in pods)
    words = [word.replace("$(JOB_COMPLETION_INDEX)", "0") for word in fold["args"]]
    options = cli._parser().parse_args(words)
    assert (options.folds, options.job) == (folds["spec"]["completions"], 0)
    assert folds["spec"]["completionMode"] == "Indexed"
    assert result["args"] == fold["args"][:-2]
    assert {**fold, "name": "", "args": ""} == {**result, "name": "", "args": ""}
    assert {**pods[0], "containers": ""} == {**pods[1], "containers": ""}
    mounts = {mount["mountPath"] for mount in fold["volumeMounts"]}
    paths = [word for word in words if word.startswith("/")]
    assert len(paths) == 4
    assert all(any(path.startswith(f"{mount}/") for mount in mounts) for path in paths)
    [user] = re.findall(r"^USER (\d+):\d+$", DOCKERFILE, re.MULTILINE)
    assert pods[0]["securityContext"]["runAsUser"] == int(user)
    page = (ROOT / "docs" / "how_to" / "jobs.md").read_text("utf-8")
    for job in (folds, results):
        assert f"-l step={job['metadata']['labels']['step']}" in page
    assert f"job/{folds['metadata']['name']}" in page
