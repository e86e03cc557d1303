"""Many tiny runs: the command's memory does not grow with them. The figures of 2,000: docs/reliability.md."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RUNS = 100


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads the memory from the process table of Linux")
def test_the_parent_s_memory_stays_flat_over_a_hundred_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT)
    from benchmarks.endurance import measure

    measured = measure(tmp_path, runs=RUNS)
    assert len(list(tmp_path.glob("results/endurance/runs/*/result.json"))) == RUNS
    assert measured.late - measured.early < 5, "megabytes: five more would be 50 KB a run"
    assert measured.peak < 150, "megabytes: the parent holds neither torch nor the data"
