"""Preparing data: from files on disk to a checked, split and hashed datalist."""

from pipeline.data.datalist import (
    Datalist,
    Entry,
    columns_of,
    datalist_sha256,
    image_hashes,
    images_among,
    load_split,
    read_datalist,
    write_datalist,
)

__all__ = [
    "Datalist",
    "Entry",
    "columns_of",
    "datalist_sha256",
    "image_hashes",
    "images_among",
    "load_split",
    "read_datalist",
    "write_datalist",
]
