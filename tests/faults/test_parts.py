"""Parts of a study, trained in folders that share nothing: together they are the whole, to the last bit."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from forked_commands import Server
from shown_commands import steps_of

pytestmark = pytest.mark.slow

DOCS = Path(__file__).parents[2] / "docs" / "howto"

STUDY = """\
study: parts
dataset: {name: digits, train_size: 200, test_size: 100}
model: {name: mlp, hidden: [16]}
training: {epochs: 3, batch_size: 32, checkpoint_every: 1}
seeds: 4
sweep: {activation: [relu, tanh, gelu], bias_init: [0.0, 0.1]}
"""
RUNS = 24
FOLDERS = ("machine-a", "machine-b", "machine-c")

KILLED = """\
import os, signal, sys

count = 0


def at(event, arguments):
    global count
    if event == "os.rename" and str(arguments[1]).endswith("result.json"):
        count += 1
        if count == 1:
            os.killpg(os.getpid(), signal.SIGKILL)


sys.addaudithook(at)
"""
"""Pulls the plug when the first run is about to get its result: its lock and those of its cohort's other runs, a
heartbeat and a checkpoint stay behind, and a result without its name."""

USUAL = {"study.yaml", "spec.json", "metrics.jsonl", "result.json"}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, forking: Server) -> dict[str, Any]:
    """What one command makes of the study."""
    folder = tmp_path_factory.mktemp("whole")
    (folder / "study.yaml").write_text(STUDY)
    assert forking.do(folder, *command()) == 0, (folder / "stderr").read_text()
    return found(forking, folder)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "study.yaml").write_text(STUDY)
    return tmp_path


def command(*options: str) -> tuple[str, ...]:
    return ("run", "study.yaml", "--engine", "inline", "--device", "cpu", *options)


def part(number: int, results: str = "") -> tuple[str, ...]:
    return command("--shard", f"{number}/3", "--results", results or FOLDERS[number - 1])


def train(server: Server, folder: Path, *numbers: int) -> None:
    for number in numbers:
        assert server.do(folder, *part(number)) == 0, (folder / "stderr").read_text()


def kill(server: Server, folder: Path, number: int, **settings: str) -> None:
    assert server.do(folder, *part(number), prelude=KILLED, **settings) == -9
    left = {path.name.partition("-")[0] for path in (folder / FOLDERS[number - 1]).rglob("*") if path.is_file()}
    assert {"claim.json", "heartbeat"} <= left
    assert list((folder / FOLDERS[number - 1]).rglob("*.pt"))


def copy(folder: Path) -> None:
    """Run the command of the how-to."""
    (code,) = re.findall(
        r"^```bash\n(mkdir .*?)^```$", (DOCS / "shards.md").read_text("utf-8"), re.MULTILINE | re.DOTALL
    )
    for line in code.splitlines():
        words = shlex.split(line)
        if words[0] != "actbench":
            subprocess.run(words, cwd=folder, check=True)


def found(server: Server, folder: Path, *paths: str) -> dict[str, Any]:
    """All that the runs and ``compare`` report, but for the clock, and for commands that name the folder."""
    assert server.do(folder, "compare", *(paths or ["results"]), "--format", "json") == 0, (
        folder / "stderr"
    ).read_text()
    text = re.sub(r": actbench run [^\"]*", "", (folder / "stdout").read_text())
    compared = json.loads(text, object_hook=without_clock)
    runs = {}
    for name in paths or ["results"]:
        for path in sorted((folder / name).glob("*/runs/*/result.json")):
            content = json.loads(path.read_text(), object_hook=without_clock)
            lines = (path.parent / "metrics.jsonl").read_text().splitlines()
            rows = [json.loads(line, object_hook=without_clock) for line in lines]
            runs[path.parent.name] = (content["outcome"], content["final"], content["health"], rows)
    return {"compared": compared, "runs": runs}


def without_clock(part: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in part.items() if key != "seconds"}


def left_over(results: Path) -> list[Path]:
    return [path for path in results.rglob("*") if path.is_file() and path.name not in USUAL]


def test_parts_in_three_folders_are_the_whole_copied_merged_and_side_by_side(
    server: Server, folder: Path, whole: dict[str, Any]
) -> None:
    """One is killed midway, and goes on in its own folder."""
    kill(server, folder, 2)
    train(server, folder, 1, 2, 3)
    assert len(whole["runs"]) == RUNS
    assert found(server, folder, *FOLDERS) == whole
    copy(folder)
    assert found(server, folder) == whole
    assert left_over(folder / "results") == []
    assert server.do(folder, "status", "results", "--json") == 0
    (status,) = json.loads((folder / "stdout").read_text())["studies"]
    assert (status["done"]["ok"], status["to_do"], status["stale"], status["running"]) == (RUNS, 0, [], [])
    assert server.do(folder, "merge", *FOLDERS, "-o", "merged") == 0
    assert found(server, folder, "merged") == whole
    assert server.do(folder, *command("--results", "merged")) == 0
    assert f"nothing to do, all {RUNS} runs are finished" in (folder / "stderr").read_text()


@pytest.mark.parametrize("how", ["copied", "merged"])
@pytest.mark.parametrize("host", ["", "elsewhere"])
def test_what_a_killed_part_left_behind_is_taken_up_in_the_copy(
    server: Server, folder: Path, whole: dict[str, Any], how: str, host: str
) -> None:
    """Locks, heartbeats and checkpoints are copied along; of another machine they are as old as the file says."""
    train(server, folder, 1, 3)
    kill(server, folder, 2, **({"ACTBENCH_HOST": host} if host else {}))
    for heartbeat in (folder / "machine-b" / "parts").glob("heartbeat-*"):
        os.utime(heartbeat, (time.time() - 120,) * 2)
    if how == "copied":
        copy(folder)
    else:
        assert server.do(folder, "merge", *FOLDERS, "-o", "results") == 0
    assert server.do(folder, "compare", "results") == 0
    said = " ".join((folder / "stdout").read_text().split())
    assert "unfinished runs, left out: 6" in said
    assert "2 of 24 planned runs are not here; no run is of shard 2 of 3" in said

    assert server.do(folder, *command()) == 0, (folder / "stderr").read_text()
    said = (folder / "stderr").read_text()
    assert "of them from epoch" in said, "the checkpoint is taken up"
    assert found(server, folder) == whole
    assert left_over(folder / "results") == []


def test_a_heartbeat_that_was_copied_with_a_new_time_keeps_its_runs_for_a_minute_and_loses_nothing(
    server: Server, folder: Path, whole: dict[str, Any]
) -> None:
    """As ``cp`` without ``-a`` makes it, of a part that was killed on another machine."""
    train(server, folder, 1, 3)
    kill(server, folder, 2, ACTBENCH_HOST="elsewhere")
    copy(folder)
    for heartbeat in (folder / "results" / "parts").glob("heartbeat-*"):
        os.utime(heartbeat)
    assert server.do(folder, *command()) == 0
    assert re.search(r"runs? (is|are) being computed by pid \d+ on elsewhere", (folder / "stderr").read_text())
    for heartbeat in (folder / "results" / "parts").glob("heartbeat-*"):
        os.utime(heartbeat, (time.time() - 120,) * 2)
    assert server.do(folder, *command()) == 0
    assert found(server, folder) == whole
    assert left_over(folder / "results") == []


def test_a_part_that_two_have_trained_counts_once(server: Server, folder: Path, whole: dict[str, Any]) -> None:
    train(server, folder, 1, 2, 3)
    assert server.do(folder, *part(1, "machine-d")) == 0
    assert server.do(folder, "compare", *FOLDERS, "machine-d", "--format", "json") == 0
    compared = json.loads((folder / "stdout").read_text(), object_hook=without_clock)
    assert compared["comparisons"] == whole["compared"]["comparisons"]
    assert "runs that repeat another's settings and seed, left out: 8" in compared["warnings"]
    copy(folder)
    subprocess.run(["cp", "-a", "machine-d/.", "results/"], cwd=folder, check=True)
    assert found(server, folder) == whole
    assert server.do(folder, "merge", *FOLDERS, "machine-d", "-o", "merged") == 0
    assert "8 had been finished before, with the same numbers" in (folder / "stdout").read_text()
    assert found(server, folder, "merged") == whole


def test_a_run_that_failed_on_one_machine_and_succeeded_on_another_counts_as_what_succeeded(
    server: Server, folder: Path, whole: dict[str, Any]
) -> None:
    train(server, folder, 1, 2, 3)
    (lost, *_) = sorted((folder / "machine-a" / "parts" / "runs").iterdir())
    there = folder / "machine-d" / "parts" / "runs" / lost.name
    there.mkdir(parents=True)
    (there / "spec.json").write_bytes((lost / "spec.json").read_bytes())
    (there / "error.txt").write_text("no memory\n\nTraceback …")
    (there / "metrics.jsonl").write_text("")
    (folder / "machine-d" / "parts" / "study.yaml").write_text(STUDY)
    for order in (("machine-d", *FOLDERS), (*FOLDERS, "machine-d")):
        assert server.do(folder, "compare", *order, "--format", "json") == 0
        compared = json.loads((folder / "stdout").read_text(), object_hook=without_clock)
        assert compared["comparisons"] == whole["compared"]["comparisons"]
        results = f"merged-{order[0]}"
        assert server.do(folder, "merge", *order, "-o", results) == 0
        assert found(server, folder, results) == whole
        assert left_over(folder / results) == [], "no error beside a result"


@pytest.mark.parametrize("moment", [1, 2, 5, 13, 55])
def test_a_merge_that_is_killed_is_finished_by_the_same_merge(
    server: Server, folder: Path, whole: dict[str, Any], moment: int
) -> None:
    train(server, folder, 1, 2, 3)
    prelude = KILLED.replace(
        'event == "os.rename" and str(arguments[1]).endswith("result.json")', 'event == "os.rename"'
    )
    prelude = prelude.replace("count == 1", f"count == {moment}")
    words = ("merge", *FOLDERS, "-o", "results")
    assert server.do(folder, *words, prelude=prelude) == -9
    assert server.do(folder, *words) == 0
    assert found(server, folder) == whole
    assert server.do(folder, *command()) == 0
    assert f"nothing to do, all {RUNS} runs are finished" in (folder / "stderr").read_text()
    assert left_over(folder / "results") == []


def test_the_workflow_of_the_how_to_trains_and_compares_all_parts(server: Server, folder: Path) -> None:
    (text,) = [step.text for step in steps_of(DOCS / "shards.md") if step.file.endswith("study.yml")]
    jobs = yaml.safe_load(text)["jobs"]
    shards = jobs["train"]["strategy"]["matrix"]["shard"]
    assert shards == list(range(1, len(shards) + 1))
    lines = [step["run"] for job in jobs.values() for step in job["steps"] if "run" in step]
    (run, *compare) = [line for line in lines if line.startswith("actbench")]
    for number in shards:
        line = run.replace("${{ matrix.shard }}", str(number)).replace("${{ strategy.job-total }}", str(len(shards)))
        assert "${{" not in line
        line = line.replace("studies/guard.yaml", "study.yaml")
        assert server.do(folder, *shlex.split(line)[1:], ACTBENCH_RUN_ENGINE="inline") == 0
    for line in compare:
        words = shlex.split(line.partition(" >> ")[0])[1:]
        if "expect" in words:
            words = words[:-2]  # this study has no hypotheses
        assert server.do(folder, *words) == 0, (folder / "stderr").read_text()
    (folder / "results" / "parts" / "runs" / "gone").mkdir()
    victim = min((folder / "results" / "parts" / "runs").glob("*/result.json"))
    victim.unlink()
    assert server.do(folder, "compare", "results", "--fail-if", "unfinished > 0") == 1
