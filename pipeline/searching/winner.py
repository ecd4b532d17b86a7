"""What a search leaves: the best trial as an overlay with its reasons, and a table of all."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import yaml
from optuna.distributions import CategoricalDistribution
from optuna.exceptions import OptunaError
from optuna.importance import get_param_importances
from optuna.trial import FrozenTrial, TrialState

from pipeline.data.datalist import read_datalist
from pipeline.files import as_csv, write_text
from pipeline.progress import count
from pipeline.searching.search import Search, outcome
from pipeline.searching.space import default_parameters, values_of

BEST = "best.yaml"
TRIALS = "trials.csv"
FEW_BEST = 5
"""Number of the best trials whose values stand beside the winner's."""
DIGITS = 4
STATES = {
    TrialState.COMPLETE: "whole",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "interrupted",
}


def best_trial(search: Search) -> FrozenTrial:
    """Return the whole trial with the best validation.

    Raises:
        ValueError: no trial is whole.
    """
    if not any(trial.state == TrialState.COMPLETE for trial in search.begun()):
        raise ValueError(
            f"{search.out}: no trial is whole ({summary(search)}); give more --trials or --minutes"
        )
    best: FrozenTrial = search.study().best_trial
    return best


def default_trial(search: Search) -> FrozenTrial | None:
    """Return the whole trial with the bundle's own values; None: there is none."""
    parameters, outside = default_parameters(search.bundle, search.space)
    for trial in search.begun():
        if not outside and trial.params == parameters and trial.state == TrialState.COMPLETE:
            return trial
    return None


def summary(search: Search) -> str:
    """Say how many trials there are, and what became of them."""
    states = Counter(STATES[trial.state] for trial in search.begun())
    parts = ", ".join(f"{number} {state}" for state, number in states.items())
    return f"{count(sum(states.values()), 'trial')}: {parts}"


def verdict(search: Search) -> str:
    """Say which trial is the best, and how the bundle's own values did."""
    best, default = best_trial(search), default_trial(search)
    if default is None:
        own = "no whole trial has the bundle's own values"
    elif default.number == best.number:
        own = "these are the bundle's own values"
    else:
        own = f"the bundle's own values {default.value:.4f}"
    return f"trial {best.number}: {outcome(best, search.metric)}; {own}"


def write_table(search: Search) -> Path:
    """Write a table of all trials, in their order."""
    rows = [
        {
            "trial": trial.number,
            "state": STATES[trial.state],
            search.metric: trial.value,
            "epochs": max(trial.intermediate_values, default=None),
            **{key: json.dumps(value) for key, value in values_of(trial.params).items()},
        }
        for trial in search.begun()
    ]
    path = search.out / TRIALS
    write_text(path, as_csv(rows))
    return path


def write_winner(search: Search) -> Path:
    """Write the best trial as an overlay; a comment says why each key has its value."""
    best, datalist = best_trial(search), read_datalist(search.data)
    heading = [
        f"Overlay of unet-school search: {verdict(search)}.",
        f"{summary(search)}; seed {search.seed}.",
        f"Cohort {datalist.name}, split {datalist.sha256[:8]}; validation alone judged the trials: "
        "the best of many is flattered, compare it over folds.",
    ]
    importances = _importances(search)
    lines = [f"# {line}" for line in heading]
    for key, value in values_of(best.params).items():
        text = yaml.safe_dump([value], default_flow_style=True, width=1000).strip()[1:-1]
        lines.append(f"{key}: {text}   # {_reason(search, key, importances)}")
    path = search.out / BEST
    write_text(path, "\n".join(lines) + "\n")
    return path


def _reason(search: Search, key: str, importances: dict[str, float]) -> str:
    whole = [t for t in search.begun() if t.state == TrialState.COMPLETE]
    is_minimised = search.study().direction.name == "MINIMIZE"
    ordered = sorted(whole, key=lambda trial: trial.value, reverse=not is_minimised)
    values = [values_of(trial.params)[key] for trial in ordered[:FEW_BEST]]
    parts = [f"of {_space_text(search, key)}", f"in the {len(values)} best: {_spread(values)}"]
    if key in importances:
        parts.append(f"importance {importances[key]:.2f}")
    return "; ".join(parts)


def _spread(values: list[Any]) -> str:
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        return f"{min(values):.{DIGITS}g} to {max(values):.{DIGITS}g}"
    times = Counter(json.dumps(value) for value in values)
    return ", ".join(f"{text} ({number})" for text, number in times.most_common())


def _space_text(search: Search, key: str) -> str:
    distribution: Any = search.space[key]
    if isinstance(distribution, CategoricalDistribution):
        return ", ".join(map(str, distribution.choices))
    logarithmic = ", logarithmic" if distribution.log else ""
    return f"{distribution.low:g} to {distribution.high:g}{logarithmic}"


def _importances(search: Search) -> dict[str, float]:
    """Return how much of the differences each key explains (PED-ANOVA); nothing of few trials."""
    try:
        return dict(get_param_importances(search.study()))
    except (OptunaError, ValueError, RuntimeError):
        return {}
