"""Answers without the places of files: a caller may learn the name of one, and no more."""

import os
import re
from collections.abc import Iterable
from pathlib import Path

DIRECTORIES = re.compile(r"(?<![\w./])(?:[A-Za-z]:)?[/\\](?:[^\s/\\:,;'\"]+[/\\])+(?=[\w.])")
"""The folders of an absolute path without blanks, up to the name at its end."""


class NamesOnly:
    """Takes the folders of paths out of texts.

    Args:
        folders: of the service; their parents are taken out also where they have blanks, or are
            relative.

    Example:
        >>> names = NamesOnly([Path("/data/our labels"), Path("cohorts/mine")])
        >>> names("/data/our labels/a.nii.gz: not readable; see /tmp/x/b.log, cohorts/mine")
        'our labels/a.nii.gz: not readable; see b.log, mine'
    """

    def __init__(self, folders: Iterable[Path]) -> None:
        places = {place for folder in folders for place in (folder, folder.resolve())}
        parents = {f"{place.parent}{os.sep}" for place in places if place.parent.name}
        self._parents = sorted(parents, key=len, reverse=True)

    def __call__(self, text: str) -> str:
        """Return a text with the names of files alone."""
        for parent in self._parents:
            text = text.replace(parent, "")
        return DIRECTORIES.sub("", text)
