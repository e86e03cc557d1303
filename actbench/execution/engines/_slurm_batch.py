"""What ``sbatch`` gets for an array of jobs: the site's options, its words, and the script that every job executes."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from actbench.execution.engines import Errand
from actbench.schema.cluster import ClusterOptions
from actbench.schema.runtime import Runtime
from actbench.storage.submissions import Submission
from actbench.system import slurm

ARRAY_SIZE = 1000
"""Jobs of an array where Slurm does not say how many a site allows: one less than Slurm's own default."""

WARNING_SECONDS = 60
"""How many seconds before its time limit a job is told to save."""

SHORT = 300
"""A job whose time limit is below so many seconds is not warned: the warning could come almost at its start."""

_TIME = re.compile(r"\d+|\d+:\d\d|\d+:\d\d:\d\d|\d+-\d+|\d+-\d+:\d\d|\d+-\d+:\d\d:\d\d")
_MEMORY = re.compile(r"\d+[KMGT]?", re.IGNORECASE)
_TIME_WORD = re.compile(r"--time=")
_MEMORY_WORD = re.compile(r"--mem(-per-[cg]pu)?=")


def _checked_time(text: str) -> str:
    if not _TIME.fullmatch(text):
        raise ValueError("expected minutes, hours:minutes:seconds or days-hours")
    return text


def _checked_memory(text: str) -> str:
    if not _MEMORY.fullmatch(text):
        raise ValueError("expected megabytes, or a number with K, M, G or T, such as 4G")
    return text


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


Words = Annotated[tuple[str, ...], BeforeValidator(_as_list)]


class SlurmOptions(ClusterOptions):
    """What ``--cluster`` may ask of Slurm.

    Attributes:
        partition: Where the jobs run; None for the site's default, as for all that follow.
        time: Time limit of a job, as ``sbatch --time`` reads it.
        gres: Generic resources of a job, such as ``gpu:1``.
        account: Who pays.
        qos: Quality of service.
        cpus: Processors of a job; None for as many as it has workers.
        memory: Memory of a job, in megabytes or with a unit.
        jobs_at_once: Most jobs that run at the same time.
        cohorts: Cohorts of a job; None divides the study into ``slurm.MAX_JOBS`` jobs at most.
        setup: Lines of bash before the command, such as ``module load python``.
        python: The interpreter that has actbench, on the nodes; None for the one that submits.
        sbatch: Further options of ``sbatch``, such as ``--constraint=a100``.
        poll: Seconds between two questions to Slurm.
        detach: Whether to submit and return.
    """

    partition: str | None = None
    time: Annotated[str, AfterValidator(_checked_time)] | None = None
    gres: str | None = None
    account: str | None = None
    qos: str | None = None
    cpus: Annotated[int, Field(ge=1)] | None = None
    memory: Annotated[str, AfterValidator(_checked_memory)] | None = None
    jobs_at_once: Annotated[int, Field(ge=1)] | None = None
    cohorts: Annotated[int, Field(ge=1)] | None = None
    setup: Words = ()
    python: str | None = None
    sbatch: Words = ()
    poll: Annotated[float, Field(gt=0)] = 10.0
    detach: bool = False

    @property
    def is_detached(self) -> bool:
        """Whether the command ends when it has submitted the jobs."""
        return self.detach

    @property
    def has_gpu(self) -> bool:
        """Whether a job is to have a GPU."""
        asked = " ".join((self.gres or "", *self.sbatch))
        return bool(re.search(r"\bgpu\b|--gpus", asked))


def array_sizes(jobs: int) -> list[int]:
    """Return the sizes of the arrays for so many jobs; a site's limit holds for an index, and the first is 0."""
    size = slurm.max_array_size() or ARRAY_SIZE
    return [min(size, jobs - first) for first in range(0, jobs, size)]


def array_words(size: int, options: SlurmOptions, before: str | None) -> list[str]:
    """Return the words for an array; with a limit of jobs at once, it begins when the array before it has ended."""
    if options.jobs_at_once is None:
        return [f"--array=0-{size - 1}"]
    after = [] if before is None else [f"--dependency=afterany:{before}"]
    return [f"--array=0-{size - 1}%{options.jobs_at_once}", *after]


def batch_words(submission: Submission, options: SlurmOptions, workers: int) -> list[str]:
    """Return the words of ``sbatch`` that the arrays of a submission share; the user's own come last, and win."""
    asked = {
        "partition": options.partition,
        "time": options.time,
        "gres": options.gres,
        "account": options.account,
        "qos": options.qos,
        "cpus-per-task": str(options.cpus or workers),
        "mem": options.memory,
    }
    log = str(submission.folder / "job-%A_%a.log")
    folder = str(submission.folder)
    words = [
        f"--job-name={submission.job_name}",
        f"--chdir={Path.cwd()}",
        f"--output={log.replace(folder, folder.replace('%', '%%'), 1)}",
        "--open-mode=append",
        "--requeue",
        "--ntasks=1",
        *(f"--{name}={value}" for name, value in asked.items() if value is not None),
    ]
    if options.time is None or _seconds(options.time) >= SHORT:
        words.append(f"--signal=B:TERM@{WARNING_SECONDS}")
    return [*words, *options.sbatch]


