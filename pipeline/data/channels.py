"""Several images of one case (T1 and T2, PET and CT), told apart by the endings of their names."""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from pipeline.data.sources import Source
from pipeline.errors import few

ChannelEndings = Mapping[str, str]
"""Ending of the name of each channel's image, as ``{"T1": "_0000", "T2": "_0001"}``."""


class ChannelCase(NamedTuple):
    """The images of one case.

    Attributes:
        name: what the names of its images have in common.
        images: image of each channel that it has, in the order of the channels.
    """

    name: str
    images: dict[str, Source]


def parse_channels(texts: Sequence[str]) -> dict[str, str]:
    """Read ``NAME=ENDING``, as ``T1=_0000``.

    Raises:
        ValueError: one of another form, a name or an ending twice, or fewer than two channels.

    Example:
        >>> parse_channels(["T1=_0000", "T2=_0001"])
        {'T1': '_0000', 'T2': '_0001'}
    """
    endings: dict[str, str] = {}
    for text in texts:
        match = re.fullmatch(r"([\w -]+)=(\S+)", text)
        if match is None:
            raise ValueError(f"--channels {text}: expected NAME=ENDING, as T1=_0000")
        if match[1] in endings or match[2] in endings.values():
            raise ValueError(f"--channels {text}: expected each name and each ending once")
        endings[match[1]] = match[2]
    if len(endings) < 2:
        raise ValueError(
            f"--channels {' '.join(texts)}: expected two or more, as T1=_0000 T2=_0001"
        )
    return endings


def group_channels(
    sources: Sequence[Source], endings: ChannelEndings
) -> tuple[list[ChannelCase], list[Source]]:
    """Group the images of a folder by case.

    Args:
        sources: images.
        endings: of the channels' names.

    Returns:
        The cases, some of which may lack a channel, sorted by name, and the images of no channel.

    Raises:
        ValueError: a case has two images of one channel; the message names all such cases.

    Example:
        >>> from pathlib import Path
        >>> sources = [Source(Path(f"{name}.png"), name) for name in ("a_0000", "a_0001", "b")]
        >>> cases, others = group_channels(sources, {"T1": "_0000", "T2": "_0001"})
        >>> [(case.name, list(case.images)) for case in cases], [one.name for one in others]
        ([('a', ['T1', 'T2'])], ['b'])
    """
    by_name: dict[str, dict[str, Source]] = {}
    others: list[Source] = []
    doubled: list[str] = []
    for source in sources:
        channel = _channel_of(source.name, endings)
        if channel is None:
            others.append(source)
            continue
        images = by_name.setdefault(source.name.removesuffix(endings[channel]), {})
        first = images.setdefault(channel, source)
        if first is not source:
            doubled.append(f"{first.file_name} and {source.file_name} ({channel})")
    if doubled:
        raise ValueError(
            f"{sources[0].path.parent}: two images of one channel in {len(doubled)} cases: "
            f"{few(doubled)}; remove one of each two"
        )
    cases = [
        ChannelCase(name, {channel: images[channel] for channel in endings if channel in images})
        for name, images in sorted(by_name.items())
    ]
    return cases, others


def check_channels(cases: Sequence[ChannelCase], endings: ChannelEndings, folder: str) -> None:
    """Check that there are cases, and that none lacks a channel.

    Raises:
        ValueError: it does not hold; the message names the cases and what each lacks.
    """
    expected = " and ".join(f"NAME{ending}.* ({name})" for name, ending in endings.items())
    if not cases:
        raise ValueError(f"{folder}: no image of any channel; expected {expected}")
    lacking = [
        f"{case.name} ({', '.join(channel for channel in endings if channel not in case.images)})"
        for case in cases
        if len(case.images) < len(endings)
    ]
    if lacking:
        raise ValueError(
            f"{folder}: {len(lacking)} of {len(cases)} cases lack a channel: {few(lacking)}; "
            f"expected {expected}; add the images, or remove the others of these cases"
        )


def _channel_of(name: str, endings: ChannelEndings) -> str | None:
    """Return the channel of an image; of two endings that fit, the longer one counts."""
    fitting = [
        channel
        for channel, ending in endings.items()
        if name.endswith(ending) and len(name) > len(ending)
    ]
    return max(fitting, key=lambda channel: len(endings[channel]), default=None)
