"""How a study ends before it is done: in order, at once, with its parent, or because an activation hangs."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import stopping_parts

from actbench import cli
from actbench.config import Study
from actbench.execution.engines import Work
from actbench.execution.runner import Runner
from actbench.schema.events import EpochDone, Event, Failed, Finished, Saved, Started
from actbench.schema.registry import load, names
from actbench.schema.runtime import Cohort, Runtime
from actbench.schema.spec import RunSpec

PARTS = Path(__file__).parents[1] / "support"

STUDY = """\
study: stopped
dataset: {name: digits, train_size: 200, test_size: 100}
model: {name: mlp, hidden: [16]}
activation: {name: slow, path: 'stopping_parts:slow'}
training: {epochs: 3, batch_size: 32}
seeds: 1
sweep:
  bias_init: [0.0, 0.01, 0.1, 0.2]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "study.yaml").write_text(STUDY)
    return tmp_path


Process = subprocess.Popen[str]


@contextmanager
def started(folder: Path, data_folder: Path, *options: str, **settings: str) -> Iterator[Process]:
    """The command, as the leader of a process group of its own; whatever is left of the group at the end is killed."""
    command = [sys.executable, "-m", "actbench", "run", "study.yaml", "--device", "cpu", *options]
    environment = os.environ | {"ACTBENCH_DATA": str(data_folder), "PYTHONPATH": str(PARTS)} | settings
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, cwd=folder, env=environment, start_new_session=True
    ) as process:
        try:
            yield process
        finally:
            if is_there(process):
                os.killpg(process.pid, signal.SIGKILL)


def is_there(process: Process) -> bool:
    """Whether any process of its group is left."""
    process.poll()
    try:
        os.killpg(process.pid, 0)
    except ProcessLookupError:
        return False
    return True


def wait(until: Callable[[], Any], seconds: float = 60) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := until()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return found


def training(folder: Path) -> bool:
    """Whether epoch 0 of some run is over."""
    return any(path.stat().st_size for path in folder.glob("results/*/runs/*/metrics.jsonl"))


def results(folder: Path) -> dict[str, Any]:
    """What every run found, without what the clock decides."""
    found = {}
    for path in sorted(folder.glob("results/*/runs/*/result.json")):
        content = json.loads(path.read_text())
        final = {key: value for key, value in content["final"].items() if key != "seconds"}
        rows = map(json.loads, (path.parent / "metrics.jsonl").read_text().splitlines())
        curve = [{key: value for key, value in row.items() if key != "seconds"} for row in rows]
        found[path.parent.name] = (content["outcome"], final, content["health"], curve)
    return found


def left_over(folder: Path) -> list[Path]:
    kept = {"study.yaml", "spec.json", "metrics.jsonl", "result.json"}
    return [path for path in folder.glob("results/**/*") if path.is_file() and path.name not in kept]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, data_folder: Path) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("undisturbed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLOW", "0")
        runtime = Runtime(device="cpu", engine="inline", data_folder=data_folder)
        list(Runner(Study.from_text(STUDY), folder / "results", runtime).run())
    assert len(results(folder)) == 4
    return results(folder)


def command_in(said: str) -> list[str]:
    """The command that is printed last, as a shell would read it."""
    return shlex.split(said.rstrip().splitlines()[-1])


def check_saved(folder: Path, process: Process, said: str) -> None:
    assert process.returncode == 130, said
    assert "stopping after this step; once more to stop at once" in said
    assert re.search("stopped: no run finished, [24] saved in training. To go on:", said)
    assert "Traceback" not in said
    assert {path.suffix for path in left_over(folder)} == {".pt"}, "claims are given back"
    epochs = [path.read_text().count("\n") for path in folder.glob("results/*/runs/*/metrics.jsonl")]
    assert 1 <= max(epochs) < 4


def test_the_first_signal_saves_and_the_printed_command_goes_on(
    folder: Path, data_folder: Path, undisturbed: dict[str, Any]
) -> None:
    with started(folder, data_folder, "-j", "1", SLOW="0.2") as process:
        assert wait(lambda: training(folder))
        os.killpg(process.pid, signal.SIGINT)
        os.killpg(process.pid, signal.SIGINT)  # the same one: from the terminal and from a wrapper, say
        _, said = process.communicate(timeout=60)
        assert not is_there(process)
    check_saved(folder, process, said)
    settings = os.environ | {"ACTBENCH_DATA": str(data_folder), "PYTHONPATH": str(PARTS), "SLOW": "0"}
    again = subprocess.run(command_in(said), cwd=folder, env=settings, capture_output=True, text=True, timeout=90)
    assert again.returncode == 0, again.stderr
    assert results(folder) == undisturbed
    assert left_over(folder) == []


