"""Of many images that differ in the same way one line is printed."""

from pipeline.inference.quality_lines import quality_lines
from pipeline.inference.report import InferenceReport

DARK = "mean {}, where 90 % of them have 100 to 120"
FLAT = "deviation {}, where 90 % of them have 30 to 40"


def entry(name, *differences):
    return {"image": name, "differences": list(differences)}


def test_all_differences_of_an_image_are_in_its_line():
    assert quality_lines([entry("a.png", DARK.format(3), FLAT.format(1e-05))]) == [
        "quality     a.png: mean 3, where 90 % of them have 100 to 120; deviation 1e-05, where "
        "90 % of them have 30 to 40"
    ]


def test_an_image_alike_is_counted_and_another_has_a_line_of_its_own():
    many = [entry(f"{i:02}.png", DARK.format((i - 20) / 4)) for i in range(40)]
    lines = quality_lines([*many, entry("flat.png", FLAT.format(2)), entry("good.png")])
    assert lines == [
        "quality     00.png: mean -5.0, where 90 % of them have 100 to 120; 39 more images alike: "
        "01.png, 02.png, 03.png, 04.png, 05.png, …",
        "quality     flat.png: deviation 2, where 90 % of them have 30 to 40",
    ]


def test_the_report_prints_them(tmp_path):
    report = InferenceReport(tmp_path, {"threshold": 0.5}, {})
    for name in ("a.png", "b.png"):
        made = {"files": [], "seconds": 1, "coverage": "partial"}
        report.add({**entry(name, "not checked"), **made})
    assert report.lines()[1:] == ["quality     a.png: not checked; 1 more image alike: b.png"]
