"""Runs that learn numbers have an error and R² in place of an accuracy: every table, judgement and chart copes."""

from dataclasses import replace

import pytest
from drawn import charted, texts
from factories import only, record, save

from actbench.analysis.compare import compare
from actbench.analysis.leading_metric import default_metric
from actbench.analysis.page.page import page_of
from actbench.analysis.plots._figures import charts_of
from actbench.analysis.run_diff import differences
from actbench.analysis.run_list import list_runs
from actbench.errors import UsageError
from actbench.storage.reading import read_results

ERRORS = {"relu": [0.10, 0.12, 0.11, 0.13, 0.10, 0.12], "elu": [0.20, 0.23, 0.20, 0.24, 0.19, 0.21]}


def run(activation, seed, error, *, dead=0.01, rate=0.1):
    """A run on a curve whose targets have the variance 0.5."""
    training = {"loss": "mse", "optimizer": {"name": "sgd", "lr": rate}}
    base = record(activation=activation, seed=seed, dead=dead, dataset="regression", training=training)
    rows = [
        {"epoch": epoch, "train.mse": error + 1 - epoch / 2, "val.mse": error + (2 - epoch) / 4, "layers": []}
        for epoch in range(3)
    ]
    for row in rows:
        row["val.r2"] = 1 - row["val.mse"] / 0.5
    final = {
        "test.r2": 1 - error / 0.5,
        "test.mse": error,
        "train.mse": error,
        "val.mse": error,
        "val.r2": 1 - 2 * error,
    }
    kept = {name: value for name, value in base.final.items() if not name.startswith("test.")}
    return replace(base, curves=tuple(rows), final={**final, **kept}, environment={"outputs": 1})


def study(**spec):
    return [run(name, seed, error, **spec) for name, own in ERRORS.items() for seed, error in enumerate(own)]


def test_the_error_leads_and_the_smaller_one_wins():
    comparison = only(study())
    assert comparison.metrics == ("test.mse",)
    assert [row.factors["activation"] for row in comparison.rows] == ["relu", "elu"]
    (found,) = (row.vs_baseline["test.mse"] for row in comparison.rows if row.vs_baseline)
    assert found.to_dict("test.mse")["difference"] == pytest.approx(0.0983333, abs=1e-6)
    assert found.significant
    assert found.difference.wins == 0
    assert "relu beats elu by 0.0983" in " ".join(comparison.verdicts)


def test_an_accuracy_leads_wherever_a_run_has_one():
    classes = [replace(one, spec=one.spec.model_copy(update={"dataset": "digits"})) for one in study()]
    with_both = [replace(one, final={**one.final, "test.accuracy": 0.9}) for one in classes]
    assert only(with_both).metrics == ("test.accuracy",)
    assert default_metric([{}]) == "test.accuracy", "failed runs alone"


def test_gates_and_hypotheses_judge_errors():
    found = compare(study(), fail_if=["test.mse rise > 0.05", "test.mse drop > 0.05"])
    assert [bool(gate.tripped_reason) for gate in found.gates] == [True, False]


def test_tuning_picks_by_the_validation_error():
    runs = [
        run(activation, seed, error, rate=rate)
        for activation in ("relu", "elu")
        for seed in range(4)
        for rate, error in ((0.01, 0.3), (0.1, 0.1), (1.0, 0.2))
    ]
    (_, tuned) = compare(runs, tune=["training.optimizer.lr"], metric="health.dead_fraction").comparisons
    assert tuned.tuned.by == "val.mse"


def test_reach_needs_an_accuracy():
    with pytest.raises(UsageError, match=r"has a curve of val\.accuracy"):
        compare(study(), reach=0.9)


def test_curves_are_of_r2_and_the_error():
    data, figure = charted(only(study()), "learning_curves")
    assert [panel.y.metric for panel in data.panels] == ["val.r2", "train.mse"]
    assert "R² on validation examples" in [text.get_text() for text in texts(figure)]
    assert not [text for text in texts(figure) if "nats" in text.get_text()]


def test_the_chart_of_dead_units_has_r2_and_the_mean_of_the_targets():
    data, figure = charted(only(study(dead=0.3)), "accuracy_dead")
    assert data.metric == "test.r2"
    assert data.chance == 0
    assert "%" not in "".join(label.get_text() for label in figure.axes[0].get_yticklabels())
    low, high = figure.axes[0].get_ylim()
    assert low < 1 - 0.24 / 0.5 < high <= 1.03


def test_every_chart_and_the_page_can_be_made(tmp_path):
    save(tmp_path, study())
    records = read_results(tmp_path, curves=True)
    found = compare(records)
    assert {one.name for one in charts_of(found.comparisons[0])} >= {"differences", "learning_curves"}
    page = page_of(records)
    assert "test.mse" in page
    assert "val.r2 from" in page, "the small curves of a run"


def test_lists_and_differences_of_runs_show_the_error(tmp_path):
    save(tmp_path, study())
    records = read_results(tmp_path, curves=True)
    assert list_runs(records).metrics["demo"][0] == "test.mse"
    first, second = (one for one in records if one.spec.seed == 0)
    found = differences(first, second)
    assert found.divergence.epoch == 0
    assert set(found.divergence.losses) == {"train.mse", "val.mse"}
