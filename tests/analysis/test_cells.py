"""Cells of printed tables: their parts, in one line and stacked, and in LaTeX."""

from dataclasses import replace

import pytest
from factories import ELU, RELU, cells, grid, only, record, smooth

from actbench.analysis.reports._cells import Cell, Column, difference_cell, outcomes_cell, quantity_cell, wins_cell
from actbench.analysis.reports._columns import columns, pair_columns
from actbench.analysis.reports.latex import _number


@pytest.mark.parametrize(
    ("cell", "flat", "stacked"),
    [
        (Cell(""), "", ""),
        (Cell("baseline"), "baseline", "baseline"),
        (Cell("93.12", "%"), "93.12 %", "93.12 %"),
        (Cell("+0.42", below=("[+0.12, +0.72]",), mark="*"), "+0.42 [+0.12, +0.72] *", "+0.42\n[+0.12, +0.72] *"),
        (Cell("+0.42", mark="*"), "+0.42 *", "+0.42 *"),
        (Cell("2 of 9", below=("failed", "[6–51 %]")), "2 of 9 failed [6–51 %]", "2 of 9\nfailed\n[6–51 %]"),
    ],
)
def test_a_cell_is_one_line_or_has_a_line_for_each_part_below_its_value(cell, flat, stacked):
    assert (cell.text(), cell.text("\n")) == (flat, stacked)


def test_a_column_has_its_note_behind_the_title_or_below_it():
    column = Column("Δ baseline", (), note="points")
    assert (column.heading(), column.heading("\n")) == ("Δ baseline (points)", "Δ baseline\n(points)")
    assert Column("n", ()).heading("\n") == "n"


@pytest.mark.parametrize(
    ("value", "latex"),
    [
        (0.9312, r"\textbf{93} & \textbf{.12} \%"),
        (None, r"\multicolumn{2}{c}{–}".replace("–", "--")),
    ],
)
def test_a_number_meets_at_its_point_and_a_missing_one_spans_both_columns(value, latex):
    assert _number(replace(quantity_cell("test.accuracy", value), is_best=True)) == latex


def test_a_number_without_a_point_is_bold_as_a_whole():
    assert _number(replace(quantity_cell("seconds", 10000.0), is_best=True)) == r"\textbf{1} & \textbf{e+04} s"


@pytest.mark.parametrize(("metric", "tone"), [("test.accuracy", "good"), ("test.loss", "bad"), ("seconds", "")])
def test_a_difference_is_coloured_only_where_it_is_significant_and_one_direction_is_better(metric, tone):
    rows = only(cells({"relu": RELU, "elu": ELU})).rows
    (higher,) = (row.vs_baseline["test.accuracy"] for row in rows if row.vs_baseline)
    assert difference_cell(metric, replace(higher, significant=True)).tone == tone
    assert difference_cell(metric, replace(higher, significant=False)).tone == ""
    assert wins_cell(higher).text() == "4 of 4"


def test_outcomes_are_counted_against_all_runs_of_the_row():
    bad = [record(None, outcome="diverged", seed=8), record(None, outcome="diverged", seed=9)]
    (row,) = only([*cells({"relu": RELU}), *bad, record(None, outcome="failed", seed=10)]).rows
    cell = outcomes_cell(row)
    assert (cell.value, cell.below[0], cell.tone) == ("2 of 7", "diverged, 1 failed", "bad")
    assert outcomes_cell(only(cells({"relu": RELU})).rows[0]) == Cell("")


def test_every_column_has_a_cell_for_every_row():
    comparison = only(grid(smooth), all_pairs=True)
    for details in range(4):
        assert {len(column.cells) for column in columns(comparison, details=details)} == {len(comparison.rows)}
    for split in (False, True):
        found = pair_columns(comparison.pairs, with_split_names=split)
        assert {len(column.cells) for column in found} == {len(comparison.pairs.pairs)}
        assert [bool(cell.below) for cell in found[0].cells] == [split] * len(found[0].cells)
