"""How a study ends before it is done, and with which words; each engine's part of it is in ``tests/conformance``."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

import pytest
import stopping_parts
from forked_commands import Server
from processes import end_group, is_group_there, signal_group, wait_until

from actbench import cli
from actbench.cli import interruption
from actbench.config import Study
from actbench.execution.runner import Runner
from actbench.schema.runtime import Runtime

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

COMMAND = """\
import sys
from actbench import __main__
from actbench.cli import interruption

interruption.GRACE = float(sys.argv[1])
sys.argv[:2] = [__main__.__file__]
sys.exit(__main__.main())
"""
"""``python -m actbench``, to which signals are the same one for as long as its first argument says."""

FOR_EVER = "3600"
"""Seconds of a step that is never over by itself."""


@contextmanager
def started(folder: Path, data_folder: Path, *options: str, grace: str, **settings: str) -> Iterator[Process]:
    """The command, as the leader of a process group of its own; whatever is left of the group at the end is killed.

    Args:
        folder: Where it runs.
        data_folder: Where datasets lie.
        options: Options of ``run``.
        grace: Seconds within which signals are the same one.
        settings: Added to its environment.
    """
    command = [sys.executable, "-c", COMMAND, grace, "run", "study.yaml", "--device", "cpu", *options]
    paths = os.pathsep.join([str(PARTS), *filter(None, sys.path)])
    environment = os.environ | {"ACTBENCH_DATA": str(data_folder), "PYTHONPATH": paths} | settings
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, cwd=folder, env=environment, start_new_session=True
    ) as process:
        try:
            yield process
        finally:
            end_group(process)


def fork(
    server: Server,
    folder: Path,
    data_folder: Path,
    *options: str,
    grace: str = "0.5",
    prelude: str = "",
    **settings: str,
) -> int:
    """The process id of such a command that imports nothing anew; it writes to the file ``stderr``."""
    prelude = f"from actbench.cli import interruption\ninterruption.GRACE = {grace}\n{prelude}"
    settings = {"ACTBENCH_DATA": str(data_folder), "ACTBENCH_RUN_PRODUCTS": "auto"} | settings
    return server.start(folder, "run", "study.yaml", "--device", "cpu", *options, prelude=prelude, **settings)


def said_at_last(process: Process) -> str:
    """What else it says until its end, and that of all that it has started."""
    assert process.stderr is not None
    said = process.stderr.read()
    process.wait()
    return said


def said_by_forked(folder: Path) -> str:
    return (folder / "stderr").read_text()


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


def check_saved(folder: Path, code: int, said: str, number: int = signal.SIGINT) -> None:
    assert code == 128 + number, said
    assert "stopping after this step; once more to stop at once" in said
    assert re.search("stopped: no run finished, [24] saved in training. To go on:", said)
    assert "Traceback" not in said
    check_only_checkpoints_are_left(folder)


def check_only_checkpoints_are_left(folder: Path) -> None:
    assert {path.suffix for path in left_over(folder)} == {".pt"}, "locks are released"
    epochs = [path.read_text().count("\n") for path in folder.glob("results/*/runs/*/metrics.jsonl")]
    assert 1 <= max(epochs) < 4


@pytest.mark.slow
def test_the_first_signal_saves_and_the_printed_command_goes_on(
    folder: Path, data_folder: Path, undisturbed: dict[str, Any]
) -> None:
    with started(folder, data_folder, "-j", "1", grace=FOR_EVER, SLOW="until asked") as process:
        wait_until(lambda: training(folder), process)
        signal_group(process.pid, signal.SIGINT)
        signal_group(process.pid, signal.SIGINT)  # the same one: from the terminal and from a wrapper, say
        said = said_at_last(process)
        assert not is_group_there(process)
    check_saved(folder, process.returncode, said)
    settings = os.environ | {"ACTBENCH_DATA": str(data_folder), "PYTHONPATH": str(PARTS), "SLOW": "0"}
    again = subprocess.run(command_in(said), cwd=folder, env=settings, capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    assert results(folder) == undisturbed
    assert left_over(folder) == []


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_sigterm_and_sighup_do_the_same_and_so_does_the_inline_engine(
    server: Server,
    folder: Path,
    data_folder: Path,
    undisturbed: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    number: int,
) -> None:
    command = fork(server, folder, data_folder, "--engine", "inline", SLOW="until asked")
    wait_until(lambda: training(folder))
    server.signal_alone(command, number)
    check_saved(folder, server.end(command), said_by_forked(folder), number)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("SLOW", "0")
    runtime = Runtime(device="cpu", engine="inline", cohort_size=1, data_folder=data_folder)
    list(Runner(Study.from_yaml("study.yaml"), Path("results"), runtime).run())
    assert results(folder) == undisturbed
    assert left_over(folder) == []


@contextmanager
def terminal() -> Iterator[tuple[int, int]]:
    """A terminal: the end of the window, which does not wait, and that of its programs."""
    window, programs = os.openpty()
    os.set_blocking(window, False)
    yield window, programs
    for end in (window, programs):
        with suppress(OSError):
            os.close(end)


def shown(window: int) -> bytes:
    try:
        return os.read(window, 100_000)
    except BlockingIOError:
        return b""


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["inline", "pool"])
def test_a_terminal_that_is_closed_saves_what_is_in_training(
    server: Server, folder: Path, data_folder: Path, engine: str
) -> None:
    """The system sends SIGHUP to the command and its workers, and every write to the terminal fails from then on."""
    with terminal() as (window, programs):
        # A session that has no terminal yet gets the first one that its leader opens.
        prelude = f"import os\nos.dup2(os.open({os.ttyname(programs)!r}, os.O_RDWR), 2)"
        options = ("--engine", engine, "-j", "1")
        command = fork(server, folder, data_folder, *options, prelude=prelude, SLOW="until asked", TERM="xterm", CI="")
        # Rows of rich are drawn all the time, and have to be taken off the window.
        wait_until(lambda: (shown(window), training(folder))[1])
        os.close(programs)
        os.close(window)
        assert server.end(command) == 128 + signal.SIGHUP
    wait_until(lambda: not server.is_group_there(command))
    check_only_checkpoints_are_left(folder)


@pytest.mark.slow
def test_a_command_that_shall_outlive_its_terminal_goes_on(server: Server, folder: Path, data_folder: Path) -> None:
    """``nohup`` has it ignore SIGHUP."""
    ignore = "import signal\nsignal.signal(signal.SIGHUP, signal.SIG_IGN)"
    command = fork(server, folder, data_folder, "--engine", "inline", prelude=ignore, SLOW="until asked")
    wait_until(lambda: training(folder))
    server.signal(command, signal.SIGHUP)
    server.signal_alone(command, signal.SIGTERM)
    check_saved(folder, server.end(command), said_by_forked(folder), signal.SIGTERM)


@pytest.mark.parametrize(("later", "same"), [(0.4, True), (0.6, False)])
def test_signals_within_half_a_second_are_one(later: float, same: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    stops: list[float] = []
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    found = interruption.Interruption()
    with found.orderly(lambda: stops.append(now), lambda text: None):
        found.handle(signal.SIGINT, None)
        now += later
        with nullcontext() if same else pytest.raises(KeyboardInterrupt):
            found.handle(signal.SIGINT, None)
    assert (found.asked, stops) == (True, [100.0])


def test_a_study_that_grows_is_stopped_between_two_steps_too(
    folder: Path, data_folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    text = STUDY.replace("stopping_parts:slow", "stopping_parts:interrupts")
    (folder / "study.yaml").write_text(text)
    stopping_parts.begin(-1)
    runtime = Runtime(device="cpu", engine="inline", data_folder=data_folder)
    list(Runner(Study.from_text(text), folder / "one seed", runtime).run())
    calls_of_a_seed = next(stopping_parts.calls)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("ACTBENCH_DATA", str(data_folder))
    options = ["--until", "test.accuracy ci < 0.0001pp", "--max-seeds", "3", "--engine", "inline", "--device", "cpu"]
    monkeypatch.setattr(sys, "argv", ["actbench", "run", "study.yaml", *options])

    def ends_with() -> tuple[object, str]:
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return ended.value.code, capfd.readouterr().err

    stopping_parts.begin(7 * calls_of_a_seed // 4)  # in the second of three seeds
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
