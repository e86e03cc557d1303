"""``actbench status``: every run of a study is in one place, and only what is needed is read."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from factories import record, save
from left_locks import DEAD, leave

from actbench import cli
from actbench.errors import ResultsError
from actbench.schema.spec import RunSpec
from actbench.storage.locks import Locks
from actbench.storage.result_header import schema_and_outcome
from actbench.storage.status import StudyStatus, study_statuses
from actbench.storage.store import Store
from actbench.system.processes import Process

CONFIG = "study: demo\nactivation: relu\nseeds: 10\n"


def folder_of(root: Path, seed: int) -> Path:
    return Store(root, "demo").run_folder(RunSpec(seed=seed))


def only(path: Path) -> StudyStatus:
    (found,) = study_statuses(path)
    return found


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Of ten runs one is ok, one collapsed, one diverged, one failed, one was begun, one was begun by the dead."""
    outcomes = ("ok", "collapsed", "diverged", "failed")
    records = [record(outcome=outcome, seed=seed) for seed, outcome in enumerate(outcomes)]
    save(tmp_path / "results", records, text=CONFIG)
    for seed in (4, 5):
        Store(tmp_path / "results", "demo").begin(RunSpec(seed=seed))
    leave(folder_of(tmp_path / "results", 5), DEAD)
    return tmp_path / "results"


