"""Pipes, sockets, devices, folders and links in a circle where files of a study should be: nothing hangs or crashes."""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from commands import Done, Run, in_this_process
from factories import record, save
from faulty_studies import STUDY, command_in, train

RUN = record(activation="relu", seed=0).spec.run_id
RECORDS = [record(0.9 + 0.01 * seed, activation=name, seed=seed) for name in ("relu", "tanh") for seed in range(3)]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Six finished runs, and the config that they are of."""
    config = "study: demo\nseeds: 3\nsweep: {activation: [relu, tanh]}\n"
    save(tmp_path / "results", RECORDS, text=config)
    (tmp_path / "study.yaml").write_text(config)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def actbench(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    return in_this_process(monkeypatch, capfd)


def make_socket(path: Path) -> None:
    here = Path.cwd()
    os.chdir(path.parent)  # the path of a socket has a hundred characters at most
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(path.name)
    os.chdir(here)


KINDS: dict[str, Callable[[Path], object]] = {
    "pipe": os.mkfifo,
    "socket": make_socket,
    "device": lambda path: path.symlink_to("/dev/zero"),
    "folder": Path.mkdir,
    "circle": lambda path: path.symlink_to(path.name),
}

RUNS = f"results/demo/runs/{RUN}"
PLACES = [
    "results/demo/study.yaml",
    f"{RUNS}/result.json",
    f"{RUNS}/metrics.jsonl",
    f"{RUNS}/spec.json",
    f"{RUNS}/error.txt",
    f"{RUNS}/claim.json",
    f"results/demo/heartbeat-{'a' * 16}",
    "results/demo/checkpoints",
    RUNS,
    "results/demo/runs",
    "results/demo",
    "results",
    "study.yaml",
]
COMMANDS = [
    ("status",),
    ("compare", "results", "--reach", "0.5"),
    ("show", RUN),
    ("diff", RUN, record(activation="tanh", seed=0).spec.run_id),
    ("plan", "study.yaml", "--engine", "inline", "--device", "cpu"),
    ("run", "study.yaml", "--engine", "inline", "--device", "cpu", "--products", "default"),
]


def put(kind: str, path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    KINDS[kind](path)


def check(done: Done, arguments: tuple[str, ...]) -> None:
    """A command works without what it can't read, or refuses with one message."""
    assert done.returncode in (0, 2), (arguments, done.stderr)
    assert "Traceback" not in done.stderr
    if done.returncode == 2:
        assert "actbench: " in done.stderr or "Invalid value" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("place", PLACES)
def test_no_command_waits_or_crashes_for_a_file_that_is_none(
    actbench: Run, folder: Path, monkeypatch: pytest.MonkeyPatch, kind: str, place: str
) -> None:
    put(kind, folder / place)
    everything_is_finished = place in ("results/demo/study.yaml", f"{RUNS}/spec.json", f"{RUNS}/error.txt")
    for arguments in COMMANDS if everything_is_finished or "claim" in place else COMMANDS[:-1]:
        check(actbench(*arguments), arguments)


