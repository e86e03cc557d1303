"""What ``compare`` adds when asked: the methods in prose, speed of convergence, all pairs of rows."""

import csv
import inspect
import io
import json
from dataclasses import fields, replace
from itertools import combinations

import pytest
import typer
from comparisons import rendered
from factories import cells, grid, only, record, save, smooth
from scipy import stats
from typer.testing import CliRunner

from actbench.analysis.compare import compare
from actbench.analysis.compare_options import CompareOptions
from actbench.cli.compare import compare as command
from actbench.errors import UsageError
from actbench.schema import registry

app = typer.Typer(pretty_exceptions_enable=False)
app.command("compare")(command)

ENVIRONMENT = {"actbench": "0.1.0", "numpy": "2.3.1", "python": "3.11.9", "processor": "AMD EPYC (Zen 4)"}
FIVE = {
    "relu": [0.90, 0.91, 0.92, 0.94],
    "elu": [0.91, 0.93, 0.925, 0.96],
    "selu": [0.85, 0.86, 0.88, 0.87],
    "gelu": [0.905, 0.90, 0.93, 0.935],
    "tanh": [0.89, 0.91, 0.90, 0.93],
}

METHODS = (
    "Of the study demo, the table shows 7 training runs of mlp on mnist-5k: 2 configurations that differ in "
    "activation, with 4 seeds in all, not every configuration with each (0–3). Runs with equal seed share the random "
    "streams of initial weights and batch order. Each run trained for 5 epochs with sgd (lr=0.1, momentum=0.9, "
    "nesterov=False, dampening=0, weight_decay=0), learning-rate schedule constant and batch size 128, in float32; "
    "weights were initialised by he_normal, initial hidden biases: 0. 1 of 7 runs diverged: counted beside the means, "
    "not averaged in. The metric test.accuracy (fraction) is defined as: correct test examples, last or selected "
    "epoch. Means over seeds of test.accuracy have 95 % Student-t intervals, from 3 seeds on. Differences to the "
    "baseline (activation=relu) are paired by seed, with 95 % intervals of the paired t distribution. The p-values in "
    "test.accuracy are from two-sided paired t tests, adjusted by Holm's (1979) method over a family of 1 difference, "
    "at level 0.05. A hidden unit counts as dead when, at the last epoch, it has a slope ≤ 0.001 on 2,000 training "
    "images (the probe). Computed with actbench 0.1.0, PyTorch 2.14.0, NumPy 2.3.1 and Python 3.11.9 on cpu"
    ": AMD EPYC (Zen 4)."
)


def uneven():
    """Four seeds of relu, three of elu, of which one diverged."""
    records = cells({"relu": FIVE["relu"], "elu": FIVE["elu"][:3]}, environment=ENVIRONMENT)
    return [*records[:-1], replace(records[-1], outcome="diverged", final={})]


def rough(activation, bias, seed):
    """Accuracies whose differences vary over seeds in no simple way."""
    return smooth(activation, bias, seed) + 0.001 * ((7 * seed + 3 * (activation == "elu") + 5 * (bias > 0)) % 4)


def learning(*epochs, activation="relu", epochs_in_all=4, **common):
    """One run a seed whose validation accuracy is 0.95 from the given epoch on and 0.5 before; None for never."""
    return [
        replace(
            record(0.9 + seed / 100, activation=activation, seed=seed, **common),
            curves=tuple(
                {"epoch": i, "val.accuracy": 0.95 if epoch is not None and i >= epoch else 0.5}
                for i in range(epochs_in_all + 1)
            ),
        )
        for seed, epoch in enumerate(epochs)
    ]


def reach_of(records, level=0.9, **options):
    """Factors -> (epochs, reached, n)."""
    rows = only(records, reach=level, **options).rows
    return {tuple(one.factors.values()): (one.reach.epochs, one.reach.reached, one.reach.n) for one in rows}


def flat(text):
    return " ".join(text.split())


def test_the_methods_read_as_designed():
    assert only(uneven(), methods=True).methods == METHODS


