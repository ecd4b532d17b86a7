"""Datalists, configs, overrides and states with a random defect: refused in one line, or right.

A refusal is an error that has a line (:func:`pipeline.errors.error_line`). What is not refused is
what it was: the files of a datalist, the tensors of a state, a key of a config that has a use.
"""

import copy
import json
import shutil
from pathlib import Path

import pytest
import torch
import yaml
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from pipeline.bundle import Bundle
from pipeline.bundle.knobs import KNOBS
from pipeline.bundle.overrides import read_settings, split_key
from pipeline.data import image_hashes, load_split, read_datalist
from pipeline.data.datalist import columns_of, datalist_sha256
from pipeline.errors import error_line
from pipeline.files import sha256
from pipeline.states import read_whole_state, write_state
from tests.faults.trainings import differences

MAX_MESSAGE_CHARACTERS = 1000
SPLITS = ("training", "validation", "test")


def examples(count):
    return settings(
        max_examples=count, derandomize=True, deadline=None, database=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip


COUNTS = [pytest.param(35, id="few"), pytest.param(350, id="many", marks=pytest.mark.slow)]
"""Examples of each of the six: 200, and 2,000 where time does not count."""


def refusal(function):
    """Return the line of the error that a call ends with; None: it ends without one."""
    try:
        function()
    except Exception as error:
        refused, line = error, error_line(error)
    else:
        return None
    assert line, f"no line for {refused!r}"
    assert "\n" not in line, line
    assert len(line) < MAX_MESSAGE_CHARACTERS, line
    return line


# ------------------------------------------------------------------------------- random defects

ODD = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20),
    st.sampled_from(
        ["", " ", "nan", "1e-3", "@nothing", "%nothing", "$nothing", "$1/0", "../../x", "/", "\0",
         [], {}, [[]], {"": None}, {"_target_": "os.nothing"}, {"_target_": 3}, -1, 10**400]
    ),
    st.lists(st.integers(-2, 2), max_size=3),
    st.dictionaries(st.text(max_size=3), st.integers(-2, 2), max_size=2),
)  # fmt: skip
"""Values that somebody may write where another is expected."""


def places(content, path=()):
    """Yield the path of everything in a nested content."""
    if path:
        yield path
    pairs = content.items() if isinstance(content, dict) else enumerate(content)
    for key, value in pairs:
        if isinstance(value, dict | list):
            yield from places(value, (*path, key))
        else:
            yield (*path, key)


def at(content, path):
    for key in path:
        content = content[key]
    return content


def misspelt(name, draw):
    """Return a name with a letter left out, doubled or swapped with the next."""
    assume(len(name) > 3)
    i = draw(st.integers(0, len(name) - 2))
    endings = (name[i + 1 :], 2 * name[i] + name[i + 1 :], name[i + 1] + name[i] + name[i + 2 :])
    return name[:i] + draw(st.sampled_from(endings))


@st.composite
def defects(draw, content, kinds=("drop", "replace", "rename", "byte")):
    """Return a kind of defect, the path that it is at, and the content with it."""
    content = copy.deepcopy(content)
    kind = draw(st.sampled_from(kinds))
    path = draw(st.sampled_from(list(places(content))))
    parent, last = at(content, path[:-1]), path[-1]
    if kind == "drop":
        del parent[last]
    elif kind == "rename":
        assume(isinstance(parent, dict) and isinstance(last, str))
        parent[misspelt(last, draw)] = parent.pop(last)
    elif kind == "byte" and isinstance(parent[last], str) and parent[last]:
        i = draw(st.integers(0, len(parent[last]) - 1))
        parent[last] = parent[last][:i] + draw(st.characters()) + parent[last][i + 1 :]
    else:
        parent[last] = draw(ODD)
    return kind, path, content


# ------------------------------------------------------------------------------------ datalists


@pytest.fixture(scope="module")
def cohort(phantom, tmp_path_factory):
    return Path(shutil.copytree(phantom, tmp_path_factory.mktemp("fuzz") / "cohort"))


@pytest.mark.parametrize("count", COUNTS)
def test_a_datalist_with_a_defect(cohort, phantom, count):
    """Keys dropped, misspelt, of another type or with another letter: one line, or its files."""
    original = json.loads((phantom / "datalist.json").read_text())
    hashes = {str(p.relative_to(phantom)): sha256(p) for p in phantom.rglob("*.png")}

    @examples(count)
    @given(defects(original))
    def examine(defect):
        (cohort / "datalist.json").write_text(json.dumps(defect[2]))
        refusal(lambda: datalist_sha256(str(cohort)))
        for split in SPLITS:
            refusal(lambda split=split: image_hashes(str(cohort), split))
            refusal(lambda split=split: columns_of(str(cohort), split))
            refusal(lambda split=split: check_files(split))

    def check_files(split):
        read_datalist(cohort).to_json()
        for files in load_split(str(cohort), split):
            for kind, path in files.items():
                name = str(Path(path).resolve().relative_to(cohort))
                assert name.startswith(kind), f"{name} as {kind}"
                assert sha256(Path(path)) == hashes[name]

    examine()