def test_sigterm_does_the_same_and_so_does_the_inline_engine(
    folder: Path, data_folder: Path, undisturbed: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    with started(folder, data_folder, "--engine", "inline", SLOW="0.2") as process:
        assert wait(lambda: training(folder))
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=60)
    check_saved(folder, process, said)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("SLOW", "0")
    runtime = Runtime(device="cpu", engine="inline", cohort_size=1, data_folder=data_folder)
    list(Runner(Study.from_yaml("study.yaml"), Path("results"), runtime).run())
    assert results(folder) == undisturbed
    assert left_over(folder) == []


def test_the_second_signal_ends_at_once(folder: Path, data_folder: Path) -> None:
    with started(folder, data_folder, "-j", "1", SLOW="30") as process:
        assert wait(lambda: training(folder))
        os.killpg(process.pid, signal.SIGINT)
        time.sleep(0.8)
        assert process.poll() is None, "the step is still under way"
        began = time.monotonic()
        os.killpg(process.pid, signal.SIGINT)
        _, said = process.communicate(timeout=20)
        assert time.monotonic() - began < 20
        assert process.returncode == 130
        assert not is_there(process)
    assert "interrupted; what is finished is kept" in said
    assert command_in(said)[-4:] == ["--device", "cpu", "-j", "1"]


def test_a_study_that_grows_is_stopped_between_two_steps_too(
    folder: Path, data_folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (folder / "study.yaml").write_text(STUDY.replace("stopping_parts:slow", "stopping_parts:interrupts"))
    monkeypatch.chdir(folder)
    monkeypatch.setenv("ACTBENCH_DATA", str(data_folder))
    options = ["--until", "test.accuracy ci < 0.0001pp", "--max-seeds", "3", "--engine", "inline", "--device", "cpu"]
    monkeypatch.setattr(sys, "argv", ["actbench", "run", "study.yaml", *options])

    def ends_with() -> tuple[object, str]:
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return ended.value.code, capfd.readouterr().err

    stopping_parts.begin(85)  # in the second of three seeds
    code, said = ends_with()
    assert code == 130, said
    assert command_in(said) == sys.argv
    assert len(results(folder)) == 4
    assert len(left_over(folder)) == 1
    stopping_parts.begin(-1)
    code, said = ends_with()
    assert code == 0, said
    assert "with 3 seeds; stopped by --max-seeds 3" in said
    assert len(results(folder)) == 12
    assert left_over(folder) == []


def test_no_worker_outlives_a_parent_that_is_killed_in_the_middle_of_a_long_step(
    folder: Path, data_folder: Path
) -> None:
    with started(folder, data_folder, "-j", "1", SLOW="60") as process:
        assert wait(lambda: training(folder))
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert wait(lambda: not is_there(process), 10), "workers notice that nobody listens"


def test_an_activation_that_hangs_fails_alone_and_says_where(folder: Path, data_folder: Path) -> None:
    (folder / "hang").touch()
    study = STUDY.replace("sweep:", "sweep:\n  activation: [relu, {name: h, path: 'stopping_parts:hangs'}]")
    (folder / "study.yaml").write_text(study.replace("[0.0, 0.01, 0.1, 0.2]", "[0.0]"))
    with started(folder, data_folder, "-j", "1", "--timeout", "2") as process:
        _, said = process.communicate(timeout=90)
        assert process.returncode == 1, said
        assert not is_there(process)
    assert len(results(folder)) == 1
    (error,) = folder.glob("results/*/runs/*/error.txt")
    assert "no step was finished for 2 s" in error.read_text()
    assert re.search(r'stopping_parts.py", line \d+ in hangs', error.read_text())
    assert "Traceback" not in said


# The engines' part of it


def steps(cohort: Cohort, runtime: Runtime) -> Iterator[Event]:
    """Work that makes a step every 20 ms and saves when it is stopped."""
    from actbench.system import cancellation

    yield Started(cohort)
    for epoch in range(500):
        time.sleep(0.02)
        try:
            cancellation.between_steps()
        except cancellation.Stopped:
            yield Saved(cohort, b"state")
            return
        yield EpochDone(cohort, [{"epoch": epoch}] * len(cohort.specs))


@pytest.mark.parametrize("name", names("engines"))
def test_an_engine_that_is_stopped_saves_what_it_is_at_and_takes_nothing_else(name: str) -> None:
    taken: list[int] = []

    def cohorts() -> Iterator[Cohort]:
        for seed in range(6):
            taken.append(seed)
            yield Cohort((RunSpec(seed=seed),))

    events: list[Event] = []
    with load("engines", name)(1) as working:
        for worker in getattr(working, "_workers", ()):  # as a group's signals do, at any time of their lives
            worker.process.send_signal(signal.SIGTERM)
            worker.process.send_signal(signal.SIGINT)
        for event in working.execute(Work("test_stopping:steps", Runtime(device="cpu")), cohorts()):
            events.append(event)
            if len([one for one in events if isinstance(one, EpochDone)]) == 5:
                working.stop()
    saved = [event.cohort.shared.seed for event in events if isinstance(event, Saved)]
    assert saved
    assert sorted(saved) == taken
    assert not [event for event in events if isinstance(event, (Failed, Finished))]