@pytest.mark.parametrize("kind", ["pipe", "socket", "device"])
def test_a_result_that_is_no_file_is_named_by_every_command(
    actbench: Run, folder: Path, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    put(kind, folder / RUNS / "result.json")
    reason = "No such device or address" if kind == "socket" else "result.json is not a regular file"
    done = actbench("status")
    assert f"{RUN}: can't be read, not counted: {reason}" in done.stdout
    done = actbench("compare", "results")
    assert f"demo/runs/{RUN}: skipped, {reason}" in " ".join(done.stdout.split())
    for arguments in (("show", RUN), ("run", "study.yaml", "--engine", "inline", "--device", "cpu")):
        done = actbench(*arguments)
        assert done.returncode == 2
        assert reason in done.stderr


def test_a_run_whose_spec_is_no_file_still_counts(actbench: Run, folder: Path) -> None:
    put("pipe", folder / RUNS / "spec.json")
    assert actbench("show", RUN).returncode == 0


def test_a_config_comes_by_a_pipe_that_somebody_writes_to(actbench: Run, folder: Path) -> None:
    """As by ``actbench plan <(sed …)``."""
    text = (folder / "study.yaml").read_text()
    put("pipe", folder / "study.yaml")
    reader, writer = os.pipe()
    os.write(writer, text.encode())
    os.close(writer)
    assert "6 done, 0 to do" in actbench("plan", f"/dev/fd/{reader}", "--engine", "inline", "--device", "cpu").stdout
    os.close(reader)


def test_a_config_that_is_written_in_parts_is_read_whole(actbench: Run, folder: Path) -> None:
    text = (folder / "study.yaml").read_text().encode()
    reader, writer = os.pipe()

    def write() -> None:
        for start in range(0, len(text), 10):
            os.write(writer, text[start : start + 10])
        os.close(writer)

    writing = threading.Thread(target=write)
    writing.start()
    assert "6 done, 0 to do" in actbench("plan", f"/dev/fd/{reader}", "--engine", "inline", "--device", "cpu").stdout
    writing.join()
    os.close(reader)


def test_a_config_that_is_a_pipe_without_a_writer_is_refused(actbench: Run, folder: Path) -> None:
    put("pipe", folder / "study.yaml")
    done = actbench("run", "study.yaml", "--engine", "inline")
    assert done.returncode == 2
    assert "study.yaml: can't be read: no program writes to this named pipe" in done.stderr


def test_a_pipe_in_place_of_the_kept_config_is_replaced(
    tmp_path: Path, data_folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    actbench = command_in(tmp_path, data_folder, monkeypatch, capfd)
    kept = tmp_path / "results" / "faults" / "study.yaml"
    kept.parent.mkdir(parents=True)
    os.mkfifo(kept)
    assert train(actbench, "seeds=1").returncode == 0
    assert kept.is_file()
    put("pipe", kept)
    assert "nothing to do" in train(actbench, "seeds=1").stderr
    assert kept.read_text().endswith(STUDY) or "seeds: 1" in kept.read_text()


# Folders without permission


def without_roots_right() -> None:
    """Root may read and write everywhere; what this leaves is what a user may do with their own files."""
    for right in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH; 24 is PR_CAPBSET_DROP of Linux
        if os.getuid() == 0 and ctypes.CDLL(None).prctl(24, right, 0, 0, 0):
            raise OSError("root's right can't be given up")


@pytest.fixture
def closed(folder: Path) -> Iterator[Callable[[str, int], None]]:
    """Takes permissions away, until the end of the test."""
    changed: list[Path] = []

    def close(place: str, mode: int) -> None:
        changed.append(folder / place)
        (folder / place).chmod(mode)

    yield close
    for path in changed:
        path.chmod(0o755)


@pytest.mark.parametrize("dataset", ["fashion_mnist", "digits"])
def test_a_data_folder_that_can_t_be_reached_is_named_before_any_training(
    tmp_path: Path, data_folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], dataset: str
) -> None:
    """Data that are installed need no folder."""
    actbench = command_in(tmp_path, data_folder, monkeypatch, capfd)
    done = train(actbench, f"dataset={{name: {dataset}, train_size: 200, test_size: 100}}", "--data-dir", "d" * 300)
    if dataset == "digits":
        assert "4 ok in" in done.stderr
        return
    assert done.returncode == 2
    assert "dataset 'fashion_mnist' can't be read: ddd" in done.stderr
    assert done.stderr.rstrip().endswith("File name too long")
    assert not (tmp_path / "results").exists()


READING = """\
import contextlib, json, os, sys
from actbench import cli

codes = []
for number, arguments in enumerate(json.loads(sys.argv[1])):
    sys.argv = ["actbench", *arguments]
    with open(f"stdout{number}", "w") as out, open(f"stderr{number}", "w") as err:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                cli.main()
            except SystemExit as end:
                codes.append(end.code or 0)
print(*codes)
"""
"""Several commands in one process."""


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="gives up root's right as Linux does")
@pytest.mark.parametrize("mode", [0o000, 0o444, 0o111])
@pytest.mark.parametrize("place", ["results", "results/demo", "results/demo/runs", RUNS, f"{RUNS}/result.json"])
def test_what_may_not_be_read_is_named(folder: Path, closed: Callable[[str, int], None], place: str, mode: int) -> None:
    closed(place, mode)
    commands = [("status",), ("compare", "results"), ("show", RUN)]
    ended = subprocess.run(
        [sys.executable, "-c", READING, json.dumps(commands)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=folder,
        preexec_fn=without_roots_right,
        check=True,
    )
    for number, (arguments, code) in enumerate(zip(commands, ended.stdout.split(), strict=True)):
        found = Done(int(code), (folder / f"stdout{number}").read_text(), (folder / f"stderr{number}").read_text())
        check(found, arguments)
        reads_nothing_closed = (mode == 0o111 and place != "results") or (mode == 0o444 and place.endswith("json"))
        if not reads_nothing_closed:
            assert "ermission denied" in found.stdout + found.stderr or "not readable" in found.stderr, arguments


@pytest.mark.parametrize(
    "arguments", [("status",), ("compare",), ("show", RUN, "--results"), ("plan", "study.yaml", "-o")]
)
@pytest.mark.parametrize("name", ["n" * 300, "a/" * 3000, "a\0b"], ids=["long name", "long path", "null"])
@pytest.mark.usefixtures("folder")
def test_a_path_that_no_system_holds_is_refused(actbench: Run, arguments: tuple[str, ...], name: str) -> None:
    done = actbench(*arguments, name)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
