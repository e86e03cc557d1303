"""One more run, a new seed, and looks at a growing study, in the tables of every format."""

import csv
import io
import json

import pytest
import scipy.stats
from factories import cells, record, save
from typer.testing import CliRunner

from actbench.analysis.compare import compare
from actbench.analysis.reports._columns import columns
from actbench.analysis.statistics import anytime_ends, anytime_sign_p
from actbench.cli import app
from actbench.schema.registry import load

ACCURACIES = {
    "relu": [0.90, 0.91, 0.92, 0.94, 0.93],
    "elu": [0.92, 0.9105, 0.925, 0.96, 0.93],  # +2.0, +0.05, +0.5, +2.0, 0.0 points
}


def rows_of(found):
    (table,) = found.comparisons
    return {row.factors["activation"]: row for row in table.rows}


def rendered(found, form):
    target = io.StringIO()
    load("reports", form).render(found, target)
    return target.getvalue()


def test_a_prediction_is_wider_than_the_interval_of_the_mean_by_the_root_of_n_plus_one():
    (row,) = compare(cells({"relu": ACCURACIES["relu"]})).to_dict()["comparisons"][0]["rows"]
    found = row["metrics"]["test.accuracy"]
    low, high = found["prediction"]
    assert high - found["mean"] == pytest.approx((found["high"] - found["mean"]) * 6**0.5)
    assert (low + high) / 2 == pytest.approx(found["mean"])
    assert row["metrics"]["health.dead_fraction"]["prediction"] is None


@pytest.mark.parametrize("n", [1, 2])
def test_fewer_than_three_seeds_have_neither_a_prediction_nor_a_chance(n):
    runs = cells({name: values[:n] for name, values in ACCURACIES.items()})
    rows = rows_of(compare(runs, prediction=True, chance=True))
    assert rows["elu"].predictions == {}
    assert rows["elu"].vs_baseline["test.accuracy"].new_seed is None


def test_chances_are_counted_and_equal_ones_count_half():
    new = rows_of(compare(cells(ACCURACIES)))["elu"].vs_baseline["test.accuracy"].new_seed
    assert new.better.share == 4.5 / 5
    low, high = scipy.stats.beta.ppf([0.025, 0.975], [4.5, 5.5], [1.5, 0.5])
    assert (new.better.low, new.better.high) == pytest.approx((low, high))
    assert [one.share for one in new.within] == [0, 2 / 5, 3 / 5]


def test_less_is_better_for_a_loss():
    # The factories' loss is 1 − accuracy.
    new = rows_of(compare(cells(ACCURACIES), metric="test.loss"))["elu"].vs_baseline["test.loss"].new_seed
    assert (new.better.share, new.within) == (pytest.approx(4.5 / 5), None)


def test_delta_cuts_the_chances():
    new = rows_of(compare(cells(ACCURACIES), delta=0.6))["elu"].vs_baseline["test.accuracy"].new_seed
    assert [one.share for one in new.within] == [0, 3 / 5, 2 / 5]
    assert new.delta == pytest.approx(0.006)


def test_identical_rows_have_an_even_chance():
    new = rows_of(compare(cells({"relu": [0.9] * 4, "elu": [0.9] * 4})))["elu"].vs_baseline["test.accuracy"].new_seed
    assert new.better.share == 0.5
    assert new.within[1].share == 1


@pytest.mark.parametrize("form", ["table", "markdown", "latex"])
def test_formats_show_them_on_request_alone(form):
    usual = rendered(compare(cells(ACCURACIES)), form)
    assert "new seed" not in usual
    assert "more run" not in usual
    asked = rendered(compare(cells(ACCURACIES), prediction=True, chance=True), form)
    flat = " ".join(asked.split())
    for part in ("90 ", "prediction interval", "Clopper", "mean"):
        assert part in flat


