"""Rows, baselines, contrasts and warnings, against numbers done by hand or by scipy."""

import json
import math
import os
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import scipy.stats
from factories import ELU, RELU, SELU, cells, grid, only, record, row, save, smooth

from actbench.analysis.compare import compare
from actbench.analysis.statistics import interaction_p
from actbench.analysis.table.factors import show_all
from actbench.errors import ResultsError
from actbench.storage.reading import Records, read_results


def test_the_json_has_the_documented_shape():
    found = compare(grid(smooth)).to_dict()
    assert list(found) == ["schema", "comparisons", "warnings"]
    (comparison,) = found["comparisons"]
    assert list(comparison) == [
        "study", "context", "factors", "baseline", "rows", "interaction", "verdicts", "expectations",
    ]  # fmt: skip
    assert comparison["context"] == {"dataset": "mnist-5k", "model": "mlp"}
    assert comparison["factors"] == ["activation", "bias_init"]
    assert comparison["baseline"] == {"activation": "relu", "bias_init": 0.0}
    assert (comparison["interaction"], len(comparison["verdicts"]), comparison["expectations"]) == (None, 3, [])
    best = comparison["rows"][0]
    assert list(best) == [
        "factors", "runs", "outcomes", "metrics", "vs_baseline", "tied_with_best", "failure_rate",
    ]  # fmt: skip
    assert best["outcomes"] == {"ok": 3, "collapsed": 0, "diverged": 0, "failed": 0}
    assert list(best["metrics"]) == ["test.accuracy", "health.dead_fraction", "parameters", "seconds"]
    assert list(best["metrics"]["test.accuracy"]) == [
        "mean",
        "low",
        "high",
        "sd",
        "min",
        "max",
        "n",
        "beyond_scale",
        "prediction",
    ]
    assert list(best["vs_baseline"]["test.accuracy"]) == [
        "difference", "low", "high", "beyond_scale", "p", "p_adjusted", "n_pairs", "wins", "pairing_gain",
        "significant", "new_seed",
    ]  # fmt: skip


def test_differences_are_paired_by_seed_and_holm_adjusted():
    found = only(cells({"relu": RELU, "elu": ELU, "selu": SELU}))
    p = {name: scipy.stats.ttest_rel(values, RELU).pvalue for name, values in {"elu": ELU, "selu": SELU}.items()}
    small, large = sorted(p, key=p.get)
    adjusted = {small: 2 * p[small], large: max(2 * p[small], p[large])}
    for name in p:
        contrast = row(found, activation=name).vs_baseline["test.accuracy"]
        assert contrast.difference.p == pytest.approx(p[name])
        assert contrast.p_adjusted == pytest.approx(adjusted[name])
        assert contrast.significant == (adjusted[name] < 0.05)
    assert row(found, activation="relu").vs_baseline == {}


def test_a_difference_that_does_not_vary_counts_in_the_family_as_p_1():
    same, shifted = RELU, [value - 0.05 for value in RELU]
    found = only(cells({"relu": RELU, "elu": ELU, "selu": same, "silu": shifted}))
    p = scipy.stats.ttest_rel(ELU, RELU).pvalue
    assert row(found, activation="elu").vs_baseline["test.accuracy"].p_adjusted == pytest.approx(3 * p)
    for name in ("selu", "silu"):
        contrast = row(found, activation=name).vs_baseline["test.accuracy"]
        assert (contrast.difference.p, contrast.p_adjusted, contrast.significant) == (None, None, False)


def test_a_pair_without_a_common_seed_counts_in_the_family_too():
    apart = [record(0.9, activation="selu", seed=seed) for seed in (7, 8, 9)]
    found = only([*cells({"relu": RELU, "elu": ELU}), *apart])
    p = scipy.stats.ttest_rel(ELU, RELU).pvalue
    assert row(found, activation="elu").vs_baseline["test.accuracy"].p_adjusted == pytest.approx(2 * p)


