"""What ``unet-school new`` prints of a cohort and of the bundle planned for it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from textwrap import wrap
from typing import TYPE_CHECKING

from pipeline.commands.check import CONTACT_SHEET

if TYPE_CHECKING:
    from pipeline.data.fingerprint import CaseStatistics
    from pipeline.data.label_numbers import LabelNumbers
    from pipeline.data.structures import Structure
    from pipeline.planning.plan import Plan

TITLE_WIDTH = 12
TEXT_WIDTH = 88
FEW_CASES = 20
"""Below which the test cases of one split are too few to rely on."""
FOLDS = 5
MIN_SHARE = 0.5
"""Part of the processor below which a measured step is not what a training alone takes."""
PRINTED = {
    "spatial_dims": "images",
    "channels": "colours",
    "intensities": "brightness",
    "spacing": "pixel size",
    "size": "image size",
    "patch": "patch",
    "crop": "patches",
    "loss": "loss",
    "symmetric": "variations",
    "batch_size": "a step",
}
"""Planned values that are printed, and what they are called for whoever reads no config."""
WITH_VALUE = ("spacing", "size", "patch", "batch_size")
"""Those whose value says something by itself; of the others the reason says all."""


def structure_sizes(cases: Sequence[Mapping[str, "Structure"]]) -> dict[str, float]:
    """Return the median size of each label's structure, as the plan takes it."""
    names = dict.fromkeys(name for case in cases for name in case)
    return {name: median(case[name].size for case in cases if name in case) for name in names}


def print_cohort(
    cases: Sequence["CaseStatistics"],
    structures: Sequence[Mapping[str, "Structure"]],
    labels: "LabelNumbers",
    kind: str,
    colours: Mapping[tuple[int, ...], int],
) -> None:
    """Print the splits of a cohort, and the table of its labels."""
    from pipeline.data.datalist import SPLITS
    from pipeline.planning.label_table import label_table

    counts = {split: sum(case.split == split for case in cases) for split in SPLITS}
    print()
    _print_line(
        "cases",
        f"{counts['training']} to train, {counts['validation']} to choose the best epoch and the "
        f"threshold (validation), {counts['test']} to score at the end (test)",
    )
    print()
    print("\n".join(label_table(structures, labels, _written(cases, labels, kind, colours))))
    print()


def _written(
    cases: Sequence["CaseStatistics"],
    labels: "LabelNumbers",
    kind: str,
    colours: Mapping[tuple[int, ...], int],
) -> dict[str, str]:
    """Return what a user's files have for each label, where it is not the label's number."""
    if kind == "classes":
        names = {number: name for name, number in labels.items() if isinstance(number, int)}
        return {names[n]: f"#{bytes(colour).hex()}" for colour, n in colours.items() if n in names}
    if kind == "instances":
        return dict.fromkeys(labels, "1, 2, 3, …")
    values = sorted({int(v) for case in cases if case.mask for v in case.mask.values if v})
    return dict.fromkeys(labels, ", ".join(map(str, values)))


def print_plan(planned: "Plan") -> None:
    """Print what was planned, and why."""
    from pipeline.planning.bundle import choices

    print("\nThe plan (all of it, with its reasons: configs/train.yaml)")
    of_plan = choices(planned)
    titles = {name: title for name, title in PRINTED.items() if name not in _unsaid(planned)}
    for name, title in titles.items():
        choice = of_plan[name]
        number = name in WITH_VALUE and choice.value is not None
        _print_line(title, (f"{_text(choice.value)}: " if number else "") + choice.reason)


def _unsaid(planned: "Plan") -> tuple[str, ...]:
    """Return the planned values that say nothing of these images."""
    if planned.spatial_dims.value == 3:
        return ("size",)  # volumes have a pixel size
    return ("spacing",) if planned.size.value else ()


def print_duration(bundle: Path) -> None:
    """Print how long the planned training takes here, from one measured step of it."""
    from pipeline.memory_errors import is_out_of_memory
    from pipeline.planning.minutes import duration, measure_training

    print()
    try:
        seconds, measured = measure_training(bundle)
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        _print_line("training", "a step does not fit into the free memory; lower batch_size or "
                    "patch in configs/train.yaml")  # fmt: skip
        return
    text = f"{duration(seconds)} on this machine"
    if measured.share < MIN_SHARE:
        alone = duration(seconds * measured.share)
        text = f"{alone} on this machine, and {duration(seconds)} while it is as busy as now"
    _print_line("training", text)


def print_where(bundle: Path, cases: Sequence["CaseStatistics"], labels: "LabelNumbers") -> None:
    """Print what to look at, and the command that follows."""
    from pipeline.data.contact_sheet import outline_colours
    from pipeline.files import shown
    from pipeline.next_command import print_next

    sheet = shown(bundle / "data" / "check" / CONTACT_SHEET)
    colours = outline_colours(cases)
    named = ", ".join(
        f"{colours[number]} {name}"
        for name, number in labels.items()
        if isinstance(number, int) and number in colours
    )
    outlines = f"the outlines ({named})" if named else "the outlines of the masks"
    _print_line("look at", f"{sheet}: {outlines} must lie on the structures")
    _print_few(bundle, cases)
    print_next("train", bundle)


def print_overlays(bundle: Path) -> None:
    """Say what the bundle's own overlays are for, of those that not every bundle has."""
    from pipeline.bundle.bundle import EXPERIMENTS

    if (bundle / "configs" / EXPERIMENTS / "locate.yaml").is_file():
        _print_line(
            "overlay",
            "all that is labelled fits a box of a quarter of an image or less; train --with locate "
            "locates first, and segments the box alone",
        )


def _print_few(bundle: Path, cases: Sequence["CaseStatistics"]) -> None:
    """Say of a few cases that one split says little, and print the command that tests them all."""
    from pipeline.next_command import typed_command
    from pipeline.progress import count

    if len(cases) >= FEW_CASES:
        return
    tested = sum(case.split == "test" for case in cases)
    patients = {case.columns.get("patient", f"case {i}") for i, case in enumerate(cases)}
    _print_line(
        "few cases",
        f"a score of {count(tested, 'test case')} says little; after a first training, test each "
        f"of the {len(cases)} cases by cross-validation:",
    )
    folds = str(min(FOLDS, len(patients)))
    command = typed_command("crossval", bundle, "--folds", folds, "--out", "runs/cv")
    print(f"{'':{TITLE_WIDTH}}{command}")


def _print_line(title: str, text: str) -> None:
    lines = wrap(text, TEXT_WIDTH, break_long_words=False, break_on_hyphens=False)
    print(f"{title:{TITLE_WIDTH}}" + f"\n{' ' * TITLE_WIDTH}".join(lines))


def _text(value: object) -> str:
    if isinstance(value, list):
        return " x ".join(f"{side:g}" for side in value)
    return str(value)