def test_columns_have_the_numbers_of_the_json():
    (table,) = compare(cells(ACCURACIES), prediction=True, chance=True).comparisons
    shown = {column.title: [cell.text() for cell in column.cells] for column in columns(table)}
    (elu,) = [index for index, row in enumerate(table.rows) if row.factors["activation"] == "elu"]
    low, high = table.rows[elu].predictions["test.accuracy"]
    assert shown["one more run"][elu] == f"[{100 * low:.2f}, {100 * high:.2f}]"
    better = table.rows[elu].vs_baseline["test.accuracy"].new_seed.better
    assert shown["better on a new seed"][elu] == f"90 % [{100 * better.low:.0f}, {100 * better.high:.0f}]"
    assert shown["worse / same / better"][elu] == "0 / 40 / 60 %"


def test_the_csv_has_them():
    found = list(csv.DictReader(io.StringIO(rendered(compare(cells(ACCURACIES)), "csv"))))
    (line,) = [one for one in found if one["activation"] == "elu" and one["metric"] == "test.accuracy"]
    row = rows_of(compare(cells(ACCURACIES)))["elu"]
    assert (float(line["prediction_low"]), float(line["prediction_high"])) == row.predictions["test.accuracy"]
    assert [float(line[f"versus_{name}"]) for name in ("chance", "worse", "same", "better")] == [0.9, 0, 0.4, 0.6]
    (share,) = [one for one in found if one["activation"] == "elu" and one["metric"] == "health.dead_fraction"]
    assert share["prediction_low"] == share["versus_worse"] == ""


def test_the_methods_text_says_what_they_are():
    methods = compare(cells(ACCURACIES), prediction=True, chance=True, methods=True).comparisons[0].methods
    assert "A further run lies in the 95 % prediction interval, mean ± t · sd · √(1 + 1/n)" in methods
    assert "95 % interval of Clopper and Pearson (1934)" in methods


def test_a_share_that_is_mostly_0_is_not_predicted():
    (table,) = compare(cells(ACCURACIES), metric="health.dead_fraction", prediction=True).comparisons
    assert len(table.further_runs) == 1
    assert "a share that is mostly 0 has no such interval" in table.further_runs[0]
    assert "one more run" not in [column.title for column in columns(table)]


def test_anytime_intervals_are_those_of_the_differences_and_of_the_means():
    differences = [0.02, 0.0005, 0.005, 0.02, 0.0]
    row = rows_of(compare(cells(ACCURACIES), anytime=True))["elu"]
    mean, sd = sum(differences) / 5, float(scipy.stats.tstd(differences))
    found = row.vs_baseline["test.accuracy"].difference
    assert (found.low, found.high) == pytest.approx(anytime_ends(mean, sd, 5, 0.05))
    usual = rows_of(compare(cells(ACCURACIES)))["elu"]
    for wide, narrow in ((found, usual.vs_baseline["test.accuracy"].difference),
                         (row.metrics["test.accuracy"], usual.metrics["test.accuracy"])):  # fmt: skip
        assert wide.low < narrow.low < narrow.high < wide.high


def test_anytime_shares_are_judged_by_their_signs():
    runs = [record(0.9, dead=dead, activation=name, seed=seed)
            for name, dead in (("relu", 0.3), ("elu", 0.1)) for seed in range(8)]  # fmt: skip
    contrast = rows_of(compare(runs, metric="health.dead_fraction", anytime=True))["elu"]
    found = contrast.vs_baseline["health.dead_fraction"]
    assert found.difference.p == found.p_adjusted == pytest.approx(anytime_sign_p(8, 0))
    assert found.significant


def test_the_command_line_has_all_three(tmp_path):
    save(tmp_path / "results", cells(ACCURACIES))
    arguments = ["compare", str(tmp_path / "results"), "--chance", "--prediction", "--anytime", "--json"]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    (table,) = json.loads(done.stdout)["comparisons"]
    assert len(table["further_runs"]) == 2
    assert table["new_seeds"][0].startswith("elu beats relu on a new seed with a chance of 90 % [")
