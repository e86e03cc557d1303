"""The commands of Slurm, a batch system: submit arrays of jobs, ask how they are, cancel them.

``squeue`` and ``scontrol`` answer from the memory of Slurm's controller, which forgets a job some minutes after its
end. ``sacct`` reads a database that many small clusters do not have; it is asked only for the end of a forgotten job,
and nothing depends on its answer. That no command answers is not an error here but ``None``: a controller restarts, and
the jobs go on meanwhile.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from actbench.errors import UsageError
from actbench.system.text import one_line

TIMEOUT = 60.0
"""Seconds after which a command of Slurm counts as not answering. They try for a while to reach their controller."""

ENDED = frozenset(
    {
        "BOOT_FAIL",
        "CANCELLED",
        "COMPLETED",
        "DEADLINE",
        "FAILED",
        "NODE_FAIL",
        "OUT_OF_MEMORY",
        "PREEMPTED",
        "REVOKED",
        "TIMEOUT",
    }
)
"""States of a job that will not run again. One that was put back into the queue is ``PENDING`` once more."""

GONE = "UNKNOWN"
"""The state of a job that Slurm does not know, or no more."""

_ARRAY_SIZE = re.compile(r"^MaxArraySize\s*=\s*(\d+)", re.MULTILINE)
_TOO_MUCH_MEMORY = re.compile(r"^slurmstepd\S*: error: .*(exceeded (job )?memory limit|oom.kill)", re.I | re.MULTILINE)
_JOB_ID = re.compile(r"(\d+)(?:;.*)?")
_FIELDS = ("ArrayJobID", "ArrayTaskID", "State", "Reason", "exit_code", "NodeList")


@dataclass(frozen=True)
class JobState:
    """How one job of an array is.

    Args:
        state: As Slurm has it: ``PENDING``, ``RUNNING`` …, one of ``ENDED``, or ``GONE``.
        reason: Why it waits, or ended so; empty where Slurm gives none.
        node: Where it runs, or ran; empty before it began.
        exit_code: Of its script; None before its end, and where it was killed.
        signal: What killed it; None where nothing did.
    """

    state: str
    reason: str = ""
    node: str = ""
    exit_code: int | None = None
    signal: int | None = None

    @property
    def phase(self) -> Literal["waiting", "running", "ended"]:
        """Whether it is to run, runs (suspended ones and those about to end included), or has ended."""
        if self.state in ENDED or self.state == GONE:
            return "ended"
        return "waiting" if self.state in ("PENDING", "REQUEUED", "REQUEUE_HOLD", "SPECIAL_EXIT") else "running"


def is_here() -> bool:
    """Return whether jobs can be submitted from this machine."""
    return shutil.which("sbatch") is not None


def max_array_size() -> int | None:
    """Return the most jobs of an array on this site; None when Slurm does not answer."""
    answer = _ask("scontrol", "show", "config")
    found = _ARRAY_SIZE.search(answer or "")
    return int(found[1]) if found else None


def submit(options: Sequence[str], script: Sequence[str]) -> str:
    """Submit an array of jobs and return its id.

    Args:
        options: Words of ``sbatch``.
        script: The path of the script, and its arguments.

    Raises:
        UsageError: When Slurm does not take it, with its own words.
    """
    words = ["sbatch", "--parsable", *options, *script]
    try:
        done = _call(words)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UsageError(f"sbatch does not answer: {error}") from error
    found = _JOB_ID.fullmatch(done.stdout.strip())
    if done.returncode or found is None:
        said = one_line(done.stderr.strip().removeprefix("sbatch: ").removeprefix("error: ") or done.stdout)
        raise UsageError(f"Slurm does not take the jobs: {said or f'sbatch ended with exit code {done.returncode}'}")
    return found[1]


def states(arrays: Iterable[str]) -> Mapping[str, JobState] | None:
    """Return ``<array>_<index>`` -> its state, for all jobs of arrays that Slurm still knows.

    Args:
        arrays: Ids of arrays.

    Returns:
        None when Slurm does not answer.
    """
    wanted = ",".join(dict.fromkeys(arrays))
    if not wanted:
        return {}
    fields = ",".join(f"{name}:|" for name in _FIELDS)
    answer = _ask("squeue", "--noheader", "--array", "--states=all", f"--jobs={wanted}", f"--Format={fields}")
    if answer is None:
        return None
    return dict(found for line in answer.splitlines() if (found := _state_of_line(line)) is not None)


def recorded_end(job: str) -> JobState:
    """Return how a job that Slurm has forgotten ended, from its accounts where it keeps any."""
    answer = _ask("sacct", "--noheader", "--parsable2", f"--jobs={job}", "--format=JobID,State,ExitCode,NodeList")
    for line in (answer or "").splitlines():
        name, state, code, node = (*line.split("|"), "", "", "", "")[:4]
        if name == job and state:
            exit_code, killed_by = _exit(code)
            return JobState(state.split()[0], node=node, exit_code=exit_code, signal=killed_by)
    return JobState(GONE)


def read_with_log(state: JobState, log: Path) -> JobState:
    """Return how a job ended: out of memory, where its log says that and its state does not.

    Where Slurm itself looks at what jobs take (``JobAcctGatherParams=OverMemoryKill``) it kills one that takes too much
    as if it had failed, or had been cancelled; its reason is then ``JobLaunchFailure``. Only its lines in the log tell.

    Args:
        state: As Slurm has it.
        log: Where the job printed; it may be missing.
    """
    if state.state not in ("FAILED", "CANCELLED", GONE):
        return state
    try:
        printed = log.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return state
    return replace(state, state="OUT_OF_MEMORY", reason="") if _TOO_MUCH_MEMORY.search(printed) else state


def arrays_named(name: str) -> list[str]:
    """Return the ids of this user's arrays of a name, for a submission whose answer was lost."""
    answer = _ask("squeue", "--noheader", "--states=all", f"--name={name}", "--Format=ArrayJobID:|") or ""
    return sorted({line.strip().rstrip("|") for line in answer.splitlines() if line.strip()}, key=int)


