"""``slurm.yaml``: what a job asks of a SLURM cluster."""

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from pipeline.schemas import read_settings_of, read_yaml

EXAMPLE = "docs/how_to/jobs.md"
REMEDY = f"mend it; {EXAMPLE} has an example"

Count = Annotated[int, Field(ge=1)]
NoneOrMore = Annotated[int, Field(ge=0)]


class SlurmSettings(BaseModel):
    """The content of ``slurm.yaml``; a key that it does not know is an error.

    Attributes:
        minutes: that a job may take; it then goes on in another, see ``requeues``.
        memory_gb: of a job.
        cpus: of a job, which are its threads.
        gpus: of a job.
        partition: that the jobs go to; None: the cluster's own choice.
        account: that pays.
        qos: quality of service.
        constraint: what a node must have.
        at_a_time: largest number of jobs that run at the same time.
        requeues: how often a job goes on whose minutes are over.
        setup: lines of shell before each job, as ``module load python``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    minutes: Count
    memory_gb: Annotated[float, Field(gt=0, strict=False)]
    cpus: Count = 1
    gpus: NoneOrMore = 0
    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    at_a_time: Count = 64
    requeues: NoneOrMore = 3
    setup: list[str] = []


def read_slurm_settings(path: Path) -> SlurmSettings:
    """Read ``slurm.yaml``.

    Raises:
        FileNotFoundError: no such file.
        ValueError: it is not YAML, or a key or value is not as expected; names the key.
    """
    content = read_yaml(path, EXAMPLE, REMEDY)
    return read_settings_of(path, SlurmSettings, content, REMEDY)