def actbench(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["actbench", "status", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return ended.value.code or 0


def test_every_run_is_in_one_place(results: Path) -> None:
    demo = only(results)
    assert demo.done == {"ok": 1, "collapsed": 1, "diverged": 1}
    assert [(one.run, one.message) for one in demo.failed] == [(RunSpec(seed=3).run_id, "it failed")]
    assert demo.failed[0].log.read_text().startswith("it failed\n\nTraceback")
    assert {one.run: one.why for one in demo.stale} == {
        RunSpec(seed=4).run_id: "begun, and no process is computing it",
        RunSpec(seed=5).run_id: f"{DEAD} was computing it and has exited",
    }
    assert (demo.running, demo.to_do, demo.warnings) == ([], 4, [])


@pytest.mark.parametrize("where", ["results", "results/demo"])
def test_a_results_folder_and_a_study_can_be_named(results: Path, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    monkeypatch.chdir(results.parent)
    demo = only(Path(where))
    assert (demo.study, demo.folder, demo.to_do) == ("demo", Path("results/demo"), 4)
    assert demo.failed[0].log == Path("results/demo/runs", RunSpec(seed=3).run_id, "error.txt")


def test_a_running_run_tells_who_has_it_and_how_far_it_is(results: Path) -> None:
    store, spec = Store(results, "demo"), RunSpec(seed=6)
    with Locks(store.folder) as mine:
        mine.take(store.run_folder(spec))
        (taken,) = only(results).running
        assert (taken.run, taken.epoch, taken.epochs) == (spec.run_id, None, None)
        store.begin(spec)
        store.append(spec, {"epoch": 0})
        store.append(spec, {"epoch": 1})
        with (store.run_folder(spec) / "metrics.jsonl").open("a") as curve:
            curve.write('{"epoch": 2, "tra')
        demo = only(results)
        (running,) = demo.running
        this = Process.this()
        assert (running.run, running.host, running.pid) == (spec.run_id, this.host, this.pid)
        assert (running.epoch, running.epochs) == (1, spec.training.epochs)
        assert demo.to_do == 3
    assert len(only(results).stale) == 3, "given back before its end"


def test_a_run_on_another_machine_is_judged_by_its_heartbeat(results: Path) -> None:
    run = folder_of(results, 4)
    leave(run, replace(Process.this(), host="elsewhere"), token="a" * 16)
    heartbeat = results / "demo" / f"heartbeat-{'a' * 16}"
    heartbeat.touch()
    assert [one.host for one in only(results).running] == ["elsewhere"]
    os.utime(heartbeat, (time.time() - 61,) * 2)
    assert (only(results).running, len(only(results).stale)) == ([], 2)


def test_a_finished_run_that_is_run_again_is_running_once_its_result_is_gone(results: Path) -> None:
    with Locks(results / "demo") as mine:
        mine.take(folder_of(results, 0))
        assert only(results).done["ok"] == 1
        Store(results, "demo").begin(RunSpec(seed=0))
        assert only(results).done["ok"] == 0
        assert [one.run for one in only(results).running] == [RunSpec(seed=0).run_id]


def test_a_finished_run_is_done_whoever_has_left_a_lock_on_it(results: Path) -> None:
    for seed in (0, 3):
        leave(folder_of(results, seed), Process.this())
    demo = only(results)
    assert (demo.done["ok"], len(demo.failed), demo.running) == (1, 1, [])


def test_foreign_and_empty_folders_are_passed_by(results: Path) -> None:
    for name in ("notes", folder_of(results, 7).name):
        (results / "demo/runs" / name).mkdir()
    (results / "demo/runs/.DS_Store").write_bytes(b"\x00")
    (results / "plots").mkdir()
    assert only(results).to_do == 4


def test_what_cannot_be_read_is_told(results: Path) -> None:
    (folder_of(results, 0) / "result.json").write_text('{"schema": 1, "outc')
    (folder_of(results, 1) / "result.json").write_text('{"schema": 2, "outcome": "splendid"}')
    (results / "demo/study.yaml").write_text("study: demo\nseeed: 3\n")
    demo = only(results)
    assert "its result can't be read" in [one.why for one in demo.stale]
    assert (demo.to_do, demo.resume, sum(demo.done.values())) == (None, [], 1)
    assert len(demo.warnings) == 2
    assert "written by a newer actbench" in demo.warnings[0]
    assert "did you mean 'seeds'?" in demo.warnings[1]


def test_a_link_to_nowhere_does_not_hold_it_up(results: Path) -> None:
    (folder_of(results, 4) / "result.json").symlink_to("nowhere")
    assert "its files come and go" in [one.why for one in only(results).stale]


def test_absent_and_empty_folders_are_errors(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    expected = {"nowhere": "does not exist", "file": "neither a folder nor a packed study", ".": "no"}
    for path, told in ((tmp_path / name, told) for name, told in expected.items()):
        with pytest.raises(ResultsError, match=told):
            study_statuses(path)


def test_the_command_says_all_of_it(
    results: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(results.parent)
    save(Path("results"), [record(study="zeta")], text="study: zeta\nseeds: 1\n")
    with Locks(Path("results/demo")) as mine:
        mine.take(folder_of(results, 6))
        assert actbench(monkeypatch) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines[:3]] == [
        ["study", "done", "running", "failed", "paused", "stale", "to", "do"],
        ["demo", "3", "1", "1", "0", "2", "3"],
        ["zeta", "1", "0", "0", "0", "0", "0"],
    ]
    told = "\n".join(lines[3:])
    assert "done: 1 ok, 1 collapsed, 1 diverged" in told
    assert f"running: {Process.this()}\n    {RunSpec(seed=6).run_id}  starting, since 20" in told
    failed = RunSpec(seed=3).run_id
    assert f"failed: {failed}: it failed\n    results/demo/runs/{failed}/error.txt" in told
    assert "to go on: actbench run results/demo/study.yaml --results results" in told


def test_the_command_for_programs_says_the_same(
    results: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert actbench(monkeypatch, str(results), "--json") == 0
    found = json.loads(capsys.readouterr().out)
    (demo,) = found["studies"]
    assert found["schema"] == 1
    assert set(demo) == {
        "study",
        "folder",
        "done",
        "running",
        "failed",
        "paused",
        "stale",
        "to_do",
        "resume",
        "shard",
        "jobs",
        "warnings",
    }
    assert Path(demo["failed"][0]["log"]).exists()
    assert (demo["to_do"], len(demo["stale"])) == (4, 2)


@pytest.mark.parametrize("config", ["seeds: 5\n", "study: demo\nseeds: 5\n"])
@pytest.mark.parametrize("asked", [".", "results/my-demo", ""])
def test_the_command_that_goes_on_runs_the_same_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, config: str, asked: str
) -> None:
    study = tmp_path / "results" / "my-demo"
    (study / "runs").mkdir(parents=True)
    (study / "study.yaml").write_text(config)
    monkeypatch.chdir(study if asked == "." else tmp_path)
    found = only(Path(asked) if asked else study)
    config_file, *rest = shlex.split(shlex.join(found.resume))[2:]
    assert Path(config_file).resolve() == study / "study.yaml"
    assert Path(rest[-1]).resolve() == tmp_path / "results"
    assert rest[:-2] == ["study=my-demo"]


@pytest.mark.parametrize("left", ["failed", "stale", "to do"])
def test_the_command_that_goes_on_keeps_how_the_runs_were_computed(tmp_path: Path, left: str) -> None:
    done = record(seed=0, environment={"argv": ["actbench", "run", "study.yaml", "--device", "cpu", "seeds=2"]})
    save(tmp_path, [done], text="study: demo\nactivation: relu\nseeds: 2\n")
    store, other = Store(tmp_path, "demo"), RunSpec(seed=1)
    if left == "failed":
        store.fail(other, "no", "")
    elif left == "stale":
        store.begin(other)
    assert only(tmp_path).resume[-2:] == ["--device", "cpu"]


def test_torch_stays_out(results: Path) -> None:
    check = (
        "import sys; from actbench import cli; sys.argv = ['actbench', 'status', sys.argv[1]]\n"
        "try: cli.main()\n"
        "finally: assert not {'torch', 'scipy', 'matplotlib', 'rich'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", check, str(results)], check=True, capture_output=True)


def test_results_as_they_are_written_are_not_parsed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(tmp_path, [record(seed=seed) for seed in range(20)], text=CONFIG)
    parsed = []
    monkeypatch.setattr(json, "loads", lambda text, real=json.loads: parsed.append(text) or real(text))
    assert only(tmp_path).done["ok"] == 20
    assert parsed == []


@pytest.mark.parametrize("how", ["whole", "compact", "other order", "longer", "half", "half after a brace", "a list"])
def test_the_first_entries_of_a_result_are_those_that_a_parser_finds(tmp_path: Path, how: str) -> None:
    save(tmp_path, [record(outcome="collapsed")])
    (path,) = tmp_path.rglob("result.json")
    content = json.loads(path.read_text())
    text = {
        "whole": path.read_text(),
        "compact": json.dumps(content),
        "other order": json.dumps(dict(reversed(content.items())), indent=2),
        "longer": path.read_text() + "\n\n",
        "half": path.read_text()[:-100],
        "half after a brace": path.read_text()[: path.read_text().rindex("\n  }") + 4],
        "a list": "[1]",
    }[how]
    path.write_text(text)
    if how in ("half", "half after a brace", "a list"):
        with pytest.raises(ValueError, match=r"holds no mapping|Expecting|Unterminated"):
            schema_and_outcome(path)
    else:
        assert schema_and_outcome(path) == (1, "collapsed")
