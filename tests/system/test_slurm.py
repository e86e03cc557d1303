"""What Slurm says of a job's end, in its state and in the job's log."""

from __future__ import annotations

from pathlib import Path

import pytest

from actbench.system import slurm
from actbench.system.slurm import JobState

KILLED = """\
shared: 8 of 8 runs to do, 1 worker(s) on cpu
slurmstepd-node1: error: StepId=5.batch exceeded memory limit (407134208 > 104857600), being killed
slurmstepd-node1: error: *** JOB 5 ON node1 CANCELLED AT 2026-01-02T03:04:05 ***
slurmstepd-node1: error: Exceeded job memory limit
"""
BY_KERNEL = """\
slurmstepd: error: Detected 1 oom_kill event in StepId=5.batch. Some of the step tasks have been OOM Killed.
"""
BY_CLOCK = "slurmstepd: error: *** JOB 5 ON node1 CANCELLED AT 2026-01-02T03:04:05 DUE TO TIME LIMIT ***\n"


@pytest.mark.parametrize("printed", [KILLED, BY_KERNEL])
@pytest.mark.parametrize("state", ["FAILED", "CANCELLED", slurm.GONE])
def test_a_log_tells_that_a_job_ran_out_of_memory(tmp_path: Path, printed: str, state: str) -> None:
    log = tmp_path / "job.log"
    log.write_text(printed)
    found = slurm.read_with_log(JobState(state, "JobLaunchFailure", "node1", signal=9), log)
    assert found == JobState("OUT_OF_MEMORY", "", "node1", signal=9)


@pytest.mark.parametrize(
    ("state", "printed"),
    [
        ("FAILED", "the network exceeded memory limit\n"),  # a program's own words
        ("FAILED", ""),
        ("FAILED", None),
        ("CANCELLED", BY_CLOCK),
        ("NODE_FAIL", KILLED),
        ("COMPLETED", BY_KERNEL),
        ("RUNNING", BY_KERNEL),
    ],
)
def test_other_ends_are_left_as_slurm_has_them(tmp_path: Path, state: str, printed: str | None) -> None:
    log = tmp_path / "job.log"
    if printed is not None:
        log.write_text(printed)
    told = JobState(state, "", "node1")
    assert slurm.read_with_log(told, log) == told
