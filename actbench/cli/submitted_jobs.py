"""What ``status`` shows of the jobs of a batch system that compute a study."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from actbench.storage.status import StudyStatus, SubmittedJob

MOST_NAMED = 5
"""Jobs of a kind that are named; ``--json`` has all."""


def with_jobs(found: Sequence[StudyStatus]) -> Sequence[StudyStatus]:
    """Add to each study the jobs that were submitted for it, as Slurm reports them now.

    Where Slurm does not answer, as on a machine that has none, their state is ``unknown``: results and locks are in the
    folder all the same.

    Args:
        found: The states of studies; they are completed in place.
    """
    from actbench.storage.status import SubmittedJob
    from actbench.storage.submissions import submissions
    from actbench.system import slurm

    for one in found:
        for submission in submissions(one.folder.absolute()):
            states = slurm.states(array.job for array in submission.arrays) if slurm.is_here() else None
            for number in range(submission.chunks):
                job = submission.job_of(number)
                if job is None:
                    continue
                state = slurm.JobState("unknown") if states is None else states.get(job, slurm.JobState(slurm.GONE))
                phase = "unknown" if states is None else state.phase
                log = submission.log_of(job)
                state = slurm.read_with_log(state, log)
                one.jobs.append(
                    SubmittedJob(job, phase, state.state, state.reason, state.node, submission.since, str(log))
                )
    return found


def job_lines(jobs: Sequence[SubmittedJob]) -> Iterator[str]:
    """Yield lines about a study's jobs: how many are in which phase, the running ones, and logs of those that ended."""
    if not jobs:
        return
    counts = Counter(job.phase for job in jobs)
    reasons = Counter(job.reason for job in jobs if job.phase == "waiting" and job.reason)
    why = f" ({reasons.most_common(1)[0][0]})" if reasons else ""
    parts = [f"{count} {phase}{why if phase == 'waiting' else ''}" for phase, count in sorted(counts.items())]
    yield f"jobs: {', '.join(parts)}"
    for phase in ("running", "unknown", "ended"):
        named = [job for job in jobs if job.phase == phase]
        for job in named[:MOST_NAMED]:
            where = f" on {job.node}" if job.node else ""
            yield f"  {job.job}  {job.state if phase == 'ended' else phase}{where}, log {job.log}"
        if len(named) > MOST_NAMED:
            yield f"  … and {len(named) - MOST_NAMED} more {phase} (--json)"
