"""Preparing data: from files on disk to a checked, split and hashed datalist."""

from pipeline.data.datalist import Datalist, load_split, read_datalist, write_datalist

__all__ = ["Datalist", "load_split", "read_datalist", "write_datalist"]
