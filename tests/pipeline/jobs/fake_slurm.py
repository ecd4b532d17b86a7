"""A SLURM that runs its jobs on this machine: sbatch, srun, sacct, scancel and scontrol.

Its jobs stand in the folder that ``FAKE_SLURM`` names, a file with the state of each.
"""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

PROGRAMS = ("sbatch", "srun", "sacct", "scancel", "scontrol")


def install(folder: Path, first_number: int) -> Path:
    """Write the programs into a folder, and return it; it also holds the states of jobs."""
    folder.mkdir()
    for program in PROGRAMS:
        path = folder / program
        path.write_text(f'#!/bin/sh\nexec {sys.executable} {__file__} {program} "$@"\n')
        path.chmod(0o755)
    (folder / "next").write_text(str(first_number))
    return folder


def states() -> Path:
    return Path(os.environ["FAKE_SLURM"])


def sbatch(script: str) -> None:
    text = Path(script).read_text()
    if "--partition=none" in text:
        sys.exit("sbatch: error: invalid partition specified: none")
    array = re.search(r"^#SBATCH --array=0-(\d+)%", text, re.MULTILINE)
    number = int((states() / "next").read_text())
    (states() / "next").write_text(str(number + 1))
    (states() / f"{number}.sh").write_text(text)
    for task in range(int(array[1]) + 1) if array else [None]:
        name = str(number) if task is None else f"{number}_{task}"
        (states() / f"{name}.state").write_text("PENDING")
        job = [sys.executable, __file__, "job", script, str(number), name]
        # as SLURM's daemon does, whoever submitted it
        process = subprocess.Popen(
            job, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        (states() / f"{name}.pid").write_text(str(process.pid))
    print(f"Submitted batch job {number}")


def job(script: str, number: str, name: str) -> None:
    state = states() / f"{name}.state"
    own = {"SLURM_JOB_ID": number, "SLURM_PROCID": "0", "SLURM_LOCALID": "0", "SLURM_NODEID": "0"}
    if "_" in name:
        own |= {"SLURM_ARRAY_JOB_ID": number, "SLURM_ARRAY_TASK_ID": name.partition("_")[2]}
    while True:
        state.write_text("RUNNING")
        code = subprocess.run(["bash", script], env={**os.environ, **own}, check=False).returncode
        if state.read_text() != "REQUEUED":
            break
    state.write_text("FAILED" if code else "COMPLETED")


def srun(*words: str) -> None:
    output = Path(words[words.index("--output") + 1])
    array, task = (os.environ.get(f"SLURM_ARRAY_{name}_ID", "") for name in ("JOB", "TASK"))
    values = {"%A": array, "%a": task, "%j": os.environ["SLURM_JOB_ID"], "%t": "0"}
    name = re.sub("%[Aajt]", lambda match: values[match[0]], output.name)
    with (output.parent / name).open("a") as log:
        command = words[words.index("--output") + 2 :]
        sys.exit(subprocess.run(command, stdout=log, stderr=log, check=False).returncode)


def sacct(*_: str) -> None:
    print("JobID|State|NodeList")
    for path in sorted(states().glob("*.state")):
        print(f"{path.stem}|{path.read_text()}|node")


def scancel(name: str) -> None:
    (states() / f"{name}.state").write_text("CANCELLED")
    os.killpg(int((states() / f"{name}.pid").read_text()), signal.SIGKILL)


def scontrol(_requeue: str, name: str) -> None:
    (states() / f"{name}.state").write_text("REQUEUED")


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