@pytest.mark.parametrize(
    ("records", "options", "told"),
    [
        (grid(smooth, seeds=range(9)), {}, "two-sided sign-flip tests, adjusted by the step-down max-T method"),
        (grid(rough, seeds=range(9)), {}, "The interaction of activation and bias_init in test.accuracy was tested"),
        (grid(smooth), {"by": ["activation"]}, "Values were averaged over bias_init within each seed"),
        (grid(smooth), {"baseline": {"activation": "relu"}}, "(activation=relu with equal bias_init) are paired"),
        (grid(smooth), {"alpha": 0.1}, "90 % Student-t intervals"),
        (grid(smooth), {"metric": "health.dead_fraction"}, "a bounded share, have their range instead of an interval"),
        (cells(FIVE, training={"epochs": 1}), {}, "trained for 1 epoch with sgd"),
        ([*cells(FIVE), *cells(FIVE, training={"epochs": 9})], {}, "trained for 5 or 9 epochs with"),
        ([record(outcome="collapsed"), record(seed=4)], {}, "runs collapsed: counted beside the means, averaged in."),
        (cells({"relu": [0.2, 0.85, 0.825]}), {}, "that would pass the end of a metric's scale are cut there."),
        (grid(smooth), {"where": {"bias_init": 0.01}}, "Of the study demo, the table shows 6 training runs of mlp"),
        (cells({"relu": [0.9, 0.8, 0.7]}), {}, ": 1 configuration, with 3 seeds each (0–2)."),
        (grid(smooth), {"reach": 0.4}, "convergence is the first epoch with val.accuracy of at least 40 %, averaged"),
    ],
)  # fmt: skip
def test_the_methods_say_what_was_done(records, options, told):
    assert told in only(records, methods=True, **options).methods


def test_the_methods_of_a_tuned_table_say_what_picked_the_values():
    records = [
        replace(one, final={**one.final, "val.accuracy": one.final["test.accuracy"] - 0.01})
        for one in grid(rough, seeds=range(4))
    ]
    *_, tuned = compare(records, tune=["bias_init"], methods=True).comparisons
    assert "For each configuration, bias_init was picked by the best mean val.accuracy" in tuned.methods


def test_the_methods_name_every_version_and_device_that_occurs():
    records = [record(seed=0), record(seed=1, environment={"torch": "2.15.0", "device": "cuda"})]
    assert "PyTorch 2.14.0 or 2.15.0 on cpu or cuda." in only(records, methods=True).methods


def test_a_seed_that_never_reaches_the_level_is_counted_and_in_no_mean():
    records = [*learning(1, 2, None), *learning(3, 3, 3, activation="elu"), *learning(None, activation="tanh")]
    assert reach_of(records) == {("relu",): (1.5, 2, 3), ("elu",): (3.0, 3, 3), ("tanh",): (None, 0, 1)}


@pytest.mark.parametrize(("level", "epochs"), [(0.95, 2.0), (0.5, 0.0), (0.96, None), (1, None)])
def test_the_level_is_reached_when_the_accuracy_is_at_least_that(level, epochs):
    assert reach_of(learning(2), level)[("relu",)][0] == epochs


@pytest.mark.parametrize("outcome", ["diverged", "failed"])
def test_a_run_without_a_result_never_reached_anything(outcome):
    first, second = learning(1, 2)
    assert reach_of([first, replace(second, outcome=outcome)])[("relu",)] == (1.0, 1, 2)


def test_a_seed_averaged_over_two_runs_needs_both():
    records = [*learning(1, 1), *learning(3, None, bias_init=0.01)]
    assert reach_of(records, by=["activation"])[("relu",)] == (2.0, 1, 2)


def test_a_seed_that_lacks_a_combination_averaged_over_is_left_out_as_it_is_of_the_mean():
    records = [*learning(1, 2, 3), *learning(1, 2, 3, bias_init=0.01)]
    assert reach_of(records, by=["activation"])[("relu",)] == (2.0, 3, 3)
    found = only(records[:-1], by=["activation"], reach=0.9).rows[0]
    assert (found.reach.epochs, found.reach.reached, found.reach.n) == (1.5, 2, 2)
    assert found.metrics["test.accuracy"].n == 2


