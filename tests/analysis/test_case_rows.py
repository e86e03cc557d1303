"""Rows of a study with ``cases``: named by the config beside the runs, whatever keys a name stands for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from factories import record, save

from actbench.analysis.compare import compare
from actbench.analysis.frames import table_of_runs
from actbench.analysis.run_list import list_runs
from actbench.storage.reading import read_results

TEXT = """\
cases:
  none:
  normalised: {model.norm: batch}
  other_function: {activation: elu, training.clip_norm: 1.0}
compare: {baseline: {case: none}}
expect: ["test.accuracy: case=normalised > case=none"]
"""
MODEL = {"name": "mlp", "batch_norm": True}


def _stored(root: Path, *, text: str = TEXT, more: tuple[dict[str, Any], ...] = ()) -> Path:
    settings = [{}, {"model": MODEL}, {"activation": "elu", "training": {"clip_norm": 1.0}}, *more]
    runs = [
        record(0.9 + row / 100 + seed % 3 / 1000 * (1 + row), seed=seed, **own)
        for row, own in enumerate(settings)
        for seed in range(5)
    ]
    save(root, runs, text=text)
    return root


def test_each_case_is_a_row_of_one_table_and_no_key_behind_it_a_column(tmp_path: Path) -> None:
    found = compare(read_results(_stored(tmp_path)))

    (comparison,) = found.comparisons
    assert comparison.factors == ("case",)
    assert comparison.baseline == {"case": "none"}
    assert [row.factors["case"] for row in comparison.rows] == ["other_function", "normalised", "none"]
    assert comparison.rows[1].vs_baseline["test.accuracy"].difference.n_pairs == 5
    assert comparison.context == {"dataset": "mnist-5k", "model": "mlp"}
    assert [one.verdict for one in comparison.expectations] == ["supported"]


def test_a_case_that_is_called_otherwise_finds_its_runs(tmp_path: Path) -> None:
    _stored(tmp_path, text=TEXT.replace("other_function", "elu"))

    (comparison,) = compare(read_results(tmp_path)).comparisons
    assert [row.factors["case"] for row in comparison.rows] == ["elu", "normalised", "none"]


def test_a_run_that_no_case_describes_brings_back_the_columns_of_the_keys(tmp_path: Path) -> None:
    _stored(tmp_path, more=({"training": {"clip_norm": 2.0}},))

    (comparison,) = compare(read_results(tmp_path)).comparisons
    assert comparison.factors == ("case", "activation", "training.clip_norm")
    assert [row.factors["case"] for row in comparison.rows] == ["(other)", "other_function", "normalised", "none"]


def test_a_view_by_a_key_behind_a_case_averages_over_the_cases(tmp_path: Path) -> None:
    (comparison,) = compare(read_results(_stored(tmp_path)), by=["training.clip_norm"]).comparisons

    assert comparison.averaged == ("case",)
    assert [row.factors for row in comparison.rows] == [{"training.clip_norm": 1.0}, {"training.clip_norm": None}]


def test_run_lists_and_frames_have_a_column_for_the_case(tmp_path: Path) -> None:
    records = read_results(_stored(tmp_path))

    (swept,) = list_runs(records).swept.values()
    assert swept == ("case",)
    assert set(table_of_runs(records).columns["case"]) == {"none", "normalised", "other_function"}


@pytest.mark.parametrize("where", [{"case": "normalised"}, {"case": "none"}])
def test_rows_are_hidden_by_the_name_of_their_case(tmp_path: Path, where: dict[str, str]) -> None:
    (comparison,) = compare(read_results(_stored(tmp_path)), where=where).comparisons

    assert [row.factors for row in comparison.rows] == [where]


def test_the_methods_say_what_was_done_to_gradients_and_dormant_units(tmp_path: Path) -> None:
    redo = {"training": {"revive": {"name": "redo", "every": 9}}}

    (comparison, *_) = compare(read_results(_stored(tmp_path, more=(redo,))), methods=True).comparisons

    assert "5 of the runs had the L2 norm of their whole gradient cut at 1." in comparison.methods
    assert "In 5 of the runs dormant hidden units began anew between steps, by redo(every=9)." in comparison.methods


def test_broken_cases_beside_runs_leave_the_keys_as_columns(tmp_path: Path) -> None:
    found = compare(read_results(_stored(tmp_path, text="cases: {none: {}, high: {bias_init: x}}\n")))

    assert all("case" not in one.factors for one in found.comparisons)
    assert any("study.yaml: cases are ignored" in text for text in found.warnings)
