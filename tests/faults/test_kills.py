"""The plug is pulled, for real: the same command again gives the table that an undisturbed study would have given."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

PARTS = Path(__file__).parents[1] / "support"

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
RUNS, ROWS = 8, 32
MOMENTS = range(20)

SERVER = """\
import json, os, sys
import torch._dynamo
from actbench import checkpoint, cli, runner, train
from actbench.cli import compare, run

for line in sys.stdin:
    folder, arguments, settings = json.loads(line)
    pid = os.fork()
    if not pid:
        os.setsid()
        os.chdir(folder)
        os.environ.update(settings)
        for number, name in ((1, "stdout"), (2, "stderr")):
            os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
        sys.argv = ["actbench", *arguments]
        try:
            cli.main()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 0
            sys.stdout.flush()
            os._exit(code)
        os._exit(77)
    print(pid, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""
"""Commands in processes of their own, each the leader of a group; forked, since importing torch takes seconds."""


class Server:
    """Starts commands and tells how they ended.

    Args:
        process: The program above.
    """

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def start(self, folder: Path, *arguments: str, slow: str = "0") -> int:
        """Returns the process id; ``end`` must be asked before anything else is started."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([str(folder), arguments, {"SLOW": slow}]) + "\n")
        self._process.stdin.flush()
        return self._line()

    def end(self) -> int:
        """Waits for it; the exit code, or minus the signal."""
        return self._line()

    def do(self, folder: Path, *arguments: str) -> int:
        self.start(folder, *arguments)
        return self.end()

    def _line(self) -> int:
        assert self._process.stdout is not None
        return int(self._process.stdout.readline())


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    settings = {"ACTBENCH_DATA": str(tmp_path_factory.mktemp("data")), "ACTBENCH_RUN_PRODUCTS": "default"}
    settings |= {"PYTHONPATH": os.pathsep.join([str(PARTS), *filter(None, sys.path)]), "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        [sys.executable, "-c", SERVER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | settings,
    ) as process:
        yield Server(process)
        assert process.stdin is not None
        process.stdin.close()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, server: Server) -> tuple[str, dict[str, Any]]:
    """What is printed and stored when nobody pulls the plug."""
    folder = tmp_path_factory.mktemp("undisturbed")
    (folder / "study.yaml").write_text(STUDY)
    assert server.do(folder, *command("inline")) == 0, (folder / "stderr").read_text()
    return table(server, folder), results(folder)


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


def rows(folder: Path) -> int:
    return sum(path.read_bytes().count(b"\n") for path in folder.glob("results/*/runs/*/metrics.jsonl"))


def wait_for_moment(folder: Path, pid: int, moment: int) -> None:
    """Moments are spread over the study by its progress; a random delay puts them anywhere between two files."""
    delay = float(np.random.default_rng(moment).uniform(0, 0.05))
    deadline = time.monotonic() + 60
    while rows(folder) < ROWS * moment // len(MOMENTS):
        assert time.monotonic() < deadline, "the study does not get on"
        os.kill(pid, 0)
        time.sleep(0.001)
    time.sleep(delay)


def worker_of(pid: int) -> int:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        if children:
            return int(children[0])
        time.sleep(0.001)
    raise AssertionError("no worker was started")


def check(
    server: Server, folder: Path, undisturbed: tuple[str, dict[str, Any]], before: dict[Path, tuple[int, bytes]]
) -> None:
    """The same command finishes the study, touches nothing that was finished, and the table is the same.

    Only ``--engine`` differs, which spares the second worker's start and changes no result.
    """
    assert server.do(folder, *command("inline")) == 0, (folder / "stderr").read_text()
    after = stored(folder)
    assert {path: after[path] for path in before} == before
    assert results(folder) == undisturbed[1]
    assert table(server, folder) == undisturbed[0]
    kept = {"study.yaml", "spec.json", "metrics.jsonl", "result.json"}
    left = [path for path in folder.glob("results/**/*") if path.is_file() and path.name not in kept]
    assert [path for path in left if not path.name.startswith("heartbeat-")] == [], "what a kill left is cleared away"


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds the worker in the process table of Linux")
@pytest.mark.parametrize("first", range(5))
def test_workers_are_killed_again_and_again_and_the_study_is_finished(
    first: int, server: Server, folder: Path, undisturbed: tuple[str, dict[str, Any]]
) -> None:
    """Four of the twenty moments in each study: a worker takes seconds to start."""
    pid = server.start(folder, *command("pool"), slow="0.005")
    for moment in MOMENTS[first::5]:
        wait_for_moment(folder, pid, moment)
        os.kill(worker_of(pid), signal.SIGKILL)
    code, said = server.end(), (folder / "stderr").read_text()
    assert "Traceback" not in said
    assert code == ("failed:" in said), said  # a run is lost only when its worker was killed while it was alone
    check(server, folder, undisturbed, stored(folder))


@pytest.mark.slow
@pytest.mark.parametrize("moment", MOMENTS)
def test_the_whole_group_is_killed_and_the_study_is_finished(
    moment: int, server: Server, folder: Path, undisturbed: tuple[str, dict[str, Any]]
) -> None:
    pid = server.start(folder, *command("inline" if moment % 4 else "pool"), slow="0.005")
    wait_for_moment(folder, pid, moment)
    os.killpg(pid, signal.SIGKILL)
    assert server.end() == -signal.SIGKILL, "it was over before it could be killed"
    assert len(results(folder)) < RUNS
    check(server, folder, undisturbed, stored(folder))


@pytest.mark.slow
@pytest.mark.parametrize("moment", MOMENTS)
def test_the_power_is_cut_and_the_study_is_finished(
    moment: int, server: Server, folder: Path, undisturbed: tuple[str, dict[str, Any]]
) -> None:
    pid = server.start(folder, *command("inline"), slow="0.005")
    wait_for_moment(folder, pid, moment)
    os.killpg(pid, signal.SIGKILL)
    assert server.end() == -signal.SIGKILL, "it was over before it could be killed"
    before = stored(folder)
    tear(folder, np.random.default_rng(100 + moment))
    check(server, folder, undisturbed, before)


def tear(folder: Path, random: np.random.Generator) -> None:
    """Files that were not yet safe on the disk are cut off, empty, or full of zeros; a minute goes by.

    Safe is what a finished run consists of: a result is written to the disk before it gets its name.
    """
    finished = {path.parent for path in folder.glob("results/*/runs/*/result.json")}
    for path in sorted(folder.glob("results/**/*")):
        if not path.is_file() or path.parent in finished:
            continue
        content = path.read_bytes()
        cut = int(random.integers(len(content) + 1))
        path.write_bytes([content, b"", content[:cut], content[:cut] + bytes(len(content) - cut)][random.integers(4)])
        if path.name == "spec.json" and random.random() < 0.5:
            (path.parent / "result.json").write_bytes([b"", b'{"schema": 1, "outc', bytes(300)][random.integers(3)])
    for path in folder.glob("results/**/*"):
        if path.is_file() and path.parent not in finished:
            os.utime(path, (time.time() - 61,) * 2)
