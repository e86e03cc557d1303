"""Standard streams that are closed, full, broken, narrow or of another alphabet: one message or none, and the code.

What `actbench run` has stored does not depend on whether anybody reads what it prints.
"""

from __future__ import annotations

import fcntl
import json
import os
import pty
import shlex
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from factories import cells, save

from actbench.cli import READER_LEFT

PARTS = Path(__file__).parents[1] / "support"

STUDY = """\
study: printed
dataset: {name: digits, train_size: 200, test_size: 100}
model: {name: mlp, hidden: [8]}
activation: {name: talking, path: 'printing_parts:prints'}
training: {epochs: 1, batch_size: 64}
seeds: 2
"""

SPOILT = ("Traceback", "Exception ignored", "Error")

RUN = "relu-bias-0.0-seed-0"
OTHER = "elu-bias-0.0-seed-0"

READING: tuple[tuple[str, ...], ...] = (
    ("compare", "results"),
    ("compare", "results", "--json"),
    ("status",),
    ("diff", RUN, OTHER),
    ("--help",),
    ("run", "--help"),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Finished runs, and a study that nobody has trained."""
    found = tmp_path_factory.mktemp("streams")
    save(found / "results", cells({"relu": [0.90, 0.91, 0.92], "elu": [0.912, 0.918, 0.933]}), text=STUDY)
    (found / "study.yaml").write_text(STUDY)
    return found


@contextmanager
def full() -> Iterator[int]:
    """A descriptor to which nothing can be written, as on a full disk."""
    with open("/dev/full", "wb") as stream:
        yield stream.fileno()


@contextmanager
def broken() -> Iterator[int]:
    """A descriptor that nobody reads any more."""
    reading, writing = os.pipe()
    os.close(reading)
    yield writing
    os.close(writing)


def command(
    folder: Path,
    *arguments: str,
    closed: Sequence[int] = (),
    out: int | None = None,
    err: int | None = None,
    **more: str,
) -> subprocess.CompletedProcess[str]:
    """The command with these of its standard streams closed, the others given or caught."""

    def close() -> None:
        for number in closed:
            os.close(number)

    paths = os.pathsep.join([str(PARTS), *filter(None, sys.path)])
    return subprocess.run(
        [sys.executable, "-m", "actbench", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE if out is None else out,
        stderr=subprocess.PIPE if err is None else err,
        text=True,
        cwd=folder,
        env=os.environ | {"PYTHONPATH": paths, "ACTBENCH_RUN_PRODUCTS": "default"} | more,
        preexec_fn=close,
        check=False,
    )


@pytest.mark.parametrize(
    "arguments", [READING[0], *(pytest.param(one, marks=pytest.mark.slow) for one in READING[1:])], ids=" ".join
)
def test_results_that_can_t_be_written_are_an_error_of_one_line(folder: Path, arguments: tuple[str, ...]) -> None:
    with full() as nowhere:
        for done, why in (
            (command(folder, *arguments, out=nowhere), "No space left on device; make room where it goes"),
            (command(folder, *arguments, closed=[1]), "standard output is closed"),
        ):
            assert done.stderr == f"actbench: can't write the output: {why}\n"
            assert done.returncode == 2


@pytest.mark.parametrize(
    "arguments", [READING[0], *(pytest.param(one, marks=pytest.mark.slow) for one in READING[1:])], ids=" ".join
)
def test_a_reader_who_has_seen_enough_is_no_error(folder: Path, arguments: tuple[str, ...]) -> None:
    with broken() as nobody:
        done = command(folder, *arguments, out=nobody)
    assert (done.returncode, done.stderr) == (READER_LEFT, "")


@pytest.mark.slow
@pytest.mark.parametrize("gate", ["test.accuracy < 1%", "test.accuracy < 99%"])
def test_head_ends_a_gate_as_it_ends_other_tools(folder: Path, tmp_path: Path, gate: str) -> None:
    """The output is longer than a pipe holds: both programs are at work when ``head`` has its line."""
    rows = {f"x * {index}": [0.5 + seed / 100 for seed in range(3)] for index in range(60)}
    save(tmp_path / "many", cells(rows), text=STUDY)
    many = ("compare", str(tmp_path / "many"), "--json", "--fail-if", gate)
    words = shlex.join([sys.executable, "-m", "actbench", *many])
    script = f"{words} | head -1; echo ${{PIPESTATUS[0]}}; yes | head -1; echo ${{PIPESTATUS[0]}}"
    paths = os.pathsep.join([str(PARTS), *filter(None, sys.path)])
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: signal.signal(signal.SIGPIPE, signal.SIG_DFL),  # `yes` would ignore it as Python does
    )
    assert done.stdout.splitlines() == ["{", str(READER_LEFT), "y", "141"]
    assert "Traceback" not in done.stderr
    assert ("tripped" in done.stderr) == ("99" in gate)
    whole = command(folder, *many)
    assert whole.returncode == ("99" in gate)
    assert len(whole.stdout) > 2**16 + 2**13


@pytest.mark.parametrize("arguments", READING[1:2], ids=" ".join)
def test_results_do_not_depend_on_standard_error(folder: Path, arguments: tuple[str, ...]) -> None:
    usual = command(folder, *arguments)
    assert (usual.returncode, usual.stderr) == (0, "")
    for done in (command(folder, *arguments, closed=[2]), command(folder, *arguments, closed=[0, 2])):
        assert (done.returncode, done.stdout) == (0, usual.stdout)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "code", "code_unread"),
    [
        (("compare", "results", "--fail-if", "test.accuracy < 99%"), 1, READER_LEFT),
        (("compare", "nowhere"), 2, 2),
        (("compare", "--no-such-option"), 2, 2),
        (("run", "absent.yaml"), 2, 2),
    ],
    ids=str,
)
def test_the_exit_code_does_not_depend_on_who_reads_messages(
    folder: Path, arguments: tuple[str, ...], code: int, code_unread: int
) -> None:
    with broken() as nobody, full() as nowhere:
        assert command(folder, *arguments, out=nobody, err=nobody).returncode == code_unread
        assert command(folder, *arguments, err=nowhere).returncode == code
        assert command(folder, *arguments, closed=[2]).returncode == code


def outcomes(results: Path) -> list[str]:
    return [json.loads(path.read_text("utf-8"))["outcome"] for path in results.glob("printed/runs/*/result.json")]


def spoil(streams: str) -> Callable[..., subprocess.CompletedProcess[str]]:
    def call(*arguments: Any, **more: Any) -> subprocess.CompletedProcess[str]:
        with broken() as nobody, full() as nowhere:
            if streams == "closed":
                return command(*arguments, closed=[0, 1, 2], **more)
            descriptor = nobody if streams == "broken" else nowhere
            return command(*arguments, out=descriptor, err=descriptor, **more)

    return call


@pytest.mark.slow
@pytest.mark.parametrize(("streams", "engine"), [("closed", "pool"), ("broken", "inline"), ("full", "inline")])
def test_a_training_does_not_depend_on_its_streams(
    folder: Path, tmp_path: Path, data_folder: Path, streams: str, engine: str
) -> None:
    arguments = ("run", "study.yaml", "-o", str(tmp_path), "--engine", engine, "-j", "1", "--device", "cpu")
    done = spoil(streams)(folder, *arguments, ACTBENCH_DATA=str(data_folder))
    assert done.returncode == 0
    assert outcomes(tmp_path) == ["ok", "ok"]
    assert not list(tmp_path.rglob("error.txt"))


def on_a_terminal(folder: Path, *arguments: str, columns: int, **more: str) -> tuple[int, str]:
    """The command's exit code, and what a terminal of so many columns is sent."""
    terminal, end = pty.openpty()
    fcntl.ioctl(end, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environment = os.environ | {"ACTBENCH_RUN_PRODUCTS": "default", "TERM": "xterm"} | more
    environment = {name: value for name, value in environment.items() if name not in ("CI", "NO_COLOR")}
    process = subprocess.Popen(
        [sys.executable, "-m", "actbench", *arguments], stdin=end, stdout=end, stderr=end, cwd=folder, env=environment
    )
    os.close(end)
    text = b""
    with suppress(OSError):  # Linux reports the end of a terminal so
        while piece := os.read(terminal, 65536):
            text += piece
    os.close(terminal)
    return process.wait(), text.decode(errors="replace")


NARROW: tuple[tuple[int, dict[str, str]], ...] = (
    (0, {}),
    (1, {}),
    (20, {}),
    (80, {"COLUMNS": "0"}),
    (80, {"COLUMNS": "1"}),
    (80, {"TERM": "dumb", "PYTHONIOENCODING": "ascii"}),
    (20, {"PYTHONIOENCODING": "latin-1"}),
    (80, {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}),
)


@pytest.mark.parametrize(
    ("columns", "settings"),
    [NARROW[1], *(pytest.param(*one, marks=pytest.mark.slow) for one in NARROW[:1] + NARROW[2:])],
    ids=str,
)
def test_every_terminal_gets_every_page(folder: Path, columns: int, settings: dict[str, str]) -> None:
    for arguments in (("compare", "results"), ("show", RUN), *([("run", "--help")] if not settings else [])):
        code, text = on_a_terminal(folder, *arguments, columns=columns, **settings)
        assert code == 0, text
        assert not [word for word in SPOILT if word in text]
        assert len(text.splitlines()) > 3


@pytest.mark.slow
def test_the_live_rows_fit_a_terminal_of_one_column(folder: Path, tmp_path: Path, data_folder: Path) -> None:
    arguments = ("run", "study.yaml", "activation=relu", "-o", str(tmp_path), "--engine", "inline")
    code, text = on_a_terminal(folder, *arguments, columns=1, ACTBENCH_DATA=str(data_folder))
    assert code == 0, text
    assert "2 ok" in text.replace("\r", "").replace("\n", "")
    assert not [word for word in SPOILT if word in text]
