"""The columns of curves in a terminal's table: right, in the widths that have room for them, and nowhere else."""

from __future__ import annotations

import fcntl
import io
import os
import pty
import struct
import subprocess
import sys
import termios
from contextlib import suppress
from dataclasses import replace
from functools import partial
from statistics import fmean

import pytest
from factories import record, save
from reading_commands import command

from actbench.analysis.compare import compare
from actbench.analysis.reports.table import TableReport
from actbench.storage.reading import curve_at, read_results

EPOCHS = 3
ACCURACY = {"relu": [0.1, 0.5, 0.8, 0.7], "elu": [0.1, 0.4, 0.6, 0.9]}
DEAD = {"relu": [0.0, 0.02, 0.02, 0.08], "elu": [0.0] * 4}


class Terminal(io.StringIO):
    def isatty(self):
        return True


def run(activation, seed, *, last=EPOCHS, outcome="ok", epochs=EPOCHS, dead=DEAD):
    """A run whose curve lies above that of seed 0 by a hundredth a seed, and ends at an epoch."""
    one = record(0.9 + 0.01 * seed, activation=activation, seed=seed, outcome=outcome, training={"epochs": epochs})
    rows = [
        {
            "epoch": epoch,
            "val.accuracy": ACCURACY[activation][min(epoch, 3)] + 0.01 * seed,
            "health.dead_fraction": dead[activation][min(epoch, 3)],
        }
        for epoch in range(last + 1)
    ]
    return replace(one, curves=tuple(rows))


def drawn(monkeypatch, folder, width=200, terminal="xterm"):
    """Everything that is printed, without colours."""
    monkeypatch.setenv("TERM", terminal)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", str(width))
    records = read_results(folder)
    target = Terminal()
    TableReport(partial(curve_at, records)).render(compare(records), target)
    return target.getvalue().replace("\x1b[1m", "").replace("\x1b[2m", "").replace("\x1b[0m", "")


def bars_of(text):
    """Activation -> the last cells of its line."""
    lines = {line.split()[0]: line.split() for line in text.splitlines() if line[:3] in ("rel", "elu")}
    return {name: words[-2:] for name, words in lines.items()}


@pytest.fixture
def folder(tmp_path):
    return save(tmp_path, [run(name, seed) for name in ACCURACY for seed in range(3)])


def test_a_bar_is_the_mean_over_seeds_on_one_scale_for_all_rows(monkeypatch, folder):
    text = drawn(monkeypatch, folder)
    # Means lie 0.01 above seed 0. The scale of accuracy reaches from .41 to .91, an eighth is .0625; of dead to .08.
    assert bars_of(text) == {"elu": ["▁▄█", "····"], "relu": ["▂▇▅", "·▃▃█"]}
    words = " ".join(text.split())
    low, high = (fmean(value + 0.01 * seed for seed in range(3)) for value in (0.4, 0.9))
    assert f"val.accuracy by epoch from 1 to the last, ▁ {low:.2%} to █ {high:.2%}".replace("%", " %") in words
    assert "dead curve: mean share of dead units by epoch from 0, · none to █ 8.00 %" in words


def test_the_curves_are_digits_where_a_terminal_has_no_blocks(monkeypatch, folder):
    monkeypatch.setattr("actbench.analysis.reports.table.has_unicode", lambda console: False)
    assert bars_of(drawn(monkeypatch, folder)) == {"elu": ["148", "...."], "relu": ["275", ".338"]}


@pytest.mark.parametrize("width", range(60, 150, 3))
def test_the_curves_go_first_where_a_terminal_is_narrow_and_no_line_is_wider_than_it(monkeypatch, folder, width):
    text = drawn(monkeypatch, folder, width)
    records = read_results(folder)
    bare = Terminal()
    TableReport().render(compare(records), bare)
    there = [title for title in ("val curve", "dead curve") if title in text]
    assert there == ["val curve", "dead curve"][: len(there)]
    if there:
        assert all(part in text for part in ("better in", "(points)", "["))  # nothing else was left out for them
    assert max(map(len, text.splitlines())) <= width