@pytest.mark.parametrize("count", COUNTS)
def test_a_datalist_with_other_bytes(cohort, phantom, count):
    """Bytes of the file flipped, or the file cut: one line, or its files."""
    original = (phantom / "datalist.json").read_bytes()

    @examples(count)
    @given(damages(original))
    def examine(content):
        (cohort / "datalist.json").write_bytes(content)
        refusal(lambda: datalist_sha256(str(cohort)))
        for split in SPLITS:
            refusal(lambda split=split: load_split(str(cohort), split))

    examine()


# --------------------------------------------------------------------------- configs, overrides


@pytest.fixture(scope="module")
def copied(bundle, tmp_path_factory):
    """A bundle whose config may be spoilt."""
    return Path(shutil.copytree(bundle, tmp_path_factory.mktemp("fuzz") / "membranes" / "configs"))


@pytest.mark.parametrize("count", COUNTS)
def test_a_config_with_a_defect(bundle, copied, count):
    """Keys of train.yaml dropped, misspelt or of another type: one line, or a config."""
    original = yaml.safe_load((bundle / "train.yaml").read_text())

    @examples(count)
    @given(defects(original))
    def examine(defect):
        (copied / "train.yaml").write_text(yaml.dump(defect[2]))
        refusal(lambda: Bundle(copied.parent).check("training"))

    examine()


@pytest.mark.parametrize("count", COUNTS)
def test_an_overlay_with_a_misspelt_key(bundle, copied, count):
    """A misspelt key of an overlay: one line that names it; MONAI would take it silently."""
    original = yaml.safe_load((bundle / "train.yaml").read_text())
    names = [name for name in original if name not in ("initialize", "run")]
    overlay = copied / "overlay.yaml"

    @examples(count)
    @given(st.sampled_from(names), st.data())
    def examine(name, data):
        wrong = misspelt(name, data.draw)
        assume(wrong not in original)
        overlay.write_text(yaml.dump({wrong: original[name]}))
        assert wrong in refusal(lambda: Bundle(bundle.parent, [overlay]).check("training"))

    examine()


@pytest.mark.parametrize("count", COUNTS)
def test_an_override_of_an_odd_type(bundle, count):
    """Any text for any key, misspelt ones too: one line, or a value that the knob accepts."""
    original = yaml.safe_load((bundle / "train.yaml").read_text())
    keys = ["#".join(map(str, path)) for path in places(original)]
    texts = ODD.map(str) | st.text(max_size=12) | ODD.map(lambda v: json.dumps(v, default=str))

    @examples(count)
    @given(st.sampled_from([*keys, *KNOBS]), texts, st.booleans(), st.data())
    def examine(key, text, wrong, data):
        top = split_key(key)[0]
        if wrong:
            key = misspelt(top, data.draw) + key.removeprefix(top)
        overrides = {}
        line = refusal(lambda: overrides.update(read_settings([f"{key}={text}"])))
        if line is None:
            line = refusal(lambda: Bundle(bundle.parent, [], overrides).check("training"))
        if wrong and split_key(key)[0] not in (*original, *KNOBS):
            assert line is not None, key
        elif line is None and key in KNOBS:
            check_knob(key, overrides[key])

    examine()


def check_knob(key, value):
    if not (isinstance(value, str) and value[:1] in ("$", "@", "%")):
        assert KNOBS[key].accepts(value) or (isinstance(value, dict) and "_target_" in value)


# --------------------------------------------------------------------------------------- states


@st.composite
def damages(draw, content):
    """Return content that is cut, or of which some bytes have another value."""
    if draw(st.booleans()):
        return content[: draw(st.integers(0, len(content) - 1))]
    spoilt = bytearray(content)
    for place in draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=4)):
        spoilt[place] ^= draw(st.integers(1, 255))
    return bytes(spoilt)


@pytest.mark.parametrize("count", COUNTS)
def test_a_damaged_state(tmp_path, count, capsys):
    """Bytes flipped, or the file cut: the state before it, whole."""
    states = [
        {"network": {"w": torch.full((40,), float(epoch))}, "trainer": {"epoch": epoch}}
        for epoch in (1, 2)
    ]
    for state in states:
        write_state(tmp_path, state)
    last, previous = tmp_path / "last.pt", tmp_path / "previous.pt"
    whole, before = last.read_bytes(), previous.read_bytes()

    @examples(count)
    @given(damages(whole), st.none() | damages(before))
    def examine(content, other):
        assume(content != whole)
        last.write_bytes(content)
        previous.write_bytes(before if other is None or other == before else other)
        read = []
        line = refusal(lambda: read.append(read_whole_state(last)))
        if previous.read_bytes() == before:
            assert read[0][0] == previous
            assert not differences(read[0][1], states[0])
        else:
            assert str(last) in line
            assert str(previous) in line

    examine()
