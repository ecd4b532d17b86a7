"""An archive is accepted only byte for byte as it is written."""

import io
import random
import stat
import tracemalloc
import zipfile

import pytest

from pipeline.sharing.archive import MAX_READ_BYTES, RefusedError, open_archive, write_archive
from pipeline.sharing.policy import read_policy
from pipeline.sharing.receive import receive
from pipeline.sharing.signature import Verifier
from pipeline.sharing.zip_format import Entry, directory, local_header
from tests.pipeline.sharing.hostile import FILES, HOSTILE, NAMES, with_file


@pytest.fixture
def path(tmp_path):
    write_archive(tmp_path / "cells.zip", "cells", FILES)
    return tmp_path / "cells.zip"


def refusal(path, content):
    path.write_bytes(content)
    with pytest.raises(RefusedError) as caught:
        open_archive(path)
    assert str(caught.value).isprintable()
    return caught.value


def test_what_is_written_is_what_any_program_reads(path):
    archive = open_archive(path)
    assert archive.name == "cells"
    assert {file: archive.read(file) for file in archive.files} == FILES
    with zipfile.ZipFile(path) as other:
        assert {info.filename: other.read(info) for info in other.infolist()} == {
            f"cells/{file}": content for file, content in FILES.items()
        }
        assert other.testzip() is None


def test_the_bytes_are_those_of_pythons_own_writer(tmp_path):
    """A name with letters beyond ASCII has the flag of UTF-8."""
    files = {**FILES, "docs/größe.md": b"1"}
    write_archive(tmp_path / "a.zip", "cells", files)
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        for file in sorted(files):
            info = zipfile.ZipInfo(f"cells/{file}")
            info.external_attr, info.create_system = (stat.S_IFREG | 0o644) << 16, 3
            archive.writestr(info, files[file])
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    assert open_archive(tmp_path / "b.zip").read("docs/größe.md") == b"1"


@pytest.mark.parametrize("name", HOSTILE)
def test_another_form_is_refused(path, name):
    make, place, words = HOSTILE[name]
    error = refusal(path, make(path.read_bytes()))
    assert error.place.startswith(place)
    assert words in str(error)


@pytest.mark.parametrize("name", NAMES)
def test_an_unsafe_name_is_refused(path, name):
    assert NAMES[name] in str(refusal(path, with_file(name)(path.read_bytes())))


def read_all(path):
    archive = open_archive(path)
    for file in archive.files:
        archive.sha256(file)


def test_every_changed_added_or_missing_byte_is_refused(path):
    write_archive(path, "a", {"b": b"c", "d": b""})
    content, chance = path.read_bytes(), random.Random(0)
    read_all(path)
    for at in range(len(content)):
        wrong = content[at] ^ chance.randrange(1, 256)
        others = (
            content[:at] + bytes([wrong]) + content[at + 1 :],
            content[:at] + bytes([wrong]) + content[at:],
            content[:at] + content[at + 1 :],
        )
        for other in others:
            path.write_bytes(other)
            with pytest.raises(RefusedError):
                read_all(path)


def test_a_changed_byte_of_a_file_names_the_file(path):
    path.write_bytes(path.read_bytes().replace(b"# A model", b"# a model"))
    archive = open_archive(path)
    for read in (archive.read, archive.sha256):
        with pytest.raises(RefusedError, match=r"docs/README\.md: .* checksum: ask the sender"):
            read("docs/README.md")


def test_a_hundred_thousand_files_take_no_memory(path):
    header = local_header(Entry("cells/x", 0, 0, 0))
    with path.open("wb") as file:
        file.writelines(header for _ in range(100_000))
    tracemalloc.start()
    with pytest.raises(RefusedError, match="more than 2000 files: expected 2000 at most"):
        open_archive(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 << 20


@pytest.fixture
def large(tmp_path):
    """An archive of two files of 4 GiB, whose zeros take no place on the disk."""
    size = 0xFFFFFFFF
    first = Entry("cells/a", size, 0, 0)
    second = Entry("cells/b", size, 0, first.end)
    last = Entry("cells/c", 0, 0, second.end)
    with (tmp_path / "large.zip").open("wb") as file:
        for entry in (first, second, last):
            file.seek(entry.position)
            file.write(local_header(entry))
        file.seek(last.end)
        file.write(directory([first, second, last], last.end))
    return tmp_path / "large.zip"


def test_files_of_more_than_32_bits(large):
    archive = open_archive(large)
    with zipfile.ZipFile(large) as other:
        sizes = {info.filename: info.file_size for info in other.infolist()}
        places = {info.filename: info.header_offset for info in other.infolist()}
        assert other.read("cells/c") == b""
    assert {entry.name: entry.size for entry in archive.files.values()} == sizes
    assert {entry.name: entry.position for entry in archive.files.values()} == places
    with pytest.raises(RefusedError, match=f"a: 4294967295 bytes: expected {MAX_READ_BYTES} at"):
        archive.read("a")
    with archive.stream("a") as stream:
        assert stream.seek(-2, io.SEEK_END) == 0xFFFFFFFF - 2
        assert stream.read() == b"\0\0"


def test_a_file_beyond_the_limits_is_not_copied(path, tmp_path, monkeypatch):
    (tmp_path / "cells.zip.sig").write_bytes(b"")
    limits = read_policy().limits.model_copy(update={"files": 2})
    policy = read_policy().model_copy(update={"limits": limits})
    copied = []
    monkeypatch.setattr("pipeline.sharing.receive.shutil.copy", lambda *paths: copied.append(paths))
    result = receive(path, tmp_path / "cells.zip.sig", Verifier(), tmp_path / "out", policy, "mayo")
    assert "more than 2 files" in str(result.refusals[0])
    assert copied == []
