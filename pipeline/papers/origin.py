"""What a record was made with, and whether it is still of its experiment."""

from collections.abc import Mapping
from pathlib import Path

from pipeline.papers.configs import config_hashes
from pipeline.papers.paper import SCALES, Experiment, Paper
from pipeline.papers.recorded import Record, Recorded, sentence

PARTS = {
    "training_sha256": "training",
    "evaluation_sha256": "evaluation",
    "datalist_sha256": "split",
}
"""What each hash of a record is of."""


def descriptions(recorded: Recorded) -> list[str]:
    """Return a line for each experiment: its settings, and the origin of its records."""
    return [_description(recorded, experiment) for experiment in recorded.paper.experiments]


def changed_parts(record: Record, now: Mapping[str, str]) -> list[str]:
    """Return the parts whose hashes are not those of the record.

    Example:
        >>> changed_parts({"training_sha256": "a", "evaluation_sha256": "b"},
        ...               {"training_sha256": "a", "evaluation_sha256": "c"})
        ['evaluation']
    """
    return [PARTS[key] for key, value in now.items() if record.get(key) != value]


def is_clean(commit: str) -> bool:
    """Say whether a commit is the whole code, so that others can run it again.

    Example:
        >>> is_clean("0f4a1f3d"), is_clean("0f4a1f3d-dirty"), is_clean("none")
        (True, False, False)
    """
    return commit != "none" and not commit.endswith("-dirty")


def rerun_command(paper: str, *experiments: str) -> str:
    """Return the command that makes records again.

    Example:
        >>> rerun_command("membranes", "default")
        'unet-school reproduce membranes --only default --rerun'
    """
    return f"unet-school reproduce {paper} --only {' '.join(experiments)} --rerun"


def _description(recorded: Recorded, experiment: Experiment) -> str:
    line = f"- **{experiment.title}**: {sentence(experiment.settings)}"
    line += f" Reduced: {sentence(experiment.reduced)}"
    for scale in SCALES:
        if record := recorded.records[experiment.name, scale]:
            line += f" {_origin(record)}"
            line += _stale(recorded.root, recorded.paper, experiment, record)
    return line


def _origin(record: Record) -> str:
    """Return images, seeds, hardware, settings and commits of a record."""
    n = max(score.get("n", 0) for score in record["metrics"].values())
    settings = f", with {' '.join(record['settings'])}" if record["settings"] else ""
    numbers = ", ".join(map(str, record["seeds"]))
    seeds = f"seeds {numbers}" if len(record["seeds"]) > 1 else f"one seed, {numbers}"
    commits = ", ".join(map(_shown, sorted({*record["commits"], record["recorded_at"]})))
    return (
        f"*At {record['scale']} scale: {n} images, {seeds}, on "
        f"{' and '.join(record['hardware'])}{settings}, commit {commits}.*"
    )


def _shown(commit: str) -> str:
    """Return the beginning of a commit, marked where it is not the whole code."""
    if commit == "none":
        return "**unknown**"
    return commit[:8] + ("" if is_clean(commit) else " **with uncommitted changes**")


def _stale(root: Path, paper: Paper, experiment: Experiment, record: Record) -> str:
    """Return a remark if the config of a record has changed since."""
    now = config_hashes(root, paper, experiment, record["scale"], record["settings"])
    parts = changed_parts(record, now)
    if not parts:
        return ""
    command = rerun_command(paper.name, experiment.name)
    return f" **The config of its {' and '.join(parts)} has changed since: `{command}`.**"
