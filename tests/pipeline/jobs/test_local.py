"""Jobs on this machine: all are done, one that dies is named, all end with the command."""

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from pipeline.jobs.job import JobsStoppedError, job_of
from pipeline.jobs.local import ThisMachine
from pipeline.jobs.run import run_jobs
from tests.conftest import ROOT

WRITE = "own.write_text(f\"{os.environ['OMP_NUM_THREADS']} {os.environ['CUDA_VISIBLE_DEVICES']}\")"
DIE = "print('half way', flush=True); os.kill(os.getpid(), signal.SIGKILL)"
FAIL = "sys.exit('error: no room')"
WAIT = "own.with_suffix('.pid').write_text(str(os.getpid())); time.sleep(600)"
PATIENCE_SECONDS = 120


def wait_until(condition):
    end = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)


def test_jobs_share_threads_and_gpus(jobs, command, tmp_path, capsys):
    machine = ThisMachine(at_a_time=2, threads=3, gpus=["4"])
    assert run_jobs(jobs, command(WRITE), machine, tmp_path) == []
    assert [(tmp_path / f"{i}.txt").read_text() for i in range(3)] == ["3 4"] * 3
    first, *others = capsys.readouterr().out.splitlines()
    assert first.startswith(
        "3 jobs of 3, 2 at a time on this machine, 3 threads (OMP_NUM_THREADS=3), a GPU of 1 each;"
    )
    assert sorted(line.split(" after ")[0].split("] ")[1] for line in others) == [
        f"fold {i}: done" for i in range(3)
    ]


def test_a_job_that_dies_is_named_the_others_go_on_and_it_is_done_alone(
    jobs, command, tmp_path, capsys
):
    machine = ThisMachine(at_a_time=3, threads=1)
    stopped = run_jobs(jobs, command(WRITE, DIE, FAIL), machine, tmp_path)
    assert sorted(one.job.name for one in stopped) == ["fold 1", "fold 2"]
    assert jobs[0].is_done()
    logs = {one.job.number: one.log.read_text() for one in stopped}
    assert "half way" in logs[1]
    assert "error: no room" in logs[2]
    message = str(JobsStoppedError(stopped, 3))
    assert message.startswith("2 of 3 jobs stopped: fold ")
    assert all(str(one.log) in message for one in stopped)
    (tmp_path / "2.txt").write_text("")
    capsys.readouterr()
    assert run_jobs(jobs, command(WRITE), machine, tmp_path) == []
    assert capsys.readouterr().out.startswith("1 job of 3, ")
    assert run_jobs(jobs, command(FAIL), machine, tmp_path) == []  # all are done


def test_an_interruption_ends_what_runs(jobs, command, tmp_path):
    ended = ThisMachine(1, 1).run(jobs[:2], [command(WRITE, WAIT)(job) for job in jobs[:2]],
                                  tmp_path / "jobs")  # fmt: skip
    assert next(ended)[0] is jobs[0]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "sleep", interrupt_when((tmp_path / "1.pid").is_file))
        with pytest.raises(KeyboardInterrupt):
            next(ended)
    assert not psutil.pid_exists(int((tmp_path / "1.pid").read_text()))


def interrupt_when(condition):
    sleep, is_raised = time.sleep, []

    def step(seconds):
        if condition() and not is_raised:
            is_raised.append(True)
            raise KeyboardInterrupt
        sleep(seconds)

    return step


def test_jobs_end_with_a_command_that_is_killed(tmp_path):
    job = f"import os, sys, time; from pathlib import Path; own = Path(sys.argv[1]); {WAIT}"
    script = (
        "import sys; from pathlib import Path; from pipeline.jobs.job import Job; "
        "from pipeline.jobs.local import ThisMachine; from pipeline.jobs.run import run_jobs; "
        f"own = Path({str(tmp_path)!r}) / 'own'; "
        f"text = {job!r}; "
        "run_jobs([Job(0, 'fold 0', print, bool)], "
        "lambda job: [sys.executable, '-c', text, str(own)], ThisMachine(1, 1), own.parent)"
    )  # fmt: skip
    process = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT)
    wait_until((tmp_path / "own.pid").is_file)
    wait_until((tmp_path / "own.pid").read_text)
    job = psutil.Process(int((tmp_path / "own.pid").read_text()))
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    wait_until(lambda: not job.is_running() or job.status() == psutil.STATUS_ZOMBIE)


def test_a_job_that_is_not_there_is_refused(jobs):
    with pytest.raises(ValueError, match=r"--job: found 3, expected 0 to 2"):
        job_of(jobs, 3)
