"""``actbench status --watch``: each look on a clock of the test's own, on a terminal and elsewhere."""

from __future__ import annotations

import fcntl
import io
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest
from factories import record, save

from actbench import cli
from actbench.cli.status import _lines
from actbench.cli.watch import Pace, runs_done, runs_in_all, watch
from actbench.schema.spec import RunSpec
from actbench.storage.locks import Locks
from actbench.storage.status import Failure, Running, Stale, StudyStatus
from actbench.storage.store import Store

EPOCHS = 9


def study(*epochs, done=0, to_do=0, failed=0, stale=0, name="demo"):
    """A study whose runs at work are at these epochs; None for one that has none yet."""
    found = StudyStatus(name, Path(name), to_do=to_do)
    found.done["ok"] = done
    found.running = [Running(f"run-{i}", "here", 7, "", epoch, EPOCHS) for i, epoch in enumerate(epochs)]
    found.failed = [Failure(f"failed-{i}", "it failed", Path("error.txt")) for i in range(failed)]
    found.stale = [Stale(f"stale-{i}", "it was left") for i in range(stale)]
    return found


class Time:
    """A clock that goes on only while somebody sleeps."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds


class Terminal(io.StringIO):
    def isatty(self):
        return True


def watched(monkeypatch, looks, *, terminal=None, interval=2.0, **environment):
    """What is printed of these looks, and how long it took on the test's clock."""
    for name, value in {"TERM": "xterm", "CI": "", "COLUMNS": "100", **environment}.items():
        monkeypatch.setenv(name, value)
    target = Terminal() if terminal else io.StringIO()
    monkeypatch.setattr(sys, "stdout", target)
    time, waiting = Time(), iter(looks)
    watch(lambda: [next(waiting)], _lines, interval=interval, clock=time, sleep=time.sleep)
    monkeypatch.undo()
    assert next(waiting, None) is None, "it ended before nothing was running"
    return target.getvalue(), time.now - 100.0


RUNNING = [study(None, done=1, to_do=2), study(4, done=1, to_do=2), study(9, done=1, to_do=2, failed=1)]
ENDED = [study(done=4, failed=1)] * 2


@pytest.mark.parametrize("place", [{}, {"terminal": True, "CI": "true"}, {"terminal": True, "TERM": "dumb"}])
def test_without_a_terminal_a_change_is_a_line_without_cursor_codes(monkeypatch, place):
    text, seconds = watched(monkeypatch, [*RUNNING, RUNNING[-1], *ENDED], **place)
    assert "\x1b" not in text
    assert "\r" not in text
    lines = text.splitlines()
    assert [line.partition("  ")[2] for line in lines[:4]] == [
        "demo: 25%, 1 done, 1 running, 0 failed, 0 paused, 0 stale, 2 to do",
        "demo: 38%, 1 done, 1 running, 0 failed, 0 paused, 0 stale, 2 to do",
        "demo: 60%, 1 done, 1 running, 1 failed, 0 paused, 0 stale, 2 to do",
        "demo: 100%, 4 done, 0 running, 1 failed, 0 paused, 0 stale, 0 to do",
    ]
    assert lines[4:] == list(_lines(ENDED[:1]))
    assert seconds == 5 * 2.0  # six looks


@pytest.mark.parametrize("interval", [0.1, 0.5, 1.0, 30.0])
def test_the_looks_come_as_often_as_is_asked_but_a_log_gets_at_most_a_line_a_second(monkeypatch, interval):
    _, on_a_terminal = watched(monkeypatch, [*RUNNING, *ENDED], terminal=True, interval=interval)
    _, in_a_log = watched(monkeypatch, [*RUNNING, *ENDED], interval=interval)
    assert on_a_terminal == pytest.approx(4 * interval)
    assert in_a_log == pytest.approx(4 * max(interval, 1.0))


def test_a_moment_without_a_run_at_work_does_not_end_it(monkeypatch):
    between = study(done=1, to_do=2)
    text, _ = watched(monkeypatch, [RUNNING[0], between, RUNNING[1], between, between])
    assert text.count(" 1 running") == 2


def test_on_a_terminal_the_view_is_drawn_in_its_place_and_the_last_look_stays(monkeypatch):
    text, _ = watched(monkeypatch, [*RUNNING, *ENDED], terminal=True)
    assert "\x1b[?25l" in text  # the cursor is hidden …
    assert text.count("\x1b[?25l") == text.count("\x1b[?25h")  # … and comes back
    last = text.rpartition("\x1b")[2]
    assert last.partition("\n")[2].splitlines() or last
    assert all(line in last for line in _lines(ENDED[:1]))
    for share in ("25%", "38%", "60%", "100%"):
        assert share in text


def test_a_run_at_work_counts_by_its_epochs_and_one_that_failed_as_ended():
    one = study(None, 0, 4, 9, done=2, failed=1, stale=3, to_do=5)
    assert runs_done(one) == pytest.approx(2 + 1 + 0.1 + 0.5 + 1.0)
    assert runs_in_all(one) == 4 + 2 + 1 + 3 + 5
    assert runs_in_all(study(1, to_do=None)) is None