def test_rows_stand_best_first_in_the_metrics_own_direction():
    records = cells({"relu": RELU, "elu": ELU, "selu": SELU})
    assert [one.factors["activation"] for one in only(records).rows] == ["elu", "relu", "selu"]
    by_loss = only(records, metric="test.loss")
    assert [one.factors["activation"] for one in by_loss.rows] == ["elu", "relu", "selu"]
    assert row(by_loss, activation="elu").vs_baseline["test.loss"].difference.wins == 4


def test_a_component_with_options_is_one_factor_and_an_optimizers_options_are_several():
    optimizers = [{"name": "sgd", "lr": 0.1}, {"name": "sgd", "lr": 0.01}]
    records = [
        record(activation={"name": "elu", "alpha": alpha}, training={"optimizer": optimizer}, seed=seed)
        for alpha in (0.1, 0.2) for optimizer in optimizers for seed in range(2)
    ]  # fmt: skip
    assert only(records).factors == ("activation", "training.optimizer.lr")
    assert {one.factors["activation"] for one in only(records).rows} == {"elu(alpha=0.1)", "elu(alpha=0.2)"}
    mixed = [*records, record(activation="relu", training={"optimizer": "adam"})]
    assert only(mixed).factors == ("activation", "training.optimizer")


@pytest.mark.parametrize(("seeds", "tied"), [(2, None), (3, True)])
def test_a_row_that_equals_the_best_in_each_of_three_pairs_is_tied_with_it(seeds, tied):
    found = only(cells({"relu": RELU[:seeds], "elu": RELU[:seeds]}))
    assert [one.tied for one in found.rows] == [True, tied]


def uneven(activation, bias, seed):
    """Three activations and three biases whose effects do not add up, with noise in each cell."""
    generator = np.random.default_rng([seed, len(activation), round(100 * bias)])
    return 0.9 + 0.02 * (activation == "elu") + bias * (1 + 3 * (activation == "selu")) + generator.normal(0, 0.002)


@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_the_interaction_is_the_largest_departure_from_the_sum_of_both_effects(seeds):
    activations, biases = ("relu", "elu", "selu"), (0.0, 0.01, 0.02)
    found = only(grid(uneven, activations=activations, biases=biases, seeds=range(seeds))).interaction
    if seeds < 3:
        assert found is None
        return
    values = np.array([[[uneven(a, b, s) for b in biases] for a in activations] for s in range(seeds)])
    assert found.p == interaction_p(values)
    effects = (values - values[:, :1] - values[:, :, :1] + values[:, :1, :1]).mean(axis=0)
    a, b = np.unravel_index(np.abs(effects).argmax(), effects.shape)
    assert (found.factors, found.origin) == (("activation", "bias_init"), {"activation": "relu", "bias_init": 0.0})
    assert found.at == {"activation": activations[a], "bias_init": biases[b]}
    assert (found.effect.difference, found.effect.n_pairs) == (pytest.approx(effects[a, b]), seeds)


def test_an_interaction_needs_two_factors_and_every_combination_of_them():
    complete = grid(uneven, activations=("relu", "elu", "selu"), seeds=range(4))
    assert only(complete).interaction is not None
    lacking = [one for one in complete if (one.spec.activation.name, one.spec.bias_init.value) != ("selu", 0.01)]
    assert only(lacking).interaction is None
    assert only([one for one in complete if one.spec.bias_init.value == 0]).interaction is None
    assert only([*complete, *grid(uneven, seeds=range(4), training={"epochs": 3})]).interaction is None


def test_a_single_activation_is_still_named():
    found = only(cells({"relu": RELU}))
    assert (found.factors, found.baseline, found.rows[0].vs_baseline) == (("activation",), None, {})


def test_datasets_models_and_studies_are_never_mixed():
    records = [
        *cells({"relu": RELU}), *cells({"relu": RELU}, study="other"), *cells({"relu": RELU}, dataset="digits"),
        *cells({"relu": RELU}, model={"name": "mlp", "hidden": [8]}),
    ]  # fmt: skip
    found = [(one.study, *one.context.values()) for one in compare(records).comparisons]
    assert found == [
        ("demo", "digits", "mlp"), ("demo", "mnist-5k", "mlp"), ("demo", "mnist-5k", "mlp(hidden=[8])"),
        ("other", "mnist-5k", "mlp"),
    ]  # fmt: skip


