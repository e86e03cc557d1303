"""The file's ending chooses the format, an option wins over it, and a decimal comma is for CSV alone."""

import csv
import json
from io import StringIO

import openpyxl
import pytest
from factories import save
from reading_commands import RECORDS, call, python

from actbench.errors import UsageError

BEGINNINGS = {
    "csv": b"study,dataset,model,",
    "CSV": b"study,dataset,model,",
    "json": b'{\n  "schema": ',
    "md": b"### demo",
    "tex": b"% warning: ",
    "xlsx": b"PK\x03\x04",
    "html": b"<!doctype html>",
    "txt": "demo · mnist-5k · mlp".encode(),
    "out": "demo · mnist-5k · mlp".encode(),
}


@pytest.fixture
def results(tmp_path):
    return save(tmp_path / "results", RECORDS)


@pytest.mark.parametrize("ending", BEGINNINGS)
def test_the_ending_of_a_file_chooses_its_format(results, tmp_path, ending):
    file = tmp_path / f"table.{ending}"
    assert call("compare", results, "-o", file) == ""
    assert file.read_bytes().lower().startswith(BEGINNINGS[ending].lower())


def test_an_option_wins_over_the_ending_and_the_ending_over_the_variable(results, tmp_path, monkeypatch):
    file = tmp_path / "table.md"
    call("compare", results, "-o", file, "--format", "csv")
    assert file.read_bytes().startswith(BEGINNINGS["csv"])
    call("compare", results, "-o", file, "--json")
    assert json.loads(file.read_text())["comparisons"]
    monkeypatch.setenv("ACTBENCH_COMPARE_FORMAT", "latex")
    call("compare", results, "-o", file)
    assert file.read_bytes().startswith(BEGINNINGS["md"])
    call("compare", results, "-o", tmp_path / "table")
    assert (tmp_path / "table").read_bytes().startswith(BEGINNINGS["tex"])


def test_a_workbook_has_all_runs_and_cells(results, tmp_path):
    call("compare", results, "-o", tmp_path / "table.xlsx")
    book = openpyxl.load_workbook(tmp_path / "table.xlsx")
    assert book.sheetnames == ["cells", "runs", "notes"]
    assert book["runs"].max_row == 1 + len(RECORDS)


def test_a_page_is_that_of_report_with_the_same_options(results, tmp_path):
    options = ["--baseline", "activation=elu", "--metric", "test.loss"]
    call("compare", results, *options, "-o", tmp_path / "table.html")
    done = python("-m", "actbench", "report", str(results), *options, "-o", str(tmp_path / "report.html"))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "table.html").read_bytes() == (tmp_path / "report.html").read_bytes()


@pytest.mark.slow
def test_gates_are_judged_whatever_is_written(results, tmp_path):
    for ending in ("csv", "xlsx", "html"):
        done = python(
            "-m", "actbench", "compare", str(results), "-o", f"{tmp_path}/a.{ending}", "--fail-if", "failed > 0"
        )
        assert done.returncode == 1
        assert "--fail-if 'failed > 0' tripped" in done.stderr


def numbers(text, delimiter, sign):
    """Each field of a CSV, with its numbers in Python's form."""
    found = list(csv.reader(StringIO(text), delimiter=delimiter))
    return [[field.replace(sign, ".") if field[:1].lstrip("-").isdigit() else field for field in row] for row in found]


@pytest.mark.parametrize("command", ["compare", "runs"])
def test_a_decimal_comma_changes_signs_and_no_number(results, tmp_path, command):
    for name, options in {"point": [], "comma": ["--decimal", "comma"]}.items():
        done = python("-m", "actbench", command, str(results), "-o", f"{tmp_path}/{name}.csv", *options)
        assert done.returncode == 0, done.stderr
    point, comma = ((tmp_path / f"{name}.csv").read_text() for name in ("point", "comma"))
    assert numbers(comma, ";", ",") == numbers(point, ",", ".")
    assert "0,9" in comma
    header = comma.partition("\n")[0]
    assert header.count(";") > 10
    assert "," not in header


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--decimal", "comma"], "--decimal comma is for CSV, not for table"),
        (["--decimal", "comma", "-o", "a.xlsx"], "a workbook has numbers"),
        (["--decimal", "comma", "--json"], "--decimal comma is for CSV, not for json"),
        (["--decimal", "komma"], "--decimal: expected point or comma, not 'komma'"),
        (["--decimal", "komma", "-o", "a.html"], "--decimal: expected point or comma, not 'komma'"),
        (["--format", "xlsx"], "unknown report 'xlsx' — a workbook is a file: write -o FILE.xlsx"),
        (["--format", "html"], "a page is a file: write -o FILE.html, or actbench report"),
        (["--all-pairs", "-o", "a.html"], "a page does not have the pairs of --all-pairs"),
    ],
)
def test_what_a_format_does_not_have_is_refused_with_what_to_write(results, tmp_path, monkeypatch, options, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError) as refused:
        call("compare", results, *options)
    assert message in str(refused.value)
    assert list(tmp_path.glob("a.*")) == []


def test_runs_are_written_as_csv_or_json_by_the_ending(results, tmp_path):
    for ending in ("csv", "json"):
        done = python("-m", "actbench", "runs", str(results), "-o", f"{tmp_path}/runs.{ending}")
        assert (done.returncode, done.stdout) == (0, ""), done.stderr
        printed = python("-m", "actbench", "runs", str(results), f"--{ending}").stdout
        assert (tmp_path / f"runs.{ending}").read_text() == printed
    done = python("-m", "actbench", "runs", str(results), "-o", f"{tmp_path}/runs.txt")
    assert (done.returncode, done.stdout) == (2, "")
    assert "runs are written as .csv or .json" in done.stderr
    done = python("-m", "actbench", "runs", str(results), "--decimal", "comma")
    assert (done.returncode, done.stdout) == (2, "")
    assert "add --csv, or write -o FILE.csv" in done.stderr
