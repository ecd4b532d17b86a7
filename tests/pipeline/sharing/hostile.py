"""Hostile archives, made from an acceptable one: by bytes, or by Python's own zip writer."""

import io
import stat
import struct
import warnings
import zipfile
from collections.abc import Callable

from pipeline.sharing import zip_format
from pipeline.sharing.zip_format import Entry, central_header, directory, local_header

FILES = {"LICENSE": b"free", "docs/README.md": b"# A model\n", "models/model.json": b"{}"}
"""Files of a small archive, written below the folder ``cells``."""
README = "cells/docs/README.md"
PLAIN = (stat.S_IFREG | 0o644) << 16


def rezipped(content: bytes, change: Callable[[zipfile.ZipFile, zipfile.ZipInfo, bytes], None]):
    """The archive anew, with a function that writes each file."""
    stream = io.BytesIO()
    with (
        warnings.catch_warnings(),
        zipfile.ZipFile(io.BytesIO(content)) as old,
        zipfile.ZipFile(stream, "w") as archive,
    ):
        warnings.simplefilter("ignore", UserWarning)  # of names that stand twice
        for info in old.infolist():
            change(archive, info, old.read(info))
    return stream.getvalue()


def with_info(**fields):
    """Change fields of one file's entry."""

    def make(content):
        def change(archive, info, data):
            for name, value in fields.items() if info.filename == README else ():
                setattr(info, name, value)
            archive.writestr(info, data)

        return rezipped(content, change)

    return make


def with_file(name, mode=PLAIN):
    """Add a file as Python's writer does, at the place where its name sorts."""

    def make(content):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            files = [(info.filename, archive.read(info)) for info in archive.infolist()]
        stream = io.BytesIO()
        with warnings.catch_warnings(), zipfile.ZipFile(stream, "w") as archive:
            warnings.simplefilter("ignore", UserWarning)
            for file, data in sorted([*files, (name, b"x")]):
                info = zipfile.ZipInfo(file)
                info.filename = file  # ZipInfo ends a name at a NUL
                info.external_attr = mode if file == name else PLAIN
                info.create_system = 3
                archive.writestr(info, data)
        return stream.getvalue()

    return make


def with_field(signature, layout, fields, field, value):
    """Overwrite one field of a header of the second file."""

    def make(content):
        at = content.index(signature, content.index(signature) + 1)
        numbers = list(layout.unpack_from(content, at))
        numbers[fields.index(field)] = value
        return content[:at] + layout.pack(*numbers) + content[at + layout.size :]

    return make


def with_local(field, value):
    return with_field(
        zip_format.LOCAL_SIGNATURE, zip_format.LOCAL, zip_format.LOCAL_FIELDS, field, value
    )


def with_central(field, value):
    return with_field(
        zip_format.CENTRAL_SIGNATURE, zip_format.CENTRAL, zip_format.CENTRAL_FIELDS, field, value
    )


def parts(content):
    """The files with their headers, and the directory with its end record."""
    at = content.index(zip_format.CENTRAL_SIGNATURE)
    return content[:at], content[at:]


def moved(tail, by):
    """A directory that stands so many bytes later."""
    at = tail.rindex(zip_format.END_SIGNATURE)
    fields = list(zip_format.END.unpack_from(tail, at))
    fields[6] += by
    return tail[:at] + zip_format.END.pack(*fields) + tail[at + zip_format.END.size :]


def with_gap(gap):
    """Put bytes between the last file and a directory that does not mention them."""

    def make(content):
        files, tail = parts(content)
        return files + gap + moved(tail, len(gap))

    return make


def with_hidden_file(content):
    files, _ = parts(content)
    hidden = Entry("cells/sitecustomize.py", 1, 0xDEADBEEF, len(files))
    return with_gap(local_header(hidden) + b"x")(content)


