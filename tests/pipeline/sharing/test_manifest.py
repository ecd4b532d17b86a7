"""The manifest has one form, belongs to the folder of its name, and lists every file."""

import json

import pytest

from pipeline.sharing.archive import RefusedError, open_archive, write_archive
from pipeline.sharing.manifest import MANIFEST, compare_files, make_manifest, read_manifest
from tests.pipeline.sharing.conftest import MADE

FILES = {"LICENSE": b"free", "docs/README.md": b"# A model\n"}


@pytest.fixture
def archive(tmp_path):
    """Return a function that writes an archive with a manifest, and opens it."""

    def archive(manifest, files=FILES, name="cells"):
        write_archive(tmp_path / "cells.zip", name, {**files, MANIFEST: manifest})
        return open_archive(tmp_path / "cells.zip")

    return archive


def changed(change):
    content = json.loads(make_manifest("cells", FILES, MADE))
    change(content)
    return json.dumps(content).encode()


def test_a_manifest_is_read_as_it_was_made(archive):
    manifest = read_manifest(archive(make_manifest("cells", FILES, MADE)))
    assert (manifest["name"], manifest["made"], set(manifest["files"])) == (
        "cells", MADE, set(FILES),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda m: m.clear(), "format"),
        (lambda m: m.update(format="unet-school bundle, version 1"), "format"),
        (lambda m: m.pop("name"), "name: Field required"),
        (lambda m: m.update(name=["cells"]), "name"),
        (lambda m: m.update(more=1), "more"),
        (lambda m: m.update(made=["cells"]), "made"),
        (lambda m: m["made"].update(more="x"), "made#more"),
        (lambda m: m["made"].pop("commit"), "made#commit: Field required"),
        (lambda m: m["made"].update(commit="<img src=x>"), "made#commit"),
        (lambda m: m["made"].update(commit="a\nb"), "made#commit"),
        (lambda m: m["made"].update(commit="a\n"), "made#commit"),
        (lambda m: m["made"].update(commit="a" * 81), "made#commit"),
        (lambda m: m["made"].update(versions={"torch": 2}), "made#versions#torch"),
        (lambda m: m["made"].update(versions={"a|b": "2"}), "made#versions#a|b"),
        (lambda m: m.update(files=[]), "files"),
        (lambda m: m["files"]["LICENSE"].update(more=1), "files#LICENSE#more"),
        (lambda m: m["files"]["LICENSE"].update(bytes="4"), "files#LICENSE#bytes"),
        (lambda m: m["files"]["LICENSE"].update(bytes=True), "files#LICENSE#bytes"),
        (lambda m: m["files"]["LICENSE"].update(bytes=-1), "files#LICENSE#bytes"),
        (lambda m: m["files"]["LICENSE"].update(sha256="0" * 63), "files#LICENSE#sha256"),
        (lambda m: m["files"]["LICENSE"].update(sha256="0" * 64 + "\n"), "files#LICENSE#sha256"),
    ],
)
def test_another_form_is_refused(archive, change, words):
    with pytest.raises(RefusedError, match=r"^manifest\.json: ") as caught:
        read_manifest(archive(changed(change)))
    assert caught.value.value.startswith(words)
    assert str(caught.value).isprintable()


def test_an_archive_without_a_manifest(tmp_path):
    write_archive(tmp_path / "cells.zip", "cells", FILES)
    with pytest.raises(RefusedError, match=r"manifest\.json: missing"):
        read_manifest(open_archive(tmp_path / "cells.zip"))


def test_another_name_of_the_folder(archive):
    """The name is signed with the manifest."""
    renamed = archive(make_manifest("cells", FILES, MADE), name="lungs")
    with pytest.raises(RefusedError, match=r"^lungs: another name of the folder: .* 'cells'$"):
        read_manifest(renamed)


def test_files_that_differ(archive):
    files = {"LICENSE": b"free", "docs/README.md": b"# Another\n", "docs/more.md": b""}
    listed = make_manifest("cells", {**FILES, "models/model.json": b"{}"}, MADE)
    refusals = compare_files(opened := archive(listed, files), read_manifest(opened))
    assert [str(refusal).split(": ")[:2] for refusal in refusals] == [
        ["models/model.json", "missing"], ["docs/more.md", "added"], ["docs/README.md", "changed"],
    ]  # fmt: skip


def test_a_wrong_size(archive):
    manifest = changed(lambda content: content["files"]["LICENSE"].update(bytes=5))
    (refusal,) = compare_files(opened := archive(manifest), read_manifest(opened))
    assert str(refusal) == "LICENSE: changed: not the file that the manifest lists"
