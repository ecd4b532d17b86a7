"""The programs of ``benchmarks``: how they are put into the page, and what they count."""

import importlib
import sys

import pytest
import torch

from tests.conftest import ROOT

FOLDER = ROOT / "benchmarks"
CACHE, ENGINES = "<!-- cache --rounds 5 -->\n", "<!-- engines -->\n"
PAGE = f"before\n{CACHE}old\n<!-- end -->\nbetween\n{ENGINES}<!-- end -->\n"


@pytest.fixture
def program(monkeypatch):
    """Import a program of the folder, whose programs import each other by name."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(FOLDER)
    yield importlib.import_module
    for name in set(sys.modules) - before:
        if (FOLDER / f"{name}.py").is_file():
            del sys.modules[name]


def test_every_place_of_the_page_has_a_program_and_a_table(program):
    page = program("write_page").PAGE.read_text("utf-8")
    for match in program("write_page").PLACE.finditer(page):
        assert (FOLDER / f"{match['command'].split()[0]}.py").is_file()
        assert "commit " in match["table"], match["command"]
        assert "\n|---|" in match["table"], match["command"]


def test_a_table_takes_its_own_place_alone(program):
    pages = program("write_page")
    cache, engines = pages.places(PAGE)
    page = pages.filled(pages.filled(PAGE, engines, "| fast |\n"), cache, "| new |\n")
    assert page == PAGE.replace("old", "| new |").replace(
        "engines -->\n", "engines -->\n| fast |\n"
    )


def test_ways_that_take_turns_are_compared_round_by_round(program):
    turns = program("turns")
    seconds = iter([1.0, 2.0, 3.0, 3.0, 8.0, 2.0])
    times = turns.take_turns({way: lambda: next(seconds) for way in ("slow", "fast")}, 3)
    assert times == {"slow": [1.0, 3.0, 8.0], "fast": [2.0, 3.0, 2.0]}
    assert str(turns.ratio(times["slow"], times["fast"])) == "1.00 (0.50 to 4.00)"


def test_a_worker_answers_when_it_is_asked(program, tmp_path):
    script = tmp_path / "worker.py"
    script.write_text(
        f"import sys\nsys.path.insert(0, {str(FOLDER)!r})\n"
        "import turns, time\nturns.work(lambda: time.sleep(0.01), 3)\n"
    )
    with program("turns").workers({"one": [script], "other": [script]}) as measures:
        assert all(measure() >= 0.01 for measure in (*measures.values(), *measures.values()))


def test_a_worker_that_fails_ends_the_benchmark(program, tmp_path):
    script = tmp_path / "worker.py"
    script.write_text("raise ValueError")
    with (
        pytest.raises(SystemExit, match=r"worker\.py"),
        program("turns").workers({"one": [script]}),
    ):
        pass


def test_the_limit_of_a_convolution_by_hand(program):
    roofline = program("roofline")
    network = torch.nn.Sequential(torch.nn.Conv2d(2, 3, 3, padding=1), torch.nn.ReLU())
    convolution, activation = roofline.operations_of(network, torch.rand(1, 2, 8, 8))
    assert convolution.flop == 2 * 3 * 3 * 2 * 3 * 64
    assert convolution.numbers == 2 * 64 + 3 * 64 + 2 * 3 * 9 + 3
    assert activation == (0, 2 * 3 * 64)
    numbers = convolution.numbers + activation.numbers
    assert roofline.limit([convolution, activation], 1e30, 1.0, 4) == 4 * numbers
    assert roofline.limit([convolution, activation], 1.0, 1e30, 4) == pytest.approx(6912)
