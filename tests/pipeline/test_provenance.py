import subprocess
from pathlib import Path

import pytest

from pipeline.provenance import git_commit


@pytest.fixture
def repository(tmp_path) -> Path:
    for name in ("pipeline/a.py", "docs/results/a.json"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("1")
    who = ["-c", "user.name=a", "-c", "user.email=a@b"]
    for words in (["init", "-q"], ["add", "-A"], [*who, "commit", "-qm", "first"]):
        subprocess.run(["git", "-C", str(tmp_path), *words], check=True)
    return tmp_path


def test_a_commit_is_dirty_when_code_differs_and_not_when_a_record_does(repository):
    clean = git_commit(repository / "pipeline")
    assert len(clean) == 40
    (repository / "docs" / "results" / "a.json").write_text("2")
    assert git_commit(repository / "pipeline") == clean
    (repository / "pipeline" / "a.py").write_text("2")
    assert git_commit(repository / "pipeline") == f"{clean}-dirty"


def test_outside_a_repository_there_is_none(tmp_path):
    assert git_commit(tmp_path) == "none"
