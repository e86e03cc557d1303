"""``--shard`` of ``run`` and ``plan``: what they say, what they refuse, and where the shard is named again."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
from commands import Done, in_this_process

from actbench.cli.interruption import how_to_go_on

STUDY = """\
study: tiny
dataset: {name: digits, train_size: 200, test_size: 100}
model: {name: mlp, hidden: [8]}
training: {epochs: 1, batch_size: 32}
seeds: 3
sweep: {activation: [relu, tanh]}
"""
RUNS = 6

Command = Callable[..., Done]


@pytest.fixture
def actbench(
    tmp_path: Path, data_folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Command:
    (tmp_path / "study.yaml").write_text(STUDY)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ACTBENCH_DATA", str(data_folder))
    for name in ("ACTBENCH_RUN_SHARD", "ACTBENCH_RUN_FORCE", "ACTBENCH_RUN_RETRY"):
        monkeypatch.delenv(name, raising=False)
    return in_this_process(monkeypatch, capfd)


def run(actbench: Command, shard: str, *options: str, results: str = "results") -> Done:
    return actbench(
        "run", "study.yaml", "--shard", shard, "--results", results, "--engine", "inline", "--device", "cpu", *options
    )


def runs_of(results: str) -> set[str]:
    return {path.parent.name for path in Path(results).glob("*/runs/*/result.json")}


@pytest.mark.parametrize("command", ["run", "plan"])
@pytest.mark.parametrize("shard", ["0/3", "4/3", "a/b", "1/0", "-1/3", "/", f"1/{'9' * 30}"])
def test_no_such_shard_is_one_error(actbench: Command, tmp_path: Path, command: str, shard: str) -> None:
    done = actbench(command, "study.yaml", "--shard", shard)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("actbench: --shard")
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "results").exists()


def test_run_needs_to_know_which_shard_where_plan_shows_all(actbench: Command) -> None:
    done = actbench("run", "study.yaml", "--shard", "3")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "which of them? write I/N, such as 1/3" in done.stderr
    assert actbench("plan", "study.yaml", "--shard", "3").returncode == 0
    assert actbench("plan", "study.yaml", "--shard", "three").returncode == 2


@pytest.mark.parametrize(("command", "shard"), [("run", "1/3"), ("plan", "1/3"), ("plan", "3")])
def test_until_is_refused(actbench: Command, command: str, shard: str) -> None:
    done = actbench(command, "study.yaml", "--shard", shard, "--until", "test.accuracy ci < 1pp")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "--until can't go with --shard" in done.stderr


def test_a_shard_is_planned_as_it_is_run(actbench: Command) -> None:
    planned = actbench("plan", "study.yaml", "--shard", "2/2").stdout
    assert planned == actbench("run", "study.yaml", "--shard", "2/2", "--dry-run").stdout
    assert re.search(r"^study +tiny, shard 2/2 -> ", planned, re.MULTILINE)
    assert re.search(r"^seeds +1 and a part of 2$", planned, re.MULTILINE)
    assert re.search(r"^runs +3: 0 done, 3 to do$", planned, re.MULTILINE)
    as_data = json.loads(actbench("plan", "study.yaml", "--shard", "2/2", "--json").stdout)
    assert (as_data["shard"], as_data["seeds"], as_data["runs"]["all"]) == ("2/2", [1, 2], 3)
    whole = json.loads(actbench("plan", "study.yaml", "--json").stdout)
    assert (whole["shard"], whole["warnings"]) == (None, as_data["warnings"]), "of what the whole study will show"


def test_all_shards_in_a_table(actbench: Command) -> None:
    said = run(actbench, "1/4").stderr
    assert "tiny, shard 1/4: 2 of 2 runs to do" in said
    lines = actbench("plan", "study.yaml", "--shard", "4", "--device", "cpu").stdout.splitlines()
    assert lines[2].split() == ["shard", "runs", "to", "do", "work", "time", "seeds"]
    rows = [line.split(maxsplit=3) for line in lines[3:]]
    assert [row[:3] for row in rows] == [["1/4", "2", "0"], ["2/4", "1", "1"], ["3/4", "2", "2"], ["4/4", "1", "1"]]
    found = json.loads(actbench("plan", "study.yaml", "--shard", "4", "--json").stdout)["shards"]
    assert [one["shard"] for one in found] == ["1/4", "2/4", "3/4", "4/4"]
    assert [one["runs"]["all"] for one in found] == [2, 1, 2, 1]
    assert sum(one["work"] for one in found) == pytest.approx(1)
    assert (found[0]["seeds"], found[0]["partial_seeds"]) == ([0], [])
    assert found[0]["time"]["seconds"] == 0
    assert found[3]["time"]["seconds"] > 0, "by what the first shard took"


def test_shards_are_disjoint_and_together_the_study(actbench: Command) -> None:
    for number in range(1, 5):
        assert run(actbench, f"{number}/4", results=f"part-{number}").returncode == 0
    parts = [runs_of(f"part-{number}") for number in range(1, 5)]
    assert len(set().union(*parts)) == sum(map(len, parts)) == RUNS
    for number in range(1, 5):
        assert Path(f"part-{number}/tiny/study.yaml").read_text() == STUDY, "that of the whole study"


def test_a_shard_without_runs_says_so_and_is_fine(actbench: Command) -> None:
    for options in ((), ("--report",)):
        done = run(actbench, "7/30", *options)
        assert (done.returncode, done.stderr) == (0, "tiny, shard 7/30 holds no runs: the study has 6; nothing to do\n")
    assert Path("results/tiny/study.yaml").read_text() == STUDY, "so that there is a folder to hand in"
    done = actbench("plan", "study.yaml", "--shard", "7/30")
    assert (done.returncode, done.stdout) == (0, "tiny, shard 7/30 holds no runs: the study has 6\n")


def test_force_and_retry_are_about_the_shards_own_runs(actbench: Command) -> None:
    for number in (1, 2):
        assert run(actbench, f"{number}/2").returncode == 0
    before = {path: path.stat().st_mtime_ns for path in Path("results").glob("*/runs/*/result.json")}
    assert "nothing to do, all 3 runs are finished" in run(actbench, "1/2").stderr
    assert "nothing to do" in run(actbench, "1/2", "--retry", "all").stderr
    assert "shard 1/2: 3 ok in" in run(actbench, "1/2", "--force").stderr
    again = {path for path, time in before.items() if path.stat().st_mtime_ns != time}
    assert len(again) == 3
    assert {path.parent.name for path in again} == runs_of("results") - {
        path.parent.name for path in before if path not in again
    }


def test_the_variable_stands_for_the_option(actbench: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACTBENCH_RUN_SHARD", "3/3")
    done = actbench("run", "study.yaml", "--engine", "inline", "--device", "cpu")
    assert "tiny, shard 3/3: 2 ok in" in done.stderr
    (first, *_) = Path("results").glob("*/runs/*/result.json")
    assert json.loads(first.read_text())["environment"]["shard"] == "3/3"


def test_the_record_names_the_shard_and_the_run_is_the_same(actbench: Command) -> None:
    run(actbench, "1/1", results="shard")
    actbench("run", "study.yaml", "--results", "whole", "--engine", "inline", "--device", "cpu")
    assert runs_of("shard") == runs_of("whole")
    environments = [
        json.loads(next(Path(name).rglob("result.json")).read_text())["environment"] for name in ("shard", "whole")
    ]
    assert (environments[0]["shard"], "shard" in environments[1]) == ("1/1", False)


@pytest.mark.parametrize(
    ("words", "variable", "kept"),
    [
        ("run x.yaml --shard 2/5 --force", "", "run x.yaml --shard 2/5"),
        ("run x.yaml --shard=2/5", "3/5", "run x.yaml --shard=2/5"),
        ("run x.yaml", "3/5", "run x.yaml --shard 3/5"),
        ("run x.yaml", "", "run x.yaml"),
    ],
)
def test_the_command_that_goes_on_after_an_interruption_names_the_shard(
    words: str, variable: str, kept: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["actbench", *words.split()])
    monkeypatch.setenv("ACTBENCH_RUN_SHARD", variable)
    assert how_to_go_on().split("\n")[1].strip().partition(" ")[2] == kept


def test_status_names_the_shard_where_a_folder_holds_that_alone(actbench: Command) -> None:
    run(actbench, "1/2")
    said = actbench("status").stdout
    assert "shard 1/2 is done, the other shards are not in this folder" in said
    assert "to train them here, too:" in said
    assert "--shard" not in said.rpartition("to train")[2]

    (Path("results/tiny/runs") / min(runs_of("results")) / "result.json").unlink()
    said = actbench("status").stdout
    command = shlex.split(said.partition("to go on: ")[2])
    assert command[-2:] == ["--shard", "1/2"]
    assert json.loads(actbench("status", "--json").stdout)["studies"][0]["resume"][-2:] == ["--shard", "1/2"]
    done = actbench(*command[command.index("run") :])
    assert "tiny, shard 1/2: 1 ok in" in done.stderr

    run(actbench, "2/3")  # other runs beside it: the folder is the study's again
    assert "--shard" not in actbench("status").stdout
    assert "to go on: " in actbench("status").stdout
