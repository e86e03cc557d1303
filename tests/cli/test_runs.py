"""``actbench runs``: a table that fits its width, CSV and JSON of the same runs."""

import csv
import json
from dataclasses import replace
from io import StringIO

import pytest
from commands import in_this_process
from factories import record, save

from actbench.analysis.run_list import list_runs
from actbench.cli.runs import GAP, _columns, _fitting
from actbench.schema.spec import RunSpec
from actbench.storage.reading import read_results
from actbench.storage.store import Store


@pytest.fixture
def run_command(monkeypatch, capfd):
    """Standard output of a command that ends without an error."""
    command = in_this_process(monkeypatch, capfd)

    def run(*words):
        done = command(*map(str, words))
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture
def results(tmp_path):
    """Two activations at two rates, one of them diverged, one failed, one left without an end."""
    for index, rate in enumerate((0.1, 1.0)):
        training = {"optimizer": {"name": "sgd", "lr": rate}}
        ends = ("ok", "failed") if index else ("ok", "diverged")
        for activation, outcome in zip(("relu", {"name": "elu", "alpha": 0.2}), ends, strict=True):
            accuracy = 0.9 if outcome == "ok" else None
            save(tmp_path, [record(accuracy, outcome=outcome, activation=activation, training=training)])
    Store(tmp_path, "demo").begin(RunSpec(seed=2))
    return tmp_path


@pytest.mark.parametrize("width", [40, 60, 80, 100, 120, 200])
def test_the_columns_fit_and_those_left_out_are_named(results, width):
    found = list_runs(read_results(results))
    columns = list(_columns(found.runs, found.swept["demo"], found.metrics["demo"]))
    shown, left_out = _fitting(columns, width)
    assert sum(column.width for column in shown) + GAP * (len(shown) - 1) <= width
    assert {column.name for column in shown} | {*left_out} == {column.name for column in columns}
    assert not {column.name for column in shown} & {*left_out}
    assert "state" in [column.name for column in shown]
    assert (shown[0].cells == columns[0].cells) == (width >= 120), "whole ids where they fit, else their digits"
    if width >= 80:
        assert left_out == []


def test_the_command_prints_a_table_csv_and_json_of_the_same_runs(results, run_command):
    table, as_csv, as_json = (run_command("runs", results, *form) for form in ((), ("--csv",), ("--json",)))
    rows = list(csv.DictReader(StringIO(as_csv)))
    content = json.loads(as_json)["runs"]
    assert [row["run"] for row in rows] == [run["run"] for run in content]
    assert all(run["run"] in table for run in content)
    for row, run in zip(rows, content, strict=True):
        assert float(row["training.optimizer.lr"]) == run["factors"]["training.optimizer.lr"]
        assert row["state"] == run["state"]
        assert row["epoch"] == ("" if run["epoch"] is None else str(run["epoch"]))
        accuracy = run["metrics"].get("test.accuracy")
        assert row["test.accuracy"] == ("" if accuracy is None else repr(accuracy))


def test_a_field_that_a_spreadsheet_would_compute_is_defused(tmp_path, run_command):
    one = record(None, outcome="failed")
    save(tmp_path, [one])
    error = next(tmp_path.glob("demo/runs/*/error.txt"))
    error.write_text("=HYPERLINK(1)\n\nTraceback")
    (row,) = csv.DictReader(StringIO(run_command("runs", tmp_path, "--csv")))
    assert row["message"] == "'=HYPERLINK(1)"


def test_json_and_csv_together_are_refused(results, monkeypatch, capfd):
    done = in_this_process(monkeypatch, capfd)("runs", str(results), "--json", "--csv")
    assert (done.returncode, done.stdout) == (2, "")
    assert "give one of them" in done.stderr


def test_long_settings_are_shortened_before_a_column_is_left_out(tmp_path):
    models = [{"name": "cnn", "channels": [[8], [16]], "dense": [32, units]} for units in (8, 64)]
    save(tmp_path, [record(model=model, activation=name) for model in models for name in ("relu", "tanh")])
    found = list_runs(read_results(tmp_path))
    columns = list(_columns(found.runs, found.swept["demo"], found.metrics["demo"]))
    shown, left_out = _fitting(columns, 80)
    assert left_out == []
    (short,) = [column for column in shown if column.name == "model.dense"]
    (whole,) = [column for column in columns if column.name == "model.dense"]
    assert len({*short.cells}) == len({*whole.cells}) == 2
    long = [
        replace(one, cells=tuple(f"{text:_<40}" for text in one.cells)) if one.is_setting else one for one in columns
    ]
    for width, most in ((200, 40), (110, 24), (90, 16), (80, 12)):
        shown, left_out = _fitting(long, width)
        assert ({one.width for one in shown if one.is_setting}, left_out) == ({most}, [])
