"""The workbook, read back with another library: numbers are numbers, texts are texts, and nothing is computed."""

import csv
import io
import sys

import openpyxl
import pytest
from comparisons import DEGENERATE, rendered, varied
from factories import cells, record

from actbench.analysis.compare import compare
from actbench.analysis.frames import table_of_runs
from actbench.analysis.judgements.headline import headline
from actbench.analysis.spreadsheet import workbook
from actbench.errors import UsageError

HOSTILE = ("=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(1)", "http://example.org", "'=1", "{=1+1}", "\x1b[31m", "1e999")


TEXTS = {
    *("study", "dataset", "model", "activation", "metric", "unit"),
    *("beyond_scale", "versus_beyond_scale", "reach_metric"),
}
"""Columns that hold words."""


def book_of(records, **options):
    """The workbook of these records as openpyxl reads it."""
    return openpyxl.load_workbook(io.BytesIO(workbook(compare(records, **options), records)))


def lines(sheet):
    """Its lines as dictionaries by the header."""
    header, *rows = sheet.iter_rows(values_only=True)
    return [dict(zip(header, row, strict=True)) for row in rows]


@pytest.mark.parametrize("options", [{}, {"metric": ["test.loss", "health.dead_fraction"]}, {"reach": 0.4}])
def test_the_cells_are_those_of_the_csv_with_numbers_as_numbers(options):
    found = lines(book_of(varied(), **options)["cells"])
    expected = list(csv.DictReader(io.StringIO(rendered("csv", varied(), **options))))
    assert len(found) == len(expected)
    for line, texts in zip(found, expected, strict=True):
        assert list(line) == list(texts)
        for key, text in texts.items():
            value = line[key]
            if value is None:
                assert text == ""
            elif isinstance(value, bool):
                assert text == str(value)
            elif isinstance(value, (int, float)):
                assert value == pytest.approx(float(text), rel=1e-14)
            else:
                assert value == text
                assert key in TEXTS


def test_the_runs_are_those_of_the_data_frame():
    table, found = table_of_runs(varied()), lines(book_of(varied())["runs"])
    for key, values in table.columns.items():
        assert [line[key] for line in found] == [value if value != "" else None for value in values]
    assert {"bias_init", "seed", "outcome", "test.accuracy"} <= found[0].keys()


def test_the_notes_have_what_stands_around_the_table():
    comparison = compare(varied(), methods=True)
    found = lines(openpyxl.load_workbook(io.BytesIO(workbook(comparison, varied())))["notes"])
    by_kind = {}
    for line in found:
        by_kind.setdefault(line["kind"], []).append(line["text"])
    (one,) = comparison.comparisons
    assert by_kind["headline"] == list(headline(one, with_open_verdict=False))
    assert by_kind["warning"] == list(comparison.warnings)
    assert by_kind["verdict"] == list(one.verdicts)
    assert by_kind["methods"] == [one.methods]
    assert any("Student-t interval" in text for text in by_kind["caption"])


def test_pairs_have_a_sheet_of_their_own_beside_the_cells():
    book = book_of(varied(), all_pairs=True)
    assert book.sheetnames == ["cells", "pairs", "runs", "notes"]
    assert len(lines(book["cells"])) == 4 * 4
    assert len(lines(book["pairs"])) == 6
    assert book_of(varied()).sheetnames == ["cells", "runs", "notes"]


@pytest.mark.parametrize("name", HOSTILE)
def test_no_name_is_computed_or_becomes_a_link(name):
    records = [*cells({"relu": [0.9, 0.91]}), record(0.9, activation={"name": name, "path": "my_parts:f"})]
    book = book_of(records)
    for sheet in book:
        for row in sheet.iter_rows():
            for cell in row:
                assert cell.data_type != "f"
                assert cell.hyperlink is None
    names = [line["activation"] for line in lines(book["cells"])]
    assert name.replace("\x1b", "\\x1b") in names


def test_the_header_stays_in_sight_and_can_be_filtered():
    for sheet in book_of(varied()):
        assert sheet.freeze_panes == "A2"
        assert sheet.auto_filter.ref == f"A1:{sheet.cell(sheet.max_row, sheet.max_column).coordinate}"
        assert all(cell.font.bold for cell in sheet[1])


def test_the_same_results_give_the_same_bytes():
    assert workbook(compare(varied()), varied()) == workbook(compare(varied()), varied())


@pytest.mark.parametrize("records", DEGENERATE.values(), ids=DEGENERATE)
def test_degenerate_runs_make_a_workbook(records):
    book = book_of(records, metric=["test.accuracy", "health.dead_fraction"])
    assert len(lines(book["runs"])) == len(records)


def test_a_missing_library_is_named_with_the_command_that_installs_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "xlsxwriter", None)
    with pytest.raises(UsageError, match=r"pip install 'activation-bench\[spreadsheet\]'; -o FILE.csv needs nothing"):
        workbook(compare(varied()), varied())
