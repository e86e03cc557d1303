"""What only ``--engine slurm`` does, on a real Slurm of one node; ``tests/conformance`` holds it to all the rest."""

from __future__ import annotations

import json
import os
import re
import signal
from pathlib import Path
from typing import Any

import pytest
from conformance_engines import ENGINES
from conformance_engines.slurm import Slurm
from conformance_studies import RUNS, STEPS, Command, StudyFolder, kill, wait_until_ended
from processes import wait_until
from single_node import MAX_ARRAY_SIZE, SingleNode

from actbench.system.processes import Process

pytestmark = pytest.mark.slow

ALL_STEPS = RUNS // 2 * STEPS
"""When every step is taken once, in cohorts of two."""


def states(node: SingleNode) -> dict[str, str]:
    """Return job -> its state, of all jobs that the node still knows."""
    listed = node.call("squeue", "--noheader", "--array", "--states=all", "--format=%F_%K %T")
    return dict(line.split() for line in listed.splitlines())


def running(node: SingleNode) -> list[str]:
    return [job for job, state in states(node).items() if state == "RUNNING"]


def submissions(study: StudyFolder) -> list[Path]:
    return sorted((study.path / "results").glob("*/slurm/*/submission.json"))


def held_midway(slurm: SingleNode, engine: Slurm, study: StudyFolder) -> tuple[Command, list[Process], str]:
    """Start the study, and return its command, its held workers and its job once a step of the second cohort waits."""
    study.hold(after=STEPS + 3)
    command = study.start(engine)
    workers = study.wait_until_held()
    (job,) = running(slurm)
    return command, workers, job


def test_an_array_that_gives_way_to_other_jobs_saves_is_put_back_and_finishes(
    slurm: SingleNode, engine: Slurm, study: StudyFolder, undisturbed: dict[str, Any]
) -> None:
    """PREEMPTED is not a failure: no step is taken twice, and the records are those of an undisturbed study."""
    earlier = set(states(slurm))  # of the tests before this one, which Slurm remembers
    study.hold(after=STEPS)
    command = study.start(engine, "--cluster", "partition=low", "--cluster", "cohorts=2")
    workers = study.wait_until_held(2)
    preempted = running(slurm)
    assert len(preempted) == 2
    slurm.call("sbatch", "--partition=high", "--ntasks=2", "--output=/dev/null", "--wrap=true")
    wait_until_ended(workers)
    study.release()
    assert command.end() == 0, command.said
    assert command.computed == RUNS
    for job in preempted:
        assert "Restarts=1" in slurm.call("scontrol", "show", "job", job)
    arrays = {job.partition("_")[0] for job in set(states(slurm)) - earlier if "_" in job and "N/A" not in job}
    assert len(arrays) == 1, "submitted once"
    assert study.records() == undisturbed
    assert study.steps == ALL_STEPS
    assert study.left_over() == []


def test_a_job_that_is_put_back_by_hand_goes_on_where_it_was(
    slurm: SingleNode, engine: Slurm, study: StudyFolder, undisturbed: dict[str, Any]
) -> None:
    command, workers, job = held_midway(slurm, engine, study)
    slurm.call("scontrol", "requeue", job)
    wait_until_ended(workers)
    study.release()
    assert command.end() == 0, command.said
    assert study.records() == undisturbed
    assert study.steps == ALL_STEPS


def test_a_job_whose_time_is_nearly_over_saves_and_is_submitted_again(
    slurm: SingleNode, engine: Slurm, study: StudyFolder, undisturbed: dict[str, Any]
) -> None:
    """Slurm warns the command of a job by SIGTERM (``--signal=B:TERM@60``), as is done here by hand."""
    command, workers, job = held_midway(slurm, engine, study)
    slurm.call("scancel", "--batch", "--signal=TERM", job)
    wait_until_ended(workers)
    study.release()
    assert command.end() == 0, command.said
    assert f"job {job} ended without a result" in command.said
    assert "submitted again" in command.said
    assert study.records() == undisturbed
    assert study.steps == ALL_STEPS, "what it saved is gone on with"
    assert study.left_over() == []


def test_a_job_that_is_killed_is_submitted_again_and_its_end_is_said(
    slurm: SingleNode, engine: Slurm, study: StudyFolder, undisturbed: dict[str, Any]
) -> None:
    command, workers, job = held_midway(slurm, engine, study)
    (lock,) = set(study.locks().values())
    os.kill(lock.pid, signal.SIGKILL)  # the command of the job, which test and job share a machine with
    wait_until_ended([lock, *workers])
    study.release()
    assert command.end() == 0, command.said
    assert f"job {job} ended without a result: FAILED, killed by signal 9" in command.said
    assert "submitted again" in command.said
    assert study.records() == undisturbed
    assert study.left_over() == []