def test_a_models_option_becomes_a_factor_when_named():
    records = [r for width in (8, 16) for r in cells({"relu": RELU}, model={"name": "mlp", "hidden": [width]})]
    found = only(records, by=["model.hidden"])
    assert (found.context, [one.factors for one in found.rows]) == (
        {"dataset": "mnist-5k", "model": "mlp"},
        [{"model.hidden": "[8]"}, {"model.hidden": "[16]"}],
    )
    assert only(records, by=["model"]).context == {"dataset": "mnist-5k"}


def test_by_averages_over_the_other_factors_within_each_seed():
    found = only(grid(lambda a, b, s: {0.0: 0.5, 0.01: 0.7}[b] + 0.01 * s + 0.1 * (a == "elu")), by=["activation"])
    relu = row(found, activation="relu").metrics["test.accuracy"]
    assert (relu.n, relu.mean, relu.min, relu.max) == pytest.approx((3, 0.61, 0.60, 0.62))
    assert row(found, activation="relu").runs == 6
    assert (found.baseline, found.averaged) == ({"activation": "relu"}, ("bias_init",))


def test_a_factor_with_one_value_is_not_averaged_over():
    found = only(cells({"relu": RELU, "elu": ELU}), by=["activation"])
    assert found.averaged == ()
    found = compare([record(bias_init=bias, seed=seed) for bias in (0.0, 0.01) for seed in range(3)], by=["bias_init"])
    assert found.comparisons[0].averaged == ()
    assert "averaged" not in " ".join(found.all_warnings)


def test_by_leaves_out_a_seed_that_lacks_a_combination():
    records = grid(smooth)
    records[0] = record(None, outcome="diverged", activation="relu", bias_init=0.0, seed=0)
    found = only(records, by=["activation"])
    assert row(found, activation="relu").metrics["test.accuracy"].n == 2
    assert row(found, activation="elu").vs_baseline["test.accuracy"].difference.n_pairs == 2


def test_where_keeps_only_the_runs_that_fit():
    found = only(grid(smooth), where={"bias_init": 0, "activation": {"name": "relu"}})
    assert [(one.factors, one.runs) for one in found.rows] == [({"activation": "relu", "bias_init": 0.0}, 3)]


def test_no_record_is_an_error_that_says_why():
    with pytest.raises(ResultsError, match="unfinished runs, left out: 2"):
        compare(Records((), ("demo: unfinished runs, left out: 2",)))


def test_failures_are_counted_beside_the_mean():
    bad = [record(None, outcome="diverged", seed=4), record(None, outcome="failed", seed=5)]
    found = compare([*cells({"relu": RELU, "elu": ELU}), *bad, record(0.1, outcome="collapsed", seed=6)])
    relu = row(found.comparisons[0], activation="relu")
    assert dict(relu.outcomes) == {"ok": 4, "collapsed": 1, "diverged": 1, "failed": 1}
    assert relu.metrics["test.accuracy"].n == 5
    assert relu.metrics["test.accuracy"].mean == pytest.approx((sum(RELU) + 0.1) / 5)
    for text in ("1 of 11 runs diverged", "1 of 11 runs failed", "1 of 11 runs collapsed", "rows have 4 to 5 seeds"):
        assert any(text in warning for warning in found.warnings)


def test_a_dead_fraction_has_a_range_and_a_sign_flip_test():
    records = [*cells({"relu": RELU}, dead=0.2), *cells({"elu": ELU}, dead=0.0)]
    found = only(records, metric="health.dead_fraction")
    dead = row(found, activation="relu").metrics["health.dead_fraction"]
    assert (dead.mean, dead.low, dead.high, dead.min, dead.max) == (0.2, None, None, 0.2, 0.2)
    varied = [record(dead=0.1 + 0.01 * seed, seed=seed) for seed in range(5)]
    varied += [record(dead=0.02 * seed, seed=seed, activation="elu") for seed in range(5)]
    contrast = row(only(varied, metric="health.dead_fraction"), activation="elu").vs_baseline["health.dead_fraction"]
    assert (contrast.difference.p, contrast.difference.wins, contrast.difference.low) == (2 / 32, 5, None)