def test_the_time_left_follows_the_pace_that_was_watched():
    time = Time()
    pace = Pace(time)
    assert pace.seconds_left(study(None, done=2, to_do=7)) is None
    time.sleep(9)
    assert pace.seconds_left(study(None, done=4, to_do=5)) is None, "too short to know"
    time.sleep(11)
    # Two runs in 20 seconds, and six are left.
    assert pace.seconds_left(study(None, done=4, to_do=5)) == pytest.approx(60)
    assert pace.seconds_left(study(None, done=2, to_do=7)) is None, "nothing got on"
    assert pace.seconds_left(study(done=4, to_do=6)) is None, "nobody works on it"
    assert pace.seconds_left(study(None, done=4, to_do=None)) is None, "what is to do is unknown"
    assert pace.seconds_left(study(None, done=4, to_do=5, name="other")) is None, "it has a pace of its own"


def test_the_time_left_is_printed_once_it_is_known(monkeypatch):
    looks = [study(None, done=done, to_do=20 - done) for done in range(8)]
    text, _ = watched(monkeypatch, [*looks, *ENDED])
    lines = text.splitlines()
    # A run every 2 seconds: at 10 s five are done and sixteen left.
    assert ["left" in line for line in lines[:8]] == [False] * 5 + [True] * 3
    assert lines[5].endswith("about 32 s left")


def test_several_studies_share_a_line(monkeypatch):
    for name, value in {"TERM": "xterm", "CI": ""}.items():
        monkeypatch.setenv(name, value)
    target, time = io.StringIO(), Time()
    monkeypatch.setattr(sys, "stdout", target)
    other = study(done=3, name="other")
    looks = iter([[study(1), other], [study(2), other], [study(done=1), other], [study(done=1), other]])
    watch(lambda: next(looks), _lines, clock=time, sleep=time.sleep)
    monkeypatch.undo()
    lines = target.getvalue().splitlines()
    assert ("; other: 100%, 3 done" in lines[0], "other" in lines[1], "other" in lines[2]) == (True, False, False)


def test_watching_a_folder_in_which_nothing_runs_ends_with_its_status(tmp_path, monkeypatch, capsys):
    save(tmp_path, [record()])
    monkeypatch.setattr(sys, "argv", ["actbench", "status", str(tmp_path), "--watch", "--every", "0.1"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert not ended.value.code


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nowhere", "--watch"], "no results at nowhere"),
        ([".", "--watch", "--json"], "give it without --watch"),
        ([".", "--watch", "--every", "0.09"], "--every: expected 0.1 to 86,400 seconds between two looks, not 0.09"),
        ([".", "--watch", "--every", "-1"], "not -1"),
        ([".", "--watch", "--every", "nan"], "not nan"),
        ([".", "--watch", "--every", "inf"], "not inf"),
        ([".", "--watch", "--every", "soon"], "--every"),
        ([".", "--every", "5"], "--every is the time between two looks of --watch: give that, too"),
    ],
)
def test_what_cannot_be_watched_is_refused_at_once(tmp_path, monkeypatch, capfd, words, said):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["actbench", "status", *words])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    assert said in capfd.readouterr().err


def test_a_variable_with_ones_own_interval_does_not_forbid_a_single_look(tmp_path, monkeypatch, capfd):
    save(tmp_path, [record()])
    monkeypatch.setenv("ACTBENCH_STATUS_EVERY", "5")
    monkeypatch.setattr(sys, "argv", ["actbench", "status", str(tmp_path)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert not ended.value.code
    assert "demo" in capfd.readouterr().out


@pytest.mark.parametrize("has_terminal", [True, False])
def test_ctrl_c_ends_the_view_with_130_and_the_last_look(tmp_path, has_terminal):
    """With a run at work, which goes on: this process holds its lock."""
    save(tmp_path, [record()], text="study: demo\nactivation: relu\nseeds: 3\n")
    store, spec = Store(tmp_path, "demo"), RunSpec(seed=1)
    command = [sys.executable, "-m", "actbench", "status", str(tmp_path), "--watch"]
    environment = {**os.environ, "TERM": "xterm", "CI": "", "PYTHONPATH": os.pathsep.join(["", *sys.path])}
    reader, writer = pty.openpty() if has_terminal else os.pipe()
    if has_terminal:
        fcntl.ioctl(writer, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
    with Locks(store.folder) as mine:
        mine.take(store.run_folder(spec))
        store.begin(spec)
        process = subprocess.Popen(command, stdout=writer, stderr=subprocess.PIPE, env=environment)
        os.close(writer)
        text = b""
        while b"1 running" not in text and b"running: pid" not in text:
            text += os.read(reader, 65536)
        process.send_signal(signal.SIGINT)
        while (more := _read(reader)) != b"":
            text += more
        _, errors = process.communicate()
    os.close(reader)
    assert process.returncode == 130, errors
    assert b"Traceback" not in errors
    assert (b"\x1b[?25l" in text) == (b"\x1b[?25h" in text) == has_terminal
    end = text.decode().replace("\r\n", "\n").rpartition("study  ")[2]
    assert spec.run_id in end


def _read(reader):
    try:
        return os.read(reader, 65536)
    except OSError:  # a terminal that nobody writes to any more
        return b""
