"""What ``unet-school new`` says of a cohort at its end."""

from pathlib import Path

from pipeline.commands.new_summary import FEW_CASES, print_where
from pipeline.data.fingerprint import CaseStatistics


def cohort(number, patients):
    splits = ["test", *["training"] * (number - 1)]
    return [
        CaseStatistics(Path(f"{i}.png"), Path(f"{i}.png"), split, {"patient": i % patients})
        for i, split in enumerate(splits)
    ]


def test_a_few_cases_are_to_be_cross_validated(capsys):
    print_where(Path("mine"), cohort(FEW_CASES - 1, patients=3), {"cell": 1})
    *_, command, following = capsys.readouterr().out.splitlines()
    assert command.strip() == "unet-school crossval mine --folds 3 --out runs/cv"
    assert following == "next        unet-school train mine"


def test_a_score_of_many_cases_needs_no_advice(capsys):
    print_where(Path("mine"), cohort(FEW_CASES, patients=FEW_CASES), {"cell": 1})
    assert "few cases" not in capsys.readouterr().out
