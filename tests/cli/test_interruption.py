"""Ctrl-C leaves a word; the command that is printed goes on, and trains nothing anew that has just finished."""

from __future__ import annotations

import fcntl
import os
import signal
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from actbench.cli.interruption import how_to_go_on

ACTBENCH = [sys.executable, "-m", "actbench"]
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(["", *sys.path])}
REPEATS = "which would also train again what has just finished; earlier results that were not replaced yet stay."


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ACTBENCH_RUN_FORCE", "ACTBENCH_RUN_RETRY"):
        monkeypatch.delenv(name, raising=False)


def printed(words: str, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setattr(sys, "argv", ["actbench", *words.split()])
    return how_to_go_on().split("\n")


@pytest.mark.parametrize(
    ("given", "kept", "left_out"),
    [
        ("run x.yaml -j 2", "run x.yaml -j 2", ""),
        ("run x.yaml --retry none --smoke", "run x.yaml --retry none --smoke", ""),
        ("run x.yaml --retry=none", "run x.yaml --retry none", ""),
        ("run --retry failed x.yaml --until ci", "run --retry failed x.yaml --until ci", ""),
        ("run x.yaml --retry all -j 2", "run x.yaml -j 2", "--retry all"),
        ("run --retry=all x.yaml", "run x.yaml", "--retry all"),
        ("run --force x.yaml", "run x.yaml", "--force"),
        ("run x.yaml --retry all --force", "run x.yaml", "--retry all and --force"),
    ],
)
def test_options_that_mean_something_else_the_second_time_are_left_out_and_named(
    given: str, kept: str, left_out: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    head, command, *rest = printed(given, monkeypatch)

    assert (head, command.strip().partition(" run ")[2]) == ("To go on:", kept.removeprefix("run "))
    assert rest == ([f"Without {left_out}, {REPEATS}"] if left_out else [])


def test_a_variable_in_place_of_retry_is_overruled_by_the_printed_option(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACTBENCH_RUN_RETRY", "all")
    assert printed("run x.yaml", monkeypatch)[1].endswith("run x.yaml --retry failed")
    assert printed("run x.yaml --retry none", monkeypatch)[1].endswith("run x.yaml --retry none")


@pytest.mark.parametrize(("value", "is_named"), [("1", True), ("true", True), ("0", False), ("", False)])
def test_a_variable_in_place_of_force_has_to_be_unset_first(
    value: str, is_named: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACTBENCH_RUN_FORCE", value)
    assert ("First unset ACTBENCH_RUN_FORCE" in printed("run x.yaml", monkeypatch)[-1]) == is_named


def test_ctrl_c_while_a_command_prints_leaves_a_word_and_130() -> None:
    reader, writer = os.pipe()
    process = subprocess.Popen([*ACTBENCH, "explain", "--json"], stdout=writer, stderr=subprocess.PIPE, env=ENVIRONMENT)
    os.close(writer)
    while bytes_waiting(reader) < 65536:  # more than a pipe holds: the command waits for its reader
        assert process.poll() is None, process.stderr.read()
    process.send_signal(signal.SIGINT)
    said = b""
    while b"interrupted" not in said and (more := os.read(process.stderr.fileno(), 65536)):
        said += more
    while os.read(reader, 65536):
        pass
    os.close(reader)
    with process:
        said += process.stderr.read()
    assert (process.returncode, said) == (130, b"actbench: interrupted\n")


def test_ctrl_c_while_the_command_line_is_imported_leaves_a_word_and_130(tmp_path: Path) -> None:
    (tmp_path / "typer.py").write_text("import os, signal, time\nos.kill(os.getpid(), signal.SIGINT)\ntime.sleep(60)\n")
    environment = {**ENVIRONMENT, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    done = subprocess.run([*ACTBENCH, "--help"], capture_output=True, env=environment, check=False)
    assert (done.returncode, done.stderr) == (130, b"actbench: interrupted\n")


def bytes_waiting(reader: int) -> int:
    return struct.unpack("i", fcntl.ioctl(reader, termios.FIONREAD, b"\0" * 4))[0]
