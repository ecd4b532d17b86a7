"""Jobs of a SLURM that the test brings on its path."""

import json
import os
import re

import pytest

from pipeline.jobs import slurm
from pipeline.jobs.run import run_jobs
from pipeline.jobs.slurm import SlurmCluster
from pipeline.jobs.slurm_settings import SlurmSettings, read_slurm_settings
from tests.pipeline.jobs import fake_slurm

SETTINGS = {"minutes": 1, "memory_gb": 1.5, "cpus": 2, "gpus": 1, "partition": "gpu"}
WRITE = "own.write_text(os.environ['OMP_NUM_THREADS'])"
FAIL = "sys.exit('error: no room')"
TWICE = (
    "first = own.with_suffix('.first'); again = first.exists(); first.touch(); "
    "again and own.write_text('again'); "
    "again or os.kill(os.getppid(), signal.SIGUSR2); again or time.sleep(600)"
)


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    monkeypatch.setattr(slurm, "POLL_SECONDS", 0.2)
    monkeypatch.setattr(slurm, "ASK_SECONDS", 1.0)
    monkeypatch.setattr(slurm, "FILES_SECONDS", 0.5)
    folder = fake_slurm.install(tmp_path / "slurm", first_number=os.getpid() * 1000)
    monkeypatch.setenv("FAKE_SLURM", str(folder))
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return SlurmCluster(SlurmSettings(**SETTINGS))


def test_an_array_of_jobs(cluster, jobs, command, tmp_path, capsys):
    stopped = run_jobs(jobs, command(WRITE, FAIL, TWICE), cluster, tmp_path)
    assert [one.job.name for one in stopped] == ["fold 1"]
    assert "error: no room" in stopped[0].log.read_text()
    assert (tmp_path / "0.txt").read_text() == "2"
    assert (tmp_path / "2.txt").read_text() == "again"  # its minutes were over, and it went on
    [script] = (tmp_path / "slurm").glob("*.sh")
    options = dict(re.findall(r"^#SBATCH --([\w-]+)=(.*)$", script.read_text(), re.MULTILINE))
    expected = {"array": "0-2%3", "time": "1", "mem": "1536MB", "cpus-per-task": "2",
                "gpus-per-node": "1", "partition": "gpu"}  # fmt: skip
    assert expected.items() <= options.items()
    assert capsys.readouterr().out.startswith(
        "3 jobs of 3, 64 at a time at most on partition gpu, 2 threads (OMP_NUM_THREADS=2), 1 GPU, "
        "1.5 GB and 1 minute each; logs in "
    )


def test_a_job_that_an_earlier_call_submitted_is_waited_for(cluster, jobs, command, tmp_path):
    after_a_while = "time.sleep(2); own.write_text('by the first call')"
    submitted = cluster._submit([(jobs[0], command(after_a_while)(jobs[0]))], tmp_path / "jobs/1")
    slurm._keep(submitted, tmp_path / "jobs" / slurm.SUBMITTED)
    assert run_jobs(jobs[:1], command(FAIL), cluster, tmp_path) == []
    assert (tmp_path / "0.txt").read_text() == "by the first call"


def test_what_runs_is_cancelled_with_the_command(cluster, jobs, command, tmp_path):
    ended = cluster.run(jobs[:2], [command(WRITE, "time.sleep(600)")(job) for job in jobs[:2]],
                        tmp_path / "jobs" / "1")  # fmt: skip
    assert next(ended)[0] is jobs[0]
    ended.close()
    states = {path.stem[-1]: path.read_text() for path in (tmp_path / "slurm").glob("*_*.state")}
    assert states["1"] == "CANCELLED"


def test_what_the_cluster_refuses_is_one_line(cluster, jobs, command, tmp_path, monkeypatch):
    other = SlurmCluster(SlurmSettings(**SETTINGS | {"partition": "none"}))
    with pytest.raises(ValueError, match=r"^--jobs slurm: sbatch refuses: .*invalid partition.*$"):
        run_jobs(jobs, command(WRITE), other, tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ValueError, match="--jobs slurm: no sbatch here; run it where SLURM is"):
        run_jobs(jobs, command(WRITE), cluster, tmp_path)


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ({"minutes": 1}, "memory_gb: Field required"),
        (SETTINGS | {"minutes": "long"}, "minutes: found 'long'; "),
        (SETTINGS | {"minute": 1}, "minute: no such key; did you mean 'minutes'?"),
        (SETTINGS | {"gpus": -1}, "gpus: found '-1'; "),
        (SETTINGS | {"zzz": 2}, "zzz: no such key; expected one of minutes, memory_gb, "),
        ("text", "content: found 'text'; "),
    ],
)
def test_errors_of_the_settings_name_the_key(tmp_path, content, line):
    path = tmp_path / "slurm.yaml"
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=re.escape(f"{path}: {line}")):
        read_slurm_settings(path)


def test_settings_that_are_absent_or_no_yaml(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"slurm.yaml: no such file; docs/how_to/jobs.md"):
        read_slurm_settings(tmp_path / "slurm.yaml")
    (tmp_path / "slurm.yaml").write_text("minutes: [")
    with pytest.raises(ValueError, match="not readable as YAML"):
        read_slurm_settings(tmp_path / "slurm.yaml")
