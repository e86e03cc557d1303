"""Hiding rows changes no number of those that stay; the family and the best are those of the whole table."""

import numpy as np
import pytest
import scipy.stats
from factories import ELU, RELU, SELU, cells, grid, only, record, row, smooth

from actbench.analysis.compare import compare
from actbench.analysis.statistics import holm, max_t, wilson_interval

WIDE = {
    "relu": [0.900, 0.911, 0.905, 0.914, 0.909, 0.903, 0.912, 0.907],
    "elu": [0.921, 0.928, 0.925, 0.936, 0.925, 0.926, 0.929, 0.931],
    "gelu": [0.922, 0.927, 0.926, 0.935, 0.926, 0.924, 0.930, 0.930],
    "selu": [0.905, 0.906, 0.911, 0.910, 0.913, 0.901, 0.916, 0.904],
}


@pytest.mark.parametrize("where", [{"activation": "elu"}, {"bias_init": 0.01}, {"bias_init": 0.0}])
@pytest.mark.parametrize("metric", ["test.accuracy", "health.dead_fraction"])
def test_a_row_is_the_same_whatever_is_hidden_beside_it(where, metric):
    records = grid(smooth, activations=("relu", "elu", "selu"), seeds=range(4))
    whole, part = only(records, metric=metric), only(records, metric=metric, where=where)
    assert 0 < len(part.rows) < len(whole.rows)
    assert set(map(str, part.rows)) <= set(map(str, whole.rows))
    assert (part.baseline, part.families, part.best) == (whole.baseline, whole.families, whole.best)


@pytest.mark.parametrize("where", [{"activation.alpha": 0.2}, {"activation": {"name": "elu", "alpha": 0.2}}])
def test_an_option_hides_rows_as_its_component_does(where):
    records = [
        record(0.9 + a / 10, activation={"name": "elu", "alpha": a}, seed=s) for a in (0.1, 0.2) for s in range(3)
    ]
    found = only(records, where=where)
    assert [one.factors["activation"] for one in found.rows] == ["elu(alpha=0.2)"]


def test_a_factor_that_is_averaged_over_is_restricted_before_the_averaging():
    records = grid(lambda a, b, s: 0.5 + 20 * b + 0.1 * (a == "elu") + 0.01 * s)
    found = only(records, by=["activation"], where={"bias_init": 0.0})
    assert row(found, activation="relu").metrics["test.accuracy"].mean == pytest.approx(0.51)
    assert (row(found, activation="relu").runs, found.averaged) == (3, ())


def test_a_dataset_can_be_shown_alone():
    records = [*cells({"relu": RELU, "elu": ELU}), *cells({"relu": RELU, "elu": SELU}, dataset="digits")]
    found = compare(records, where={"dataset": "digits"}).comparisons
    assert [one.context["dataset"] for one in found] == ["digits"]
    assert found[0].rows == compare(records).comparisons[0].rows


def test_from_eight_seeds_on_p_is_adjusted_by_max_t():
    found = only(cells(WIDE))
    names = [name for name in WIDE if name != "relu"]
    differences = [[a - b for a, b in zip(WIDE[name], WIDE["relu"], strict=True)] for name in names]
    expected = dict(zip(names, max_t(np.array(differences).T), strict=True))
    for name in names:
        assert row(found, activation=name).vs_baseline["test.accuracy"].p_adjusted == pytest.approx(expected[name])
    family = found.families["test.accuracy"]
    assert ([part.method for part in family.parts], family.size) == (["max-T"], 3)


def test_below_eight_seeds_p_is_adjusted_by_holm():
    found = only(cells({name: values[:7] for name, values in WIDE.items()}))
    names = [name for name in WIDE if name != "relu"]
    ps = holm([scipy.stats.ttest_rel(WIDE[name][:7], WIDE["relu"][:7]).pvalue for name in names])
    for name, p in zip(names, ps, strict=True):
        assert row(found, activation=name).vs_baseline["test.accuracy"].p_adjusted == pytest.approx(p)
    assert [part.method for part in found.families["test.accuracy"].parts] == ["Holm"]


def test_rows_that_can_not_be_told_from_the_best_are_tied_with_it():
    found = only(cells(WIDE))
    assert {one.factors["activation"]: one.tied for one in found.rows} == {
        "elu": True, "gelu": True, "relu": False, "selu": False,
    }  # fmt: skip
    assert found.best == {"activation": "elu"} == found.rows[0].factors


@pytest.mark.parametrize(
    ("values", "tied"),
    [([0.8, 0.9], None), (RELU, True), ([value - 0.1 for value in RELU], None)],
    ids=["two seeds", "identical", "constant"],
)
def test_a_tie_is_left_open_where_nothing_can_be_tested(values, tied):
    found = only(cells({"relu": RELU, "elu": values}))
    assert row(found, activation="elu").tied is tied


def test_the_share_of_failures_has_wilsons_interval():
    bad = [record(None, outcome="diverged", seed=8), record(None, outcome="failed", seed=9)]
    found = only([*cells(WIDE), *bad])
    assert row(found, activation="relu").failure_rate == wilson_interval(2, 10)
    assert row(found, activation="elu").failure_rate is None


def test_an_interaction_is_found_with_its_largest_effect():
    noise = [0.001, -0.002, 0.0005, 0.0015, -0.001, 0.0008, -0.0004, 0.002]

    def value(activation, bias, seed):
        extra = 0.03 * (activation == "elu" and bias > 0)
        return 0.9 + extra + noise[(seed + 3 * (activation == "elu") + 5 * (bias > 0)) % 8]

    found = only(grid(value, seeds=range(8))).interaction
    assert (found.metric, found.factors) == ("test.accuracy", ("activation", "bias_init"))
    assert (found.at, found.origin) == (
        {"activation": "elu", "bias_init": 0.01},
        {"activation": "relu", "bias_init": 0.0},
    )
    assert found.p == pytest.approx(2 / 2**8)
    assert found.effect.difference == pytest.approx(0.03)
    assert list(found.to_dict()) == ["metric", "factors", "p", "largest"]


@pytest.mark.parametrize(
    "records",
    [
        cells(WIDE),
        grid(smooth)[1:],
        grid(smooth, seeds=range(2)),
        grid(smooth)[:-3],
    ],
    ids=["one factor", "two common seeds", "two seeds", "a combination is missing"],
)
def test_there_is_no_interaction_without_a_whole_grid_of_three_seeds(records):
    assert only(records).interaction is None