@pytest.mark.parametrize(
    "records",
    [
        cells({"relu": [0.9], "elu": [0.8]}),
        cells({"relu": [0.9, 0.8], "elu": [0.8, 0.9]}),
        cells({"relu": [0.9] * 4, "elu": [0.9] * 4, "selu": [0.95] * 4}),
        [record(None, outcome="failed", activation=a, seed=s) for a in ("relu", "elu") for s in range(3)],
        [record(None, outcome="diverged", activation=a, seed=s) for a in ("relu", "elu") for s in range(3)],
        [record(0.9, seed=0), record(0.8, activation="elu", seed=1)],
        [record(math.nan, seed=s) for s in range(3)] + cells({"elu": ELU}),
        [record(0.9)],
    ],
    ids=["n=1", "n=2", "constant", "all failed", "all diverged", "no common seed", "nan", "one run"],
)
@pytest.mark.parametrize("metric", ["test.accuracy", "health.dead_fraction", "seconds"])
def test_degenerate_runs_give_neither_nan_nor_a_traceback(records, metric):
    json.dumps(compare(records, metric=metric).to_dict(), allow_nan=False)


def test_fewer_than_three_seeds_have_no_verdict_and_say_so():
    found = compare(cells({"relu": [0.9, 0.8], "elu": [0.8, 0.9]}))
    contrast = row(found.comparisons[0], activation="elu").vs_baseline["test.accuracy"]
    assert (contrast.difference.p, contrast.p_adjusted, contrast.significant) == (None, None, False)
    assert "fewer than 3 seeds: no interval and no test" in found.warnings


def test_mixed_environments_and_repeated_runs_are_told():
    records = [record(seed=0), record(seed=1, environment={"torch": "2.11.0"}), record(0.5, seed=0)]
    found = compare(records)
    assert "runs differ in torch: 2.11.0, 2.14.0" in found.warnings
    assert "runs that repeat another's settings and seed, left out: 1" in found.warnings
    assert found.comparisons[0].rows[0].metrics["test.accuracy"].mean == 0.9


def test_a_repeat_is_left_out_of_every_count(tmp_path):
    records = [*cells({"relu": RELU, "elu": ELU}), record(None, outcome="diverged", activation="elu", seed=9)]
    save(tmp_path / "a", records)
    save(tmp_path / "b", records)
    once, twice = (compare(read_results(*paths)) for paths in ([tmp_path / "a"], [tmp_path / "a", tmp_path / "b"]))
    assert twice.comparisons == once.comparisons
    told = (f"runs that repeat another's settings and seed, left out: {len(records)}",)
    assert sorted(twice.warnings) == sorted(once.warnings + told)


@pytest.mark.parametrize("order", [1, -1])
def test_a_run_that_failed_gives_way_to_its_repeat_that_did_not(order):
    found = only([record(None, outcome="failed"), record(0.9)][::order])
    assert (found.rows[0].runs, found.rows[0].outcomes["failed"], found.rows[0].metrics["test.accuracy"].n) == (1, 0, 1)


def test_activations_compared_in_a_network_without_hidden_units_are_told():
    told = "mlp(hidden=[]) never used the run's activation, so rows that differ only in it are the same network"
    records = cells({"relu": RELU, "elu": ELU}, model={"name": "mlp", "hidden": []})
    idle = [replace(one, health={**one.health, "units": 0, "layers": []}) for one in records]
    assert told in compare(idle).warnings
    assert told not in compare(records).warnings
    assert told not in compare(idle[:4]).warnings