def test_jobs_that_run_out_of_memory_are_submitted_again_only_while_they_get_on(
    slurm: SingleNode, engine: Slurm, study: StudyFolder, undisturbed: dict[str, Any]
) -> None:
    """The first job finishes a cohort before it takes too much; the second does not get further."""
    study.eat(after=STEPS + 3)
    command = study.start(engine, "--cluster", "memory=1500M")
    assert command.end() == 1, command.said
    ends = re.findall(r"job (\S+) ended without a result: OUT_OF_MEMORY, killed by signal 9, on (.*)", command.said)
    assert len({job for job, _ in ends}) == 2, command.said
    assert ends[0][1].endswith("its runs are submitted again")
    advice = "; ask for more with --cluster memory=… (it had 1500M); its log: "
    assert all(advice in rest and "submitted again" not in rest for _, rest in ends[1:])
    assert command.computed == 2
    assert "error.txt" not in command.said, "there is none: the logs of the jobs say why"
    assert study.server.do(study.path, "status", **engine.settings()) == 0
    shown = (study.path / "stdout").read_text()
    assert all(f"{job}  OUT_OF_MEMORY on node" in shown for job, _ in ends)
    (study.path / "eat").unlink()
    study.run(engine)
    assert study.records() == undisturbed
    assert study.left_over() == []


def test_a_worker_that_is_killed_in_a_job_may_have_lacked_the_memory_that_slurm_gave_it(
    slurm: SingleNode, engine: Slurm, study: StudyFolder
) -> None:
    """Where the kernel enforces a job's memory (cgroups) it kills the largest process, and the job goes on."""
    study.hold(after=STEPS + 2)
    command = study.start(engine, cohort_size=1)
    (worker,) = study.wait_until_held()
    kill(worker)
    study.release()
    assert command.end() == 1, command.said
    assert "killed by signal 9 before it had finished; out of memory? ask Slurm for more, or" in command.said
    (error,) = study.runs.glob("*/error.txt")
    assert f"failed runs say why in {Path(*error.parts[-5:-2])}/*/error.txt" in command.said


def test_a_job_whose_time_is_over_saves_and_one_that_can_not_is_killed_and_loses_a_step(
    slurm: SingleNode, engine: Slurm, study: StudyFolder, undisturbed: dict[str, Any]
) -> None:
    """Slurm's own clock looks at jobs twice a minute: it sends SIGTERM, and half a minute later SIGKILL."""
    study.hold(after=STEPS + 3)
    command = study.start(engine, "--cluster", "time=1")
    workers = study.wait_until_held()
    (first,) = running(slurm)
    slurm.call("scontrol", "update", f"JobId={first}", "EndTime=now")  # in place of a minute later
    wait_until_ended(workers)
    (study.path / "deaf").touch()
    workers = study.wait_until_held(2)
    (second,) = running(slurm)
    slurm.call("scontrol", "update", f"JobId={second}", "EndTime=now")
    wait_until_ended(workers)
    (study.path / "deaf").unlink()
    study.release()
    assert command.end() == 0, command.said
    assert f"job {first} ended without a result: TIMEOUT, exit code 143, on node" in command.said
    assert f"job {second} ended without a result: TIMEOUT, killed by signal 9, on node" in command.said
    assert command.said.count("ask for more with --cluster time=… (it had 1); its log: ") == 1, "of the second"
    assert command.said.count("its runs are submitted again") == 2
    assert command.computed == RUNS
    assert study.steps == ALL_STEPS + 1, "the first job's steps are gone on with, and the second's only one is lost"
    assert study.records() == undisturbed
    assert study.left_over() == []


def test_a_job_that_somebody_cancels_is_reported_with_its_log_and_not_submitted_again(
    slurm: SingleNode, engine: Slurm, study: StudyFolder, undisturbed: dict[str, Any]
) -> None:
    command, _, job = held_midway(slurm, engine, study)
    slurm.call("scancel", job)
    assert command.end() == 1, command.said
    assert f"job {job} ended without a result: CANCELLED" in command.said
    (log,) = study.path.glob(f"results/*/slurm/*/job-{job}.log")
    assert f"its log: {log}" in command.said
    study.release()
    study.run(engine)
    assert study.records() == undisturbed
    assert study.steps == ALL_STEPS, "it saved before it ended"
    assert study.left_over() == []


def test_jobs_are_chunked_by_the_sites_size_of_arrays(slurm: SingleNode, engine: Slurm, study: StudyFolder) -> None:
    asked = ("cohorts=1", "jobs-at-once=3", "detach=yes", "sbatch=--hold")
    words = [word for one in asked for word in ("--cluster", one)]
    command = study.run(engine, *words, cohort_size=1)
    assert RUNS == 2 * MAX_ARRAY_SIZE
    assert f"submitted {RUNS} jobs for {RUNS} runs: arrays " in command.said
    (path,) = submissions(study)
    arrays = json.loads(path.read_text())["arrays"]
    assert [(array["first"], array["jobs"]) for array in arrays] == [(0, 4), (4, 4)]
    first = slurm.call("scontrol", "show", "job", arrays[1]["job"])
    assert f"Dependency=afterany:{arrays[0]['job']}" in first, "so that no more jobs run at once than were asked for"