def test_every_width_has_as_many_curves_as_fit(monkeypatch, folder):
    counts = [
        sum(title in drawn(monkeypatch, folder, width) for title in ("val curve", "dead curve"))
        for width in range(60, 150)
    ]
    assert counts == sorted(counts)
    assert set(counts) == {0, 1, 2}


def test_no_bar_stands_where_a_run_of_the_row_has_no_value(monkeypatch, tmp_path):
    runs = [run("elu", 0), run("elu", 1, last=2), run("relu", 0), run("relu", 1)]
    text = drawn(monkeypatch, save(tmp_path, runs))
    line = next(line for line in text.splitlines() if line.startswith("elu"))
    assert line.rstrip().endswith("···")
    assert "····" not in line


def test_dead_units_have_no_column_where_none_died_and_runs_without_curves_have_neither(monkeypatch, tmp_path):
    none = {"relu": [0.0] * 4, "elu": [0.0] * 4}
    runs = [run(name, seed, dead=none) for name in ACCURACY for seed in range(2)]
    text = drawn(monkeypatch, save(tmp_path, runs))
    assert ("val curve" in text, "dead curve" in text) == (True, False)
    for curve in tmp_path.glob("demo/runs/*/metrics.jsonl"):
        curve.unlink()
    assert " curve" not in drawn(monkeypatch, tmp_path)


def test_a_curve_that_cannot_be_read_changes_no_number_and_no_warning(monkeypatch, folder):
    before = drawn(monkeypatch, folder, 70)
    for curve, content in zip(
        sorted(folder.glob("demo/runs/*/metrics.jsonl")),
        (b"", b"\xff\xfe", b"[]\n[]\n[]\n[]\n", b"{\n{\n{\n", b'{"epoch": true}\n' * 4, b"null\n" * 4),
        strict=True,
    ):
        curve.write_bytes(content)
    assert drawn(monkeypatch, folder, 70) == before
    assert "val curve" not in drawn(monkeypatch, folder)


def test_a_long_training_is_drawn_at_eight_epochs_the_first_and_the_last_among_them(monkeypatch, tmp_path):
    runs = [run(name, seed, epochs=400, last=400) for name in ACCURACY for seed in range(2)]
    found = bars_of(drawn(monkeypatch, save(tmp_path, runs)))
    assert {len(val) for val, _ in found.values()} == {8}
    assert {len(dead) for _, dead in found.values()} == {9}
    assert found["elu"][0] == "▁" + 7 * "█"


def test_a_file_has_no_curves(folder, tmp_path):
    target = tmp_path / "table.txt"
    command("compare", folder, "-o", target, COLUMNS="200")
    assert "curve" not in target.read_text()
    assert "curve" not in command("compare", folder, COLUMNS="200")


def on_a_terminal(width, *arguments):
    """What ``actbench`` writes on a terminal of this width."""
    reader, writer = pty.openpty()
    fcntl.ioctl(writer, termios.TIOCSWINSZ, struct.pack("HHHH", 40, width, 0, 0))
    environment = {**os.environ, "TERM": "xterm", "NO_COLOR": "1", "PYTHONPATH": os.pathsep.join(["", *sys.path])}
    environment.pop("COLUMNS", None)
    command = [sys.executable, "-m", "actbench", *map(str, arguments)]
    process = subprocess.Popen(command, stdout=writer, stderr=subprocess.PIPE, env=environment)
    os.close(writer)
    text = b""
    with suppress(OSError):  # a terminal that nobody writes to any more
        while more := os.read(reader, 65536):
            text += more
    os.close(reader)
    _, errors = process.communicate()
    assert process.returncode == 0, errors
    return text.decode()


def test_the_command_draws_the_curves_in_the_table_on_a_terminal_alone(folder):
    assert "▁▄█" in on_a_terminal(150, "compare", folder)
    assert "curve" not in on_a_terminal(150, "compare", folder, "--format", "markdown")
    assert "curve" not in on_a_terminal(150, "compare", folder, "--against", folder)