def test_a_run_without_validation_examples_could_not_have_reached_it():
    first, second = learning(1, 2)
    unmeasured = replace(second, curves=({"epoch": 0, "val.accuracy": None},))
    assert reach_of([first, unmeasured])[("relu",)] == (1.0, 1, 1)
    with pytest.raises(UsageError, match=r"no run of demo · mnist-5k · mlp has a curve of val.accuracy"):
        reach_of([unmeasured])


@pytest.mark.parametrize("level", [0, -1, 1.5, float("nan")])
def test_a_level_that_is_no_accuracy_is_refused(level):
    with pytest.raises(UsageError, match="--reach: expected an accuracy above 0 and at most 1"):
        reach_of(learning(1), level)


def test_every_format_has_the_speed_of_convergence():
    records = [*learning(1, 2, None), *learning(3, 3, 3, activation="elu")]
    options = {"reach": 0.9}
    for name in ("table", "markdown", "latex"):
        text = rendered(name, records, **options)
        assert "epochs (to 90" in text
        assert "(2 of 3)" in text
    assert "epochs to val.accuracy ≥ 90 %, mean over the seeds that reached it" in flat(
        rendered("table", records, **options)
    )
    lines = list(csv.DictReader(io.StringIO(rendered("csv", records, **options))))
    (relu,) = [one for one in lines if (one["activation"], one["metric"]) == ("relu", "test.accuracy")]
    found = [relu[f"reach_{key}"] for key in ("metric", "level", "epochs", "reached", "n")]
    assert found == ["val.accuracy", "0.9", "1.5", "2", "3"]
    rows = json.loads(rendered("json", records, **options))["comparisons"][0]["rows"]
    (relu,) = [one["reach"] for one in rows if one["factors"] == {"activation": "relu"}]
    assert relu == {"metric": "val.accuracy", "level": 0.9, "epochs": 1.5, "reached": 2, "n": 3}


def test_all_pairs_agree_with_scipy():
    found = only(cells(FIVE), all_pairs=True).pairs
    oracle = {frozenset((a, b)): stats.ttest_rel(FIVE[a], FIVE[b]).pvalue for a, b in combinations(FIVE, 2)}
    adjusted = dict(zip(oracle, stats.false_discovery_control(list(oracle.values())), strict=True))
    assert (found.family, len(found.pairs)) == (10, 10)
    for one in found.pairs:
        key = frozenset((one.left["activation"], one.right["activation"]))
        assert one.difference.p == pytest.approx(oracle[key])
        assert one.p_adjusted == pytest.approx(adjusted[key])
        assert one.difference.difference >= 0
    ps = [one.difference.p for one in found.pairs]
    assert ps == sorted(ps)


def test_hiding_rows_changes_no_pair_that_stays():
    records = grid(rough, seeds=range(5))
    whole = only(records, all_pairs=True).pairs
    part = only(records, all_pairs=True, where={"bias_init": 0.01}).pairs
    assert part.family == whole.family
    assert part.pairs == tuple(
        one for one in whole.pairs if one.left["bias_init"] == one.right["bias_init"] == 0.01
    )  # fmt: skip


def test_a_pair_without_a_p_has_none_and_comes_last():
    found = only(cells({**FIVE, "prelu": FIVE["relu"]}), all_pairs=True).pairs
    last = found.pairs[-1]
    assert {last.left["activation"], last.right["activation"]} == {"relu", "prelu"}
    assert (last.difference.note, last.difference.p, last.p_adjusted) == ("identical", None, None)


def test_pairs_are_of_the_new_side_only():
    found = compare(cells(FIVE), against=cells(FIVE), all_pairs=True).comparisons[0].pairs
    assert found.family == 10
    assert {one.left["results"] for one in found.pairs} == {"new"}


@pytest.mark.parametrize("name", ["table", "markdown", "latex"])
def test_a_reader_sees_twenty_pairs_and_that_they_are_exploratory(name):
    records = [record(0.9 + b / 1e3 + s * b / 1e5, bias_init=b / 100, seed=s) for b in range(8) for s in range(3)]
    text = flat(rendered(name, records, all_pairs=True)).replace("-{}-", "--")
    assert "All pairs in test.accuracy (exploratory)" in text
    assert "and 8 more (--format csv or json for all)" in text
    assert "over all pairs of the table (28)" in text