def _seconds(limit: str) -> int:
    """Return the seconds of a time limit as ``sbatch --time`` reads it.

    >>> [_seconds(limit) for limit in ("5", "2:30", "1:00:00", "1-2", "1-00:30")]
    [300, 150, 3600, 93600, 88200]
    """
    days, dash, rest = limit.rpartition("-")
    numbers = list(map(int, rest.split(":")))
    if dash:
        hours, minutes, seconds = (*numbers, 0, 0)[:3]
        return ((int(days) * 24 + hours) * 60 + minutes) * 60 + seconds
    if len(numbers) == 3:
        return (numbers[0] * 60 + numbers[1]) * 60 + numbers[2]
    return numbers[0] * 60 + (numbers[1] if len(numbers) == 2 else 0)


def remedy(state: slurm.JobState, workers: int, options: SlurmOptions) -> str:
    """Return what to do for a job that had too little memory or time, to be added to how it ended; else nothing.

    >>> remedy(slurm.JobState("OUT_OF_MEMORY"), 2, SlurmOptions(memory="4G"))
    '; ask for more with --cluster memory=… (it had 4G), or for fewer workers with --jobs (it had 2)'
    >>> remedy(slurm.JobState("TIMEOUT"), 2, SlurmOptions(time="5", sbatch=["--time-min=1", "--time=2"]))
    '; ask for more with --time=… in --cluster sbatch (it had 2)'
    >>> remedy(slurm.JobState("NODE_FAIL"), 2, SlurmOptions())
    ''
    """
    if state.state == "OUT_OF_MEMORY":
        fewer = f", or for fewer workers with --jobs (it had {workers})" if workers > 1 else ""
        return f"; ask for more with {_way_to_ask('memory', options.memory, _MEMORY_WORD, options)}{fewer}"
    if state.state == "TIMEOUT":
        return f"; ask for more with {_way_to_ask('time', options.time, _TIME_WORD, options)}"
    return ""


def _way_to_ask(name: str, value: str | None, word: re.Pattern[str], options: SlurmOptions) -> str:
    """Return the option to change, and what it asked for; the user's own word of ``sbatch`` is what counts."""
    option = f"--cluster {name}=…"
    for given in filter(word.match, options.sbatch):
        key, _, value = given.partition("=")
        option = f"{key}=… in --cluster sbatch"
    return f"{option} (it had {value})" if value else option


def batch_script(submission: Submission, errand: Errand, workers: int, options: SlurmOptions) -> str:
    """Return the script of every job; its argument is the number of the chunk of the array's first job.

    The command takes the place of the shell: Slurm's signals go to the first process of a job, and when that is a shell
    they end it at once, and Slurm then kills the rest of the job.
    """
    command = shlex.join(_command(submission, errand, workers, options))
    lines = [
        "#!/bin/bash",
        "# A job of actbench: the runs of a chunk-<n>.json beside this script.",
        'unset "${!ACTBENCH_RUN_@}"  # options of the command that submitted it: those that hold here are given below',
        *options.setup,
        f"exec {command} --only {shlex.quote(str(submission.folder))}/chunk-$(($1 + SLURM_ARRAY_TASK_ID)).json",
    ]
    return "\n".join(lines) + "\n"


def _command(submission: Submission, errand: Errand, workers: int, options: SlurmOptions) -> list[str]:
    """Return the words of a job's command, but for its chunk."""
    runtime, default = errand.runtime, Runtime()
    results = errand.store.folder.absolute().parent
    words = [options.python or sys.executable, "-m", "actbench", "run", str(submission.folder / "study.yaml")]
    words += ["--results", str(results), "--engine", "pool"]
    if runtime.jobs is not None or not options.has_gpu:
        words += ["--jobs", str(workers)]
    if errand.device != "auto":
        words += ["--device", errand.device]
    if runtime.data_folder is not None:
        words += ["--data-dir", str(runtime.data_folder.expanduser().absolute())]
    for option in ("cohort_size", "products", "kernels", "timeout"):
        value = getattr(runtime, option)
        if value != getattr(default, option):
            words += [f"--{option.replace('_', '-')}", str(value)]
    if not runtime.capture:
        words.append("--no-capture")
    return [*words, "--retry", "none"]