def with_hidden_end(content):
    """A file whose bytes are a second directory and end record."""
    inner = central_header(Entry("evil/evil.py", 0, 0, 0))
    return content + inner + directory([], 0)


def reversed_files(content):
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(stream, "w") as archive:
        for info in reversed(old.infolist()):
            archive.writestr(info, old.read(info))
    return stream.getvalue()


def streamed(content):
    """As written to a pipe: sizes after the file, in a data descriptor."""

    class Pipe(io.RawIOBase):
        written = b""

        def writable(self):
            return True

        def write(self, data):
            self.written += bytes(data)
            return len(data)

    pipe = Pipe()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(pipe, "w") as archive:
        for info in old.infolist():
            archive.writestr(zipfile.ZipInfo(info.filename), old.read(info))
    return pipe.written


def commented(content):
    stream = io.BytesIO(content)
    with zipfile.ZipFile(stream, "a") as archive:
        archive.comment = b"\x1b[2Jhello"
    return stream.getvalue()


def large_sizes(content):
    def change(archive, info, data):
        with archive.open(info, "w", force_zip64=True) as stream:
            stream.write(data)

    return rezipped(content, change)


LINK, PIPE, FOLDER, SETUID = (
    (kind | mode) << 16
    for kind, mode in (
        (stat.S_IFLNK, 0o644), (stat.S_IFIFO, 0o644), (stat.S_IFDIR, 0o755),
        (stat.S_IFREG, 0o4755),
    )
)  # fmt: skip
UNICODE_PATH = struct.pack("<2HBL", 0x7075, 17, 1, 0) + b"../../evil.py"
IN_DIRECTORY = "in the directory, it has another"
HOSTILE = {
    # name: how to make it, the expected place, the expected words
    "deflated": (with_info(compress_type=8), README, "compression method 8, not 0"),
    "bzip2": (with_info(compress_type=12), README, "its header has another version"),
    "lzma": (with_info(compress_type=14), README, "its header has another version"),
    "later date": (with_info(date_time=(2024, 1, 1, 0, 0, 0)), README, "date"),
    "comment of a file": (with_info(comment=b"\x1b[2J"), README, "length of the comment 4, not 0"),
    "extra field": (with_info(extra=UNICODE_PATH), README, "length of the extra field 22, not 0"),
    "setuid": (with_info(external_attr=SETUID), README, f"{IN_DIRECTORY} attributes"),
    "link": (with_info(external_attr=LINK), README, f"{IN_DIRECTORY} attributes"),
    "pipe": (with_info(external_attr=PIPE), README, f"{IN_DIRECTORY} attributes"),
    "folder's mode": (with_info(external_attr=FOLDER), README, f"{IN_DIRECTORY} attributes"),
    "folder of DOS": (with_info(external_attr=PLAIN | 0x10), README, f"{IN_DIRECTORY} attributes"),
    "text flag": (with_info(internal_attr=1), README, "internal attributes 1, not 0"),
    "of Windows": (with_info(create_system=0), README, f"{IN_DIRECTORY} system"),
    "sizes in 64 bits": (large_sizes, "cells/LICENSE", "version 45, not 20"),
    "sizes after the file": (streamed, "cells/LICENSE", "flags 8, not 0"),
    "comment": (commented, "cells.zip", "another end record"),
    "local method": (with_local("compression method", 8), README, "compression method 8, not 0"),
    "local flag, encrypted": (with_local("flags", 1), README, "flags 1, not 0"),
    "local flag, UTF-8": (with_local("flags", 0x800), README, "flags 2048, not 0"),
    "local time": (with_local("time", 1), README, "time 1, not 0"),
    "local version": (with_local("version", 63), README, "version 63, not 20"),
    "local packed size": (with_local("packed size", 9), README, "packed size 9, not 10"),
    "local size": (with_local("size", 9), README, "packed size 10, not 9"),
    "local checksum": (with_local("CRC-32", 1), README, f"{IN_DIRECTORY} CRC-32"),
    "local size of 4 GiB": (with_local("size", 0xFFFFFFFF), README, "its header has another"),
    "local name": (
        lambda content: content.replace(b"README", b"README"[::-1], 1),
        "cells/docs/EMDAER.md",
        f"{IN_DIRECTORY} name",
    ),
    "long name": (
        with_local("length of the name", 9999),
        "cells.zip, byte 47",
        "a name of 9999 bytes, 255 are the longest",
    ),
    "name that is no text": (
        lambda content: content.replace(b"README", b"\xff\xfeADME"),
        "cells.zip, byte 47",
        "utf-8",
    ),
    "directory's method": (with_central("compression method", 8), README, "compression method"),
    "directory's flag": (with_central("flags", 1), README, f"{IN_DIRECTORY} flags"),
    "directory's size": (with_central("size", 1 << 20), README, f"{IN_DIRECTORY} size"),
    "directory's position": (with_central("position", 0), README, f"{IN_DIRECTORY} position"),
    "directory's disk": (with_central("disk", 1), README, f"{IN_DIRECTORY} disk"),
    "hidden file": (with_hidden_file, "cells/sitecustomize.py", IN_DIRECTORY),
    "gap": (with_gap(b"#!/bin/sh\n"), "cells/LICENSE", IN_DIRECTORY),
    "gap of zeros": (with_gap(bytes(4)), "cells/LICENSE", IN_DIRECTORY),
    "no directory": (lambda content: parts(content)[0], "cells/LICENSE", "cut short"),
    "one byte less": (lambda content: content[:-1], "cells.zip", "another end record"),
    "half": (lambda content: content[: len(content) // 2], "cells/", ""),
    "cut inside a file": (
        lambda content: content[: content.index(b"# A model") + 3],
        README,
        "lies outside the archive: ask the sender to send it again",
    ),
    "trailing data": (lambda content: content + b"x", "cells.zip", "1 bytes after the archive"),
    "second end record": (with_hidden_end, "cells.zip", "bytes after the archive"),
    "two archives": (lambda content: content * 2, "cells.zip", "bytes after the archive"),
    "bytes before": (lambda content: b"#!/bin/sh\n" + content, "cells.zip", "begin with a file"),
    "bytes before, counted": (
        lambda content: b"#!" + parts(content)[0] + moved(parts(content)[1], 2),
        "cells.zip",
        "begin with a file",
    ),
    "no bytes": (lambda content: b"", "cells.zip", "expected a zip file"),
    "no file": (lambda content: directory([], 0), "cells.zip", "expected a zip file"),
    "no zip file": (lambda content: b"%PDF-1.7\n" * 99, "cells.zip", "expected a zip file"),
    "another order": (reversed_files, "cells/docs/README.md", "expected the files sorted by name"),
}
NAMES = {
    "cells/../../evil.py": "out of the bundle's folder",
    "/etc/evil": "out of the bundle's folder",
    "cells\\evil.py": "of another system",
    "C:/evil.py": "of another system",
    "cells/.git/config": "a hidden file",
    "cells/docs/.hidden": "a hidden file",
    "cells/docs//x.md": "a hidden file",
    "other/docs/x.md": "expected one folder",
    "evil.py": "outside the bundle's folder",
    "cells/docs/": "an entry for a folder",
    "cells/docs/con.md": "some systems change",
    "cells/docs/x.md.": "some systems change",
    "cells/docs/README.md": "each name once",
    "cells/DOCS/readme.md": "each name once",
    "cells/LICENSE/x.md": "is a file",
    "cells/licence\x00.md": "invisible or ambiguous letters",
    "cells/docs/a\u202eb.md": "invisible or ambiguous letters",
    "cells/docs/e\u0301.md": "invisible or ambiguous letters",
    "cells/docs/" + "x" * 300: "255 are the longest",
}
"""Names that some program would write elsewhere, or twice."""