def test_programs_get_every_pair_flagged_as_exploratory():
    options = {"all_pairs": True}
    found = json.loads(rendered("json", cells(FIVE), **options))["comparisons"][0]["all_pairs"]
    assert (found["exploratory"], found["metric"], found["family"]) == (True, "test.accuracy", 10)
    first = found["pairs"][0]
    assert first.keys() == {
        "left", "right", "difference", "low", "high", "beyond_scale", "p", "p_adjusted", "n_pairs", "wins",
    }  # fmt: skip
    lines = list(csv.DictReader(io.StringIO(rendered("csv", cells(FIVE), **options))))
    assert len(lines) == 10
    assert {one["exploratory"] for one in lines} == {"True"}
    assert (lines[0]["left_activation"], float(lines[0]["p"])) == (first["left"]["activation"], first["p"])


def test_more_pairs_than_anyone_reads_are_refused_with_the_remedy():
    records = [record(bias_init=b / 1000) for b in range(201)]
    with pytest.raises(UsageError, match=r"201 rows of demo .* make 20,100 pairs.*name fewer factors with --by"):
        only(records, all_pairs=True)


@pytest.mark.parametrize("name", registry.names("reports"))
@pytest.mark.parametrize(
    "records",
    [
        [replace(record(None, outcome="failed", seed=s), curves=()) for s in range(2)],
        learning(1),
        learning(1, 2, 3),
        [*learning(1, 2), *learning(1, None, activation="elu", study="other")],
    ],
    ids=["all failed", "one run", "one row", "two studies"],
)  # fmt: skip
def test_every_format_gets_through_degenerate_runs(name, records):
    text = rendered(name, records, methods=True, reach=0.9, all_pairs=True)
    assert text.endswith("\n")
    assert "nan" not in text.lower()


@pytest.mark.parametrize("width", [80, 100, 140])
def test_the_table_keeps_to_the_width(monkeypatch, width):
    monkeypatch.setattr("actbench.system.console.PLAIN_WIDTH", width)
    records = [*learning(1, 2, None), *learning(3, 3, 3, activation={"name": "elu", "alpha": 0.2}, bias_init=0.01)]
    text = rendered("table", records, methods=True, reach=0.9, all_pairs=True)
    assert max(map(len, text.splitlines())) <= width
    assert "(2 of 3)" in text


def test_nothing_is_added_unless_it_is_asked_for():
    (found,) = compare(learning(1, 2, 3)).to_dict()["comparisons"]
    assert not {"methods", "all_pairs"} & found.keys()
    assert "reach" not in found["rows"][0]


def test_compare_names_each_keyword_with_the_default_of_its_option():
    keywords = list(inspect.signature(compare).parameters.values())[1:]
    assert {one.kind for one in keywords} == {inspect.Parameter.KEYWORD_ONLY}
    assert [(one.name, one.default) for one in keywords] == [(one.name, one.default) for one in fields(CompareOptions)]


def test_a_misspelt_keyword_is_reported_as_one_of_compare():
    with pytest.raises(TypeError, match=r"^compare\(\) got an unexpected keyword argument 'metrics'"):
        compare(cells(FIVE), metrics="test.loss")


def test_the_command_has_an_option_for_each(tmp_path):
    save(tmp_path, [*learning(1, 2, None), *learning(3, 3, 3, activation="elu")])
    options = ["--methods", "--reach", "0.9", "--all-pairs"]
    found = CliRunner().invoke(app, [str(tmp_path), *options, "--json"], catch_exceptions=False)
    (content,) = json.loads(found.stdout)["comparisons"]
    assert content["methods"].startswith("Of the study demo, the table shows 6 training runs of mlp")
    assert len(content["all_pairs"]["pairs"]) == 1
    assert sorted(one["reach"]["reached"] for one in content["rows"]) == [2, 3]
