"""What the tutorial says of its tables, on the studies that it shows, trained in full."""

from __future__ import annotations

from pathlib import Path

import pytest
from forked_commands import Server
from lessons import difference, row, table, tables
from shown_commands import steps_of

PAGE = Path(__file__).parents[2] / "docs" / "tutorial.md"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def results(forking: Server, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of the tutorial's own studies; ``first`` has the seeds of its first command."""
    folder = tmp_path_factory.mktemp("tutorial")
    for step in steps_of(PAGE):
        if step.file:
            (folder / step.file).write_text(step.text, "utf-8")
        elif step.is_full and step.words[1] == "run" and "seeds=16" not in step.words:
            assert forking.do(folder, *step.words[1:], ACTBENCH_RUN_ENGINE="inline") == 0, step.line
    return folder / "results"


def test_at_one_rate_relu_beats_sigmoid_and_no_winner_is_shown_between_it_and_tanh(results: Path) -> None:
    found = table(results, "first")

    p, less = difference(found, "test.accuracy", activation="sigmoid")
    assert (p < 0.05, less < -0.05) == (True, True)
    assert row(found, activation="sigmoid").vs_baseline["test.accuracy"].difference.losses == 8
    assert [row(found, activation=name).tied for name in ("tanh", "relu", "sigmoid")] == [True, True, False]
    dead = {name: row(found, activation=name).metrics["health.dead_fraction"].mean for name in ("tanh", "sigmoid")}
    assert dead == {"tanh": 0.0, "sigmoid": 0.0}
    assert row(found, activation="relu").metrics["health.dead_fraction"].mean > 0


def test_at_its_own_rate_sigmoid_can_not_be_told_from_relu(results: Path) -> None:
    common, tuned = tables(results, "fair", tune=("training.optimizer.lr",))

    collapsed = row(common, activation="relu", training__optimizer__lr=0.8)
    assert collapsed.outcomes["collapsed"] == 8
    assert row(tuned, activation="sigmoid").picked == {"training.optimizer.lr": 0.8}
    assert difference(tuned, "test.accuracy", activation="sigmoid")[0] > 0.05


def test_both_hypotheses_are_supported_with_sixteen_seeds(results: Path) -> None:
    assert [one.verdict for one in table(results, "verdict").expectations] == ["supported"] * 2