def cancel(jobs: Iterable[str], *, at_once: bool = False) -> None:
    """Cancel jobs: those that wait are taken out of the queue, those that run get SIGTERM and half a minute.

    Args:
        jobs: Ids of arrays, or ``<array>_<index>``.
        at_once: Whether to kill them instead.
    """
    words = list(dict.fromkeys(jobs))
    if words:
        _ask("scancel", *(("--signal=KILL", "--full") if at_once else ()), *words)


def _call(words: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Call a command, in a session of its own: Ctrl-C in the terminal is for this program, which then asks it more."""
    return subprocess.run(
        words, capture_output=True, text=True, errors="replace", timeout=TIMEOUT, check=False, start_new_session=True
    )


def _ask(*words: str) -> str | None:
    """Return what a command prints; None where it is missing, fails or does not answer."""
    try:
        done = _call(words)
    except (OSError, subprocess.TimeoutExpired):
        return None
    if done.returncode and "Invalid job id" in done.stderr:
        return ""  # it answers, and knows none of them
    return None if done.returncode else done.stdout


def _state_of_line(line: str) -> tuple[str, JobState] | None:
    array, index, state, reason, code, node = (*(word.strip() for word in line.split("|")), *[""] * 6)[:6]
    if not index.isdecimal():
        return None
    exit_code, killed_by = _exit(code) if state in ENDED else (None, None)
    return f"{array}_{index}", JobState(state, "" if reason == "None" else reason, node, exit_code, killed_by)


def _exit(text: str) -> tuple[int | None, int | None]:
    """Return the exit code and the signal of ``2:0``, or of a wait status such as 512, as ``squeue`` prints it.

    >>> _exit("2:0"), _exit("512"), _exit("0:9"), _exit("9"), _exit("")
    ((2, None), (2, None), (None, 9), (None, 9), (None, None))
    """
    code, colon, killed_by = text.partition(":")
    if not code.isdecimal() or (colon and not killed_by.isdecimal()):
        return None, None
    ended, killed = (int(code), int(killed_by)) if colon else (int(code) >> 8, int(code) & 127)
    return (None, killed) if killed else (ended, None)
