"""Runs with a norm in tables: by today's key, and by ``model.batch_norm`` as older studies name it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from factories import record, save

from actbench.analysis.compare import compare
from actbench.analysis.run_list import list_runs
from actbench.storage.reading import read_results


def _stored(root: Path, *models: dict[str, Any]) -> Path:
    runs = [
        record(0.9 + row / 100 + seed / 1000, seed=seed, model={"name": "mlp", **one})
        for row, one in enumerate(models)
        for seed in range(3)
    ]
    save(root, runs, text="study: norms\n")
    return root


def test_each_norm_is_a_row_by_its_key(tmp_path: Path) -> None:
    stored = _stored(tmp_path, {}, {"batch_norm": True}, {"norm": "dyt", "norm_alpha": 0.2}, {"norm": "derf"})
    (comparison,) = compare(read_results(stored), by=["model.norm", "model.norm_alpha"]).comparisons
    found = {(row.factors["model.norm"], row.factors["model.norm_alpha"]) for row in comparison.rows}
    assert found == {("none", 0.5), ("batch", 0.5), ("dyt", 0.2), ("derf", 0.5)}


@pytest.mark.parametrize("models", [({}, {"batch_norm": True}), ({"batch_norm": False}, {"norm": "batch"})])
def test_the_older_key_names_the_same_rows(tmp_path: Path, models: tuple[dict[str, Any], ...]) -> None:
    records = read_results(_stored(tmp_path, *models))
    (comparison,) = compare(records, by=["model.batch_norm"], baseline={"model.batch_norm": False}).comparisons
    assert {row.factors["model.batch_norm"] for row in comparison.rows} == {True, False}
    assert comparison.context["model"] == "mlp"
    (swept,) = list_runs(records).swept.values()
    assert swept == ("model.norm",), "a list of runs has one column for it"


def test_runs_that_the_older_key_can_not_tell_stay_in_a_table_of_their_own(tmp_path: Path) -> None:
    records = read_results(_stored(tmp_path, {}, {"batch_norm": True}, {"norm": "layer"}))
    found = compare(records, by=["model.batch_norm"]).comparisons
    assert [one.context["model"] for one in found] == ["mlp", "mlp(norm=layer)"]
