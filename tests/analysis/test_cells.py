"""Cells of printed tables: their parts, in one line and stacked, and in LaTeX."""

from dataclasses import replace

import pytest
from factories import ELU, RELU, cells, grid, only, record, smooth

from actbench.analysis.reports._cells import (
    Cell,
    Column,
    difference_cell,
    mean_cell,
    outcomes_cell,
    quantity_cell,
    wins_cell,
)
from actbench.analysis.reports._columns import columns, essential, pair_columns
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
    for found in (columns(comparison), essential(columns(comparison))):
        assert {len(column.cells) for column in found} == {len(comparison.rows)}
    assert {len(column.cells) for column in pair_columns(comparison.pairs)} == {len(comparison.pairs.pairs)}


@pytest.mark.parametrize("metric", ["test.accuracy", "test.loss"])
def test_half_a_width_is_that_of_the_interval_before_it_is_cut_at_the_end_of_the_scale(metric):
    scale = 100 if metric == "test.accuracy" else 1
    for row in only(cells({"relu": [0.9, 0.7, 0.99], "elu": [0.95, 0.96, 0.99]}), metric=metric).rows:
        found = row.metrics[metric]
        printed = float(mean_cell(metric, found).half_width)
        assert printed == pytest.approx(scale * (found.high - found.mean), abs=0.0051)
        assert printed == pytest.approx(scale * (found.mean - found.low), abs=0.0051)
        for contrast in row.vs_baseline.values():
            half = (contrast.difference.high - contrast.difference.low) / 2
            assert float(difference_cell(metric, contrast).half_width) == pytest.approx(scale * half, abs=0.0051)