def test_one_datasets_name_for_different_data_is_told_within_a_table():
    records = [record(seed=seed, environment={"data": fingerprint * 32}) for seed, fingerprint in enumerate("aab")]
    (told,) = [text for text in compare(records).warnings if "different data" in text]
    assert told == "runs of mnist-5k were trained on different data: aaaaaaaaaaaa, bbbbbbbbbbbb"
    alike = [*records[:2], record(seed=2), record(seed=0, dataset="digits", environment={"data": "b" * 32})]
    for by in ((), ("dataset",)):
        assert not [text for text in compare(alike, by=by).warnings if "different data" in text]


@pytest.mark.parametrize(
    "settings",
    [
        [{"bias_init": 0.1}, {"bias_init": 0.10000001}],
        [{"activation": {"name": "elu", "alpha": alpha}} for alpha in (0.1, 0.10000001)],
    ],
    ids=["a number", "an option"],
)
def test_settings_that_differ_in_a_late_digit_are_rows_that_look_different(settings):
    found = only([record(seed=seed, **one) for one in settings for seed in range(2)])
    assert len({show_all(one.factors) for one in found.rows}) == 2


def test_a_copied_folder_gives_the_same_bytes(tmp_path):
    records = [*grid(smooth), record(None, outcome="failed", seed=9)]
    save(tmp_path / "here", records, text="compare: {baseline: {activation: elu}}")
    broken = next((tmp_path / "here/demo/runs").glob("elu*")) / "result.json"
    broken.write_text("{")
    shutil.copytree(tmp_path / "here", tmp_path / "far/away")
    here, there = (json.dumps(compare(read_results(tmp_path / p)).to_dict()) for p in ("here", "far/away"))
    assert here == there


def test_a_thousand_runs_make_fifty_rows_of_twenty_seeds():
    records = [record(0.9 + s / 1e5, bias_init=b / 10, seed=s) for s in range(20) for b in range(50)]
    (comparison,) = compare(records).comparisons
    assert [row.runs for row in comparison.rows] == [20] * 50


def test_comparing_leaves_torch_and_scipy_alone_until_a_p_value_is_needed(tmp_path):
    save(tmp_path, cells({"relu": [0.9], "elu": [0.8]}))
    code = (
        "import sys; from actbench.analysis.compare import compare; from actbench.storage.reading import read_results; "
        f"compare(read_results({str(tmp_path)!r})); "
        "print([m for m in ('torch', 'scipy', 'matplotlib', 'sklearn', 'pandas') if m in sys.modules])"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert found.stdout.strip() == "[]"


def of_path(path, values, key="activation", **spec):
    """Runs of a component called mine, from this path."""
    return [record(value, **{key: {"name": "mine", "path": path}}, seed=s, **spec) for s, value in enumerate(values)]


def test_two_functions_of_one_name_are_two_rows():
    found = compare([*cells({"relu": RELU}), *of_path("a:f", ELU), *of_path("b:f", SELU)])
    (table,) = found.comparisons
    means = {one.factors["activation"]: one.metrics["test.accuracy"].mean for one in table.rows}
    assert means == {
        "relu": pytest.approx(sum(RELU) / 4),
        "mine from a:f": pytest.approx(sum(ELU) / 4),
        "mine from b:f": pytest.approx(sum(SELU) / 4),
    }
    assert not any("repeat" in text for text in found.warnings)


@pytest.mark.parametrize("key", ["dataset", "model"])
def test_two_datasets_or_models_of_one_name_are_two_tables(key):
    found = compare([*of_path("a:f", ELU, key), *of_path("b:f", SELU, key)])
    assert [one.context[key] for one in found.comparisons] == ["mine from a:f", "mine from b:f"]


def test_one_function_of_a_name_needs_no_path_in_its_label():
    (table,) = compare([*cells({"relu": RELU}), *of_path("a:f", ELU)]).comparisons
    assert {one.factors["activation"] for one in table.rows} == {"relu", "mine"}


def test_a_function_that_has_moved_is_compared_to_its_former_self():
    (table,) = compare(of_path("b:f", ELU), against=of_path("a:f", SELU)).comparisons
    assert table.rows[0].vs_baseline["test.accuracy"].difference.n_pairs == 4
