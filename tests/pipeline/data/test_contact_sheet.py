"""The picture of a cohort's images with the outlines of their masks."""

import numpy as np
import pytest
from PIL import Image

from pipeline.data.contact_sheet import OUTLINES, contact_sheet, outline_colours
from pipeline.data.fingerprint import Listed, inspect_cases


def cases_with(folder, *numbers):
    """One case for each tuple of numbers; each number is a square of its own."""
    listed = []
    for i, of_case in enumerate(numbers):
        mask = np.zeros((60, 60), np.uint8)
        for place, number in enumerate(of_case):
            mask[10:20, 20 * place + 2 : 20 * place + 14] = number
        paths = [folder / f"{kind}{i}.png" for kind in ("image", "mask")]
        noise = np.random.default_rng(i).integers(0, 255, mask.shape).astype(np.uint8)
        for path, pixels in zip(paths, (noise, mask), strict=True):
            Image.fromarray(pixels).save(path)
        listed.append(Listed(*paths))
    return inspect_cases(listed, workers=1)


@pytest.mark.parametrize(
    ("numbers", "colours"),
    [
        ([(1, 2), (2,)], {1: "orange", 2: "blue"}),
        ([(3, 128, 255)], {3: "orange", 128: "blue", 255: "green"}),
        ([(1,), (255,)], {}),  # one structure, stored in two ways
        ([(0,)], {}),
    ],
)
def test_labels_have_outlines_of_their_own(tmp_path, numbers, colours):
    cases = cases_with(tmp_path, *numbers)
    assert outline_colours(cases) == colours
    assert contact_sheet(cases, tmp_path / "sheet.png") == len(cases)
    sheet = np.asarray(Image.open(tmp_path / "sheet.png")).reshape(-1, 3)
    drawn = {name for name, rgb in OUTLINES.items() if (sheet == rgb).all(axis=1).any()}
    empty = numbers == [(0,)]
    assert drawn == (set(colours.values()) or (set() if empty else {"orange"}))