def test_a_detached_command_returns_status_shows_its_jobs_and_the_same_command_looks_on(
    slurm: SingleNode, engine: Slurm, study: StudyFolder, undisturbed: dict[str, Any]
) -> None:
    study.hold(after=STEPS + 3)
    command = study.run(engine, "--cluster", "detach=yes")
    assert "the jobs go on by themselves" in command.said
    study.wait_until_held()
    (job,) = running(slurm)
    assert study.server.do(study.path, "status", **engine.settings()) == 0
    shown = (study.path / "stdout").read_text()
    assert "jobs: 1 running" in shown
    assert f"{job}  running on node" in shown
    assert study.server.do(study.path, "status", "--json", **engine.settings()) == 0
    (told,) = json.loads((study.path / "stdout").read_text())["studies"][0]["jobs"]
    assert (told["job"], told["phase"], told["state"]) == (job, "running", "RUNNING")
    assert Path(told["log"]).is_file()
    again = study.start(engine)
    wait_until(lambda: "1 job of an earlier command has" in again.said)
    study.release()
    assert again.end() == 0, again.said
    assert len(states(slurm)) == len({*states(slurm)}), "each job is one"
    assert len([one for one in states(slurm) if one.startswith(job.partition("_")[0])]) == 1
    assert study.records() == undisturbed
    assert study.steps == ALL_STEPS
    assert study.left_over() == []


def test_a_job_with_other_code_refuses_to_begin_with_one_sentence(
    slurm: SingleNode, engine: Slurm, study: StudyFolder
) -> None:
    command = study.start(engine, "--cluster", "sbatch=--hold")
    wait_until(lambda: "1 waiting" in command.said)
    (path,) = study.path.glob("results/*/slurm/*/chunk-0.json")
    chunk = json.loads(path.read_text())
    path.write_text(json.dumps({**chunk, "code": "0" * 64}))
    (job,) = states(slurm).keys() & {
        f"{array['job']}_0" for array in json.loads(submissions(study)[0].read_text())["arrays"]
    }
    slurm.call("scontrol", "release", job)
    assert command.end() == 1, command.said
    assert "the jobs were submitted by other code of actbench" in command.said
    assert f"job {job} ended without a result: FAILED, exit code 2" in command.said
    assert study.records() == {}


def test_two_commands_at_once_submit_and_every_run_is_computed_once(
    slurm: SingleNode, engine: Slurm, study: StudyFolder, undisturbed: dict[str, Any]
) -> None:
    """The second waits for the runs of the first's jobs, or its jobs take some of them: locks decide."""
    commands = [study.start(engine, cohort_size=1), study.start(engine, cohort_size=1)]
    for command in commands:
        assert command.end() == 0, command.said
    assert study.steps == RUNS * STEPS
    assert study.records() == undisturbed
    assert study.left_over() == []


def test_force_computes_finished_runs_once_more_also_when_a_job_is_put_back(
    slurm: SingleNode, engine: Slurm, study: StudyFolder, undisturbed: dict[str, Any]
) -> None:
    study.run(ENGINES["inline"])
    before = study.finished_files()
    study.hold(after=ALL_STEPS + STEPS + 3)
    command = study.start(engine, "--force")
    workers = study.wait_until_held()
    (job,) = running(slurm)
    slurm.call("scontrol", "requeue", job)
    wait_until_ended(workers)
    study.release()
    assert command.end() == 0, command.said
    assert command.computed == RUNS
    assert study.steps == 2 * ALL_STEPS
    after = study.finished_files()
    assert all(after[path] != before[path] for path in before if path.name == "result.json")
    assert study.records() == undisturbed


def test_plan_shows_the_jobs_without_slurm_and_run_says_what_is_missing(study: StudyFolder, tmp_path: Path) -> None:
    nowhere = {"PATH": str(tmp_path)}
    words = ("study.yaml", "--device", "cpu", "--engine", "slurm", "--cluster", "cohorts=3")
    assert study.server.do(study.path, "plan", *words, "--cohort-size", "1", **nowhere) == 0
    assert "3 of up to 3 cohort(s), each with 1 worker(s)" in (study.path / "stdout").read_text()
    assert study.server.do(study.path, "run", *words, **nowhere) == 2
    (sentence,) = (study.path / "stderr").read_text().splitlines()[-1:]
    assert "sbatch is not on PATH" in sentence
    assert not (study.path / "results").exists()
