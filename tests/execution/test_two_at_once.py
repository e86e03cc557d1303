"""Several ``actbench run`` on one study and folder: every run is computed once, and the dead stop nobody."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from forked_commands import Server
from left_locks import leave
from processes import wait_until

import actbench
from actbench.config import Study
from actbench.execution.runner import Runner
from actbench.schema.events import Event, Failed, Finished, Started
from actbench.schema.runtime import Runtime
from actbench.schema.spec import RunSpec
from actbench.storage.locks import Locks
from actbench.storage.status import study_statuses
from actbench.system.processes import Process

STUDY = """\
study: shared
dataset: {name: digits, train_size: 200, test_size: 100}
model: {name: mlp, hidden: [16]}
activation: {name: gate, path: 'waiting:gate'}
training: {epochs: 2, batch_size: 32}
seeds: 4
sweep:
  bias_init: [0.0, 0.01, 0.1]
"""
RUNS = 12

WAITING = '''\
"""tanh, which waits in a process that has locked a run until as many processes as WAIT_FOR says have locked one."""
import json
import os
import time
from pathlib import Path

import torch


def locking():
    found = set()
    for path in Path("results/shared/runs").glob("*/claim.json"):
        try:
            found.add(json.loads(path.read_text())["process"]["pid"])
        except (FileNotFoundError, ValueError):
            continue
    return found


def gate(z):
    while "WAIT_FOR" in os.environ and not Path("go").exists():
        pids = locking()
        if not pids & {os.getpid(), os.getppid()}:
            break
        if len(pids) >= int(os.environ["WAIT_FOR"]):
            Path("go").touch()
        time.sleep(0.05)
    return torch.tanh(z)
'''


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, data_folder: Path) -> dict[str, Any]:
    """What one process that is alone makes of the study."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("alone")
        (folder / "waiting.py").write_text(WAITING)
        patch.syspath_prepend(folder)
        assert len(list(finished(runner(folder, data_folder).run()))) == RUNS
        return compared(folder)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where study.yaml lies, and waiting.py, which is found from there."""
    (tmp_path / "study.yaml").write_text(STUDY)
    (tmp_path / "waiting.py").write_text(WAITING)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def runner(folder: Path, data_folder: Path, *, force: bool = False) -> Runner:
    runtime = Runtime(device="cpu", engine="inline", cohort_size=1, data_folder=data_folder)
    return Runner(Study.from_text(STUDY), folder / "results", runtime, force=force)


def start(server: Server, folder: Path, data_folder: Path, streams: str = "", **settings: str) -> int:
    """The id of a process in which the command runs, in that folder."""
    command = ("run", "study.yaml", "--engine", "inline", "--cohort-size", "2", "--device", "cpu")
    settings = {"ACTBENCH_DATA": str(data_folder), "ACTBENCH_RUN_PRODUCTS": "auto"} | settings
    return server.start(folder, *command, streams=streams, **settings)


def finished(events: Iterator[Event]) -> Iterator[RunSpec]:
    return (event.record.spec for event in events if isinstance(event, Finished))


def compared(folder: Path) -> dict[str, Any]:
    """``compare --json`` without the metric that is a clock, and without commands, which name the folder."""
    found = actbench.compare(actbench.read_results(folder / "results"), metric=["test.accuracy", "val.loss"]).to_dict()
    text = re.sub(r": actbench run [^\"]*", "", json.dumps(found))
    compared: dict[str, Any] = json.loads(
        text, object_hook=lambda part: {k: v for k, v in part.items() if k != "seconds"}
    )
    return compared


def left_over(folder: Path) -> list[str]:
    shared = folder / "results" / "shared"
    usual = {"study.yaml", "spec.json", "metrics.jsonl", "result.json"}
    return [str(path) for path in shared.rglob("*") if path.is_file() and path.name not in usual]


def wait_until_locked(folder: Path) -> set[str]:
    """The ids of the runs that the first process holds once it trains."""

    def locked() -> set[str]:
        runs = {path.parent.name for path in folder.glob("results/shared/runs/*/spec.json")}
        return runs if len(runs) == 2 else set()

    found: set[str] = wait_until(locked)
    return found


@pytest.mark.slow
def test_three_at_once_compute_every_run_once(
    server: Server, folder: Path, data_folder: Path, undisturbed: dict[str, Any]
) -> None:
    hosts: tuple[dict[str, str], ...] = ({}, {}, {"ACTBENCH_HOST": "elsewhere"})
    processes = [
        start(server, folder, data_folder, f"-{number}", WAIT_FOR="3", **host) for number, host in enumerate(hosts)
    ]
    codes = [server.end(process) for process in processes]
    said = [(folder / f"stderr-{number}").read_text() for number in range(3)]
    assert codes == [0, 0, 0], said
    computed = [int(count) for text in said for count in re.findall(r"(\d+) ok in", text)]
    assert len(computed) == 3
    assert min(computed) >= 1, "each waited until all three had something to do"
    assert sum(computed) == RUNS
    assert compared(folder) == undisturbed
    assert left_over(folder) == []


@pytest.mark.slow
def test_the_runs_of_the_living_are_left_alone_and_those_of_the_dead_taken_over(
    server: Server,
    folder: Path,
    data_folder: Path,
    undisturbed: dict[str, Any],
    caplog: pytest.LogCaptureFixture,
) -> None:
    other = start(server, folder, data_folder, WAIT_FOR="9")
    theirs = wait_until_locked(folder)
    mine = {spec.run_id for spec in finished(runner(folder, data_folder).run())}
    assert len(mine) == RUNS - 2
    assert not mine & theirs
    host = Process.this().host
    assert caplog.messages == [f"2 runs are being computed by pid {other} on {host}"]
    assert {one.run for one in study_statuses(folder / "results")[0].running} == theirs

    forced = runner(folder, data_folder, force=True)
    assert {spec.run_id for spec in finished(forced.run())} == mine, "--force leaves them alone, too"
    records = actbench.run(Study.from_text(STUDY), folder / "results", engine="inline", data_folder=data_folder)
    assert {record.spec.run_id for record in records} == mine
    assert {one.run for one in study_statuses(folder / "results")[0].running} == theirs

    server.signal(other, signal.SIGKILL)
    assert server.end(other) == -signal.SIGKILL
    assert {one.run for one in study_statuses(folder / "results")[0].stale} == theirs
    assert {spec.run_id for spec in finished(runner(folder, data_folder).run())} == theirs
    assert compared(folder) == undisturbed
    assert left_over(folder) == []


@pytest.mark.slow
def test_who_dies_while_others_work_is_replaced_before_they_end(
    server: Server, folder: Path, data_folder: Path, undisturbed: dict[str, Any]
) -> None:
    other = start(server, folder, data_folder, WAIT_FOR="9")
    theirs = wait_until_locked(folder)
    done = []
    for spec in finished(runner(folder, data_folder).run()):
        done.append(spec.run_id)
        if len(done) == RUNS - 2:
            server.signal(other, signal.SIGKILL)
            assert server.end(other) == -signal.SIGKILL
    assert len(done) == RUNS
    assert set(done[-2:]) == theirs
    assert compared(folder) == undisturbed


def test_a_run_that_another_finished_meanwhile_is_not_computed_again(folder: Path, data_folder: Path) -> None:
    late, other = runner(folder, data_folder), runner(folder, data_folder)
    assert len(list(finished(other.run()))) == RUNS
    assert list(late.run()) == []
    assert len(late.waiting) == RUNS, "none was finished when it was planned"
    assert left_over(folder) == []


def test_a_run_that_was_begun_again_and_left_is_not_taken_for_one_that_ended(folder: Path, data_folder: Path) -> None:
    first = runner(folder, data_folder)
    for spec in first.specs:
        first.store.fail(spec, "no", "Traceback")
    again = runner(folder, data_folder)
    for spec in again.specs:
        again.store.begin(spec)  # and its process was killed
    assert len(list(finished(again.run()))) == RUNS


def test_an_end_that_is_orderly_leaves_nothing_locked(folder: Path, data_folder: Path) -> None:
    events = runner(folder, data_folder).run()
    assert isinstance(next(events), Started)
    assert len(left_over(folder)) == 2
    events.close()  # as Ctrl-C and --fail-fast do
    assert left_over(folder) == []


def test_failures_are_given_back(folder: Path, data_folder: Path) -> None:
    study = Study.from_text(STUDY.replace("waiting:gate", "broken_activation:raises_when_training"))
    runtime = Runtime(device="cpu", engine="inline", data_folder=data_folder)
    events = list(Runner(study, folder / "results", runtime).run())
    assert len([event for event in events if isinstance(event, Failed)]) == RUNS
    assert {Path(path).name for path in left_over(folder)} == {"error.txt"}


def test_who_was_taken_for_dead_spoils_nothing_and_reports_it(folder: Path, data_folder: Path) -> None:
    """As when a machine slept for long: another took the run over and has written to it."""
    mine = runner(folder, data_folder)
    events = mine.run()
    first = next(events)
    assert isinstance(first, Started)
    run = mine.store.run_folder(first.cohort.shared)
    (run / "claim.json").unlink()
    leave(run, replace(Process.this(), host="elsewhere"), token="a" * 16)
    (mine.store.folder / f"heartbeat-{'a' * 16}").touch()
    (run / "metrics.jsonl").write_text("theirs\n")
    before = {path.name: path.read_text() for path in run.iterdir()}
    assert len(list(finished(events))) == RUNS
    assert {path.name: path.read_text() for path in run.iterdir()} == before
    loss = mine.loss()
    assert loss is not None
    assert loss.runs == (run.name,)
    assert f"1 run was taken over by pid {os.getpid()} on elsewhere and has no result yet ({run.name})" in str(loss)


def test_a_lock_is_made_for_the_cohort_at_work_and_no_other(folder: Path, data_folder: Path) -> None:
    mine = runner(folder, data_folder)
    for event in mine.run():
        if isinstance(event, Started):
            locked = [path.parent.name for path in folder.glob("results/shared/runs/*/claim.json")]
            assert locked == [event.cohort.shared.run_id]


def test_a_cohort_is_narrowed_to_what_is_free(folder: Path, data_folder: Path) -> None:
    mine = runner(folder, data_folder)
    taken = mine.cohorts[0].specs[0]
    whole = Runner(mine.study, mine.results, replace(mine.runtime, cohort_size=12))
    mine.store.create(STUDY)
    with Locks(mine.store.folder) as others:
        others.take(mine.store.run_folder(taken))
        started_with = [event.cohort.specs for event in whole.run() if isinstance(event, Started)]
    assert taken not in [spec for specs in started_with for spec in specs]
    assert sorted(map(len, started_with)) == [2, 3, 3, 3]
