"""The plug is pulled, for real: the same command again gives the table that an undisturbed study would have given."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from forked_commands import Server

pytestmark = pytest.mark.slow  # a hundred commands, each killed at another moment

STUDY = """\
study: killed
dataset: {name: digits, train_size: 200, test_size: 100}
model: {name: mlp, hidden: [16]}
activation: {name: slow, path: 'stopping_parts:slow'}
training: {epochs: 3, batch_size: 32, checkpoint_every: 1}
seeds: 4
sweep:
  bias_init: [0.0, 0.1]
compare: {baseline: {bias_init: 0.0}}
"""
RUNS = 8
MOMENTS = range(20)

AT_A_FILE = """\
import os, signal, sys
from pathlib import Path

count = 0
seen = Path("events").open("w", buffering=1)
kills = Path("kills").open("w", buffering=1)


def at(event, arguments):
    global count
    if event == "open":
        path, mode = arguments[:2]
        changes = isinstance(mode, str) and not set(mode).isdisjoint("wxa")
    else:
        path, changes = arguments[0], event in ("os.rename", "os.remove", "os.mkdir")
    if changes and "results" in str(path):
        count += 1
        seen.write(f"{count}\\n")
        if count in MOMENTS:
            strike()


def end_all():
    assert os.getsid(0) == os.getpid()
    os.killpg(os.getpid(), signal.SIGKILL)


def children(process):
    return Path(f"/proc/{process}/task/{process}/children").read_text().split()


def end_worker():
    mine = children(os.getpid())
    for worker in [*mine, *(forked for child in mine for forked in children(child))]:
        program = Path(f"/proc/{worker}/cmdline").read_bytes()
        if b"_worker" in program or b"_fork_server" in program and worker not in mine:
            os.kill(int(worker), signal.SIGKILL)
            kills.write(f"{count}\\n")


MOMENTS, strike = {%(moments)s}, %(strike)s
sys.addaudithook(at)
"""
"""Strikes just before a file of the study is created, written to, renamed or removed; counts how often that happens."""


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, forking: Server) -> tuple[str, dict[str, Any]]:
    """What is printed and stored when nobody pulls the plug."""
    folder = tmp_path_factory.mktemp("undisturbed")
    (folder / "study.yaml").write_text(STUDY)
    assert forking.do(folder, *command("inline"), SLOW="0") == 0, (folder / "stderr").read_text()
    return table(forking, folder), results(folder)


@pytest.fixture(scope="module")
def changes(tmp_path_factory: pytest.TempPathFactory, forking: Server) -> int:
    """How often a file is touched while the study is trained, by either engine."""
    folder = tmp_path_factory.mktemp("counted")
    (folder / "study.yaml").write_text(STUDY)
    assert forking.do(folder, *command("inline"), prelude=striking("end_all"), SLOW="0") == 0
    return (folder / "events").read_text().count("\n")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "study.yaml").write_text(STUDY)
    return tmp_path


def command(engine: str) -> tuple[str, ...]:
    return ("run", "study.yaml", "--engine", engine, "--cohort-size", "2", "-j", "1", "--device", "cpu")


def table(server: Server, folder: Path) -> str:
    """What ``compare --format json`` prints, but for the metric that is a clock."""
    assert server.do(folder, "compare", "results", "--format", "json") == 0, (folder / "stderr").read_text()
    printed = (folder / "stdout").read_text()
    assert json.dumps(json.loads(printed), indent=2) + "\n" == printed, (
        "so that leaving the clock out changes no other byte"
    )
    timeless = json.loads(printed, object_hook=lambda part: {k: v for k, v in part.items() if k != "seconds"})
    return json.dumps(timeless, indent=2)


def results(folder: Path) -> dict[str, Any]:
    """What every run found and its curve, without what a clock decides."""
    found = {}
    for path in sorted(folder.glob("results/*/runs/*/result.json")):
        content = json.loads(path.read_text())
        rows = list(map(json.loads, (path.parent / "metrics.jsonl").read_text().splitlines()))
        content["final"].pop("seconds")
        for row in rows:
            row.pop("seconds")
        found[path.parent.name] = (content["outcome"], content["final"], content["health"], rows)
    return found


def stored(folder: Path) -> dict[Path, tuple[int, bytes]]:
    """The files of the runs that are finished, with the time of each file's last change."""
    runs = [path.parent for path in folder.glob("results/*/runs/*/result.json")]
    files = [
        path for run in runs for path in run.iterdir() if path.name in ("spec.json", "metrics.jsonl", "result.json")
    ]
    return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in files}


