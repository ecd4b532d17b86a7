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
PRINTED = {
    "spatial_dims": "images",
    "channels": "colours",
    "intensities": "brightness",
    "spacing": "pixel size",
    "size": "image size",
    "patch": "patch",
    "crop": "patches",
    "loss": "error",
    "symmetric": "variations",
    "batch_size": "a step",
}
"""Planned values that are printed, and what they are called for whoever reads no config."""


def structure_sizes(cases: Sequence[Mapping[str, "Structure"]]) -> dict[str, float]:
    """Return the median size of each label's structure, as the plan takes it."""
    names = dict.fromkeys(name for case in cases for name in case)
    return {name: median(case[name].size for case in cases if name in case) for name in names}


def print_cohort(
    cases: Sequence["CaseStatistics"],
    structures: Sequence[Mapping[str, "Structure"]],
    labels: "LabelNumbers",
    kind: str,
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
    print("\n".join(label_table(structures, labels, _written_numbers(cases, labels, kind))))
    print()


def _written_numbers(
    cases: Sequence["CaseStatistics"], labels: "LabelNumbers", kind: str
) -> dict[str, str]:
    """Return the numbers of the files where a label has others than its own."""
    if kind == "classes":
        return {}
    if kind == "instances":
        return dict.fromkeys(labels, "1, 2, 3, …")
    values = sorted({int(v) for case in cases if case.mask for v in case.mask.values if v})
    return dict.fromkeys(labels, ", ".join(map(str, values)))


def print_plan(planned: "Plan") -> None:
    """Print what was planned, and why."""
    from pipeline.planning.bundle import choices

    print("\nThe plan (all of it, with its reasons: configs/train.yaml)")
    of_plan = choices(planned)
    for name, title in PRINTED.items():
        choice = of_plan[name]
        value = "" if choice.value is None else f"{_text(choice.value)}: "
        _print_line(title, f"{value}{choice.reason}")


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
    _print_line("training", f"{duration(seconds)} on this machine (a step took "
                f"{measured.step:.2f} s)")  # fmt: skip


def print_where(bundle: Path) -> None:
    """Print what to look at, and the command that follows."""
    from pipeline.files import shown
    from pipeline.next_command import print_next

    sheet = shown(bundle / "data" / "check" / CONTACT_SHEET)
    _print_line("look at", f"{sheet}: the outlines of the masks must lie on the structures")
    print_next("train", bundle)


def _print_line(title: str, text: str) -> None:
    lines = wrap(text, TEXT_WIDTH, break_long_words=False, break_on_hyphens=False)
    print(f"{title:{TITLE_WIDTH}}" + f"\n{' ' * TITLE_WIDTH}".join(lines))


def _text(value: object) -> str:
    if isinstance(value, list):
        return " x ".join(f"{side:g}" for side in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)