def striking(strike: str, *moments: int) -> str:
    """The prelude of a command that is struck at these of its changes of files, counted from 1."""
    return AT_A_FILE % {"strike": strike, "moments": ", ".join(map(str, moments)) or "-1"}


def change(changes: int, moment: int) -> int:
    """One of the changes, by chance, out of that twentieth of them."""
    first, last = (1 + changes * part // len(MOMENTS) for part in (moment, moment + 1))
    return int(np.random.default_rng(moment).integers(first, last))


def check(
    server: Server, folder: Path, undisturbed: tuple[str, dict[str, Any]], before: dict[Path, tuple[int, bytes]]
) -> None:
    """The same command finishes the study, touches nothing that was finished, and the table is the same.

    Only ``--engine`` differs, which spares the second worker's start and changes no result.
    """
    assert server.do(folder, *command("inline"), SLOW="0") == 0, (folder / "stderr").read_text()
    after = stored(folder)
    assert {path: after[path] for path in before} == before
    assert results(folder) == undisturbed[1]
    assert table(server, folder) == undisturbed[0]
    assert left_over(folder) == [], "what a kill left is cleared away"


def left_over(folder: Path) -> list[str]:
    kept = {"study.yaml", "spec.json", "metrics.jsonl", "result.json"}
    return [path.name for path in folder.glob("results/**/*") if path.is_file() and path.name not in kept]


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds the worker in the process table of Linux")
@pytest.mark.parametrize("first", [2, 7])
def test_workers_are_killed_again_and_again_and_the_study_is_finished(
    first: int, server: Server, folder: Path, undisturbed: tuple[str, dict[str, Any]], changes: int
) -> None:
    """At two of the twenty moments: a worker takes seconds to start, and steps that take their time keep it at work
    while its parent writes."""
    moments = [change(changes, moment) for moment in MOMENTS[first::10]]
    code = server.do(folder, *command("pool"), prelude=striking("end_worker", *moments), SLOW="0.005")
    said = (folder / "stderr").read_text()
    assert "Traceback" not in said
    assert list(map(int, (folder / "kills").read_text().split())) == moments, f"a worker dies at each\n{said}"
    assert code == ("failed:" in said), said  # a run is lost only when its worker was killed while it was alone
    check(server, folder, undisturbed, stored(folder))


@pytest.mark.parametrize("moment", MOMENTS[::2])
def test_the_whole_group_is_killed_and_the_study_is_finished(
    moment: int, server: Server, folder: Path, undisturbed: tuple[str, dict[str, Any]], changes: int
) -> None:
    prelude = striking("end_all", change(changes, moment))
    assert server.do(folder, *command("inline" if moment % 8 else "pool"), prelude=prelude, SLOW="0") == -signal.SIGKILL
    check(server, folder, undisturbed, stored(folder))


@pytest.mark.parametrize("moment", MOMENTS[1::2])
def test_the_power_is_cut_and_the_study_is_finished(
    moment: int, server: Server, folder: Path, undisturbed: tuple[str, dict[str, Any]], changes: int
) -> None:
    prelude = striking("end_all", change(changes, moment))
    assert server.do(folder, *command("inline"), prelude=prelude, SLOW="0") == -signal.SIGKILL
    before = stored(folder)
    tear(folder, np.random.default_rng(100 + moment))
    check(server, folder, undisturbed, before)


GIVING_BACK = """\
import errno, os, resource, signal, sys
from pathlib import Path


def at(event, arguments):
    if event not in ("open", "os.link", "os.remove"):
        return
    resource.setrlimit(resource.RLIMIT_FSIZE, (ROOM, ROOM))
    path = str(arguments[1 if event == "os.link" else 0])
    name, run = Path(path).name, Path(path).parent
    if "claim.json" not in name or not (run / "result.json").exists():
        return
    if len(list(Path("results").glob("*/runs/*/result.json"))) < %(finished)d:
        return
    step = {"open": "write" if arguments[1] == "w" else "read", "os.link": "link", "os.remove": "remove"}[event]
    if step == "remove":
        step += " what was linked" if name[0] == "." else " lock" if name == "claim.json" else " removal lock"
    if step == %(step)r:
        %(strike)s


def end_all(path):
    assert os.getsid(0) == os.getpid()
    if %(step)r == "write":
        os.open(path, os.O_CREAT | os.O_EXCL)
    os.killpg(os.getpid(), signal.SIGKILL)


def fill_disk(path):
    if %(step)r != "write":
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, ROOM))  # until the next step: messages go to a file, too


_, ROOM = resource.getrlimit(resource.RLIMIT_FSIZE)
sys.addaudithook(at)
"""
"""Strikes at one of the operations that give a run back once so many runs are finished: writing the removal lock aside,
linking it to its name, removing what was linked, removing the lock, removing the removal lock."""

OPERATIONS = ["write", "link", "remove what was linked", "remove lock", "remove removal lock"]


@pytest.mark.parametrize("finished", [1, RUNS])
@pytest.mark.parametrize("step", OPERATIONS)
def test_a_kill_while_a_run_is_given_back_leaves_nothing_behind_for_ever(
    step: str, finished: int, server: Server, folder: Path, undisturbed: tuple[str, dict[str, Any]]
) -> None:
    """Also of the last run, after which there is nothing to do; meanwhile ``status`` calls the run done."""
    prelude = GIVING_BACK % {"finished": finished, "step": step, "strike": "end_all(path)"}
    assert server.do(folder, *command("inline"), prelude=prelude, SLOW="0") == -signal.SIGKILL
    assert sorted(name.partition(".json")[0] for name in left_over(folder) if name.startswith("claim"))
    assert len(results(folder)) == finished
    for host in ("", "elsewhere"):
        assert server.do(folder, "status", "--json", ACTBENCH_HOST=host) == 0
        (study,) = json.loads((folder / "stdout").read_text())["studies"]
        assert study["done"]["ok"] == finished
    check(server, folder, undisturbed, stored(folder))


@pytest.mark.parametrize("step", OPERATIONS)
def test_a_disk_that_is_full_while_a_run_is_given_back_leaves_nothing_behind_for_ever(
    step: str, server: Server, folder: Path, undisturbed: tuple[str, dict[str, Any]]
) -> None:
    """Of the last run: the same command has nothing to train, and clears away all the same."""
    prelude = GIVING_BACK % {"finished": RUNS, "step": step, "strike": "fill_disk(path)"}
    assert server.do(folder, *command("inline"), prelude=prelude, SLOW="0") == 2
    said = (folder / "stderr").read_text()
    assert "can't write" in said
    assert "make room" in said
    assert "Traceback" not in said
    assert len(results(folder)) == RUNS
    check(server, folder, undisturbed, stored(folder))


def tear(folder: Path, random: np.random.Generator) -> None:
    """Files that were not yet safe on the disk are cut off, empty, or full of zeros; a minute goes by.

    Safe is what a finished run consists of: a result is written to the disk before it gets its name.
    """
    finished = {path.parent for path in folder.glob("results/*/runs/*/result.json")}
    for path in sorted(folder.glob("results/**/*")):
        if not path.is_file() or path.parent in finished:
            continue
        if path.name == "study.yaml" and len(finished) == RUNS:
            continue  # it is as safe as a result, and a command with nothing to do does not write it anew
        content = path.read_bytes()
        cut = int(random.integers(len(content) + 1))
        path.write_bytes([content, b"", content[:cut], content[:cut] + bytes(len(content) - cut)][random.integers(4)])
        if path.name == "spec.json" and random.random() < 0.5:
            (path.parent / "result.json").write_bytes([b"", b'{"schema": 1, "outc', bytes(300)][random.integers(3)])
    for path in folder.glob("results/**/*"):
        if path.is_file() and path.parent not in finished:
            os.utime(path, (time.time() - 61,) * 2)
