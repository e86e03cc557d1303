"""Rows at their own best setting: picked on validation, reported on test, paired by seed like any other table."""

from dataclasses import replace
from io import StringIO
from statistics import mean

import pytest
import typer
from factories import record, row, save
from hypothesis import given, settings
from hypothesis import strategies as st
from json_document import Document
from tuned_study import LR, run, score, study
from typer.testing import CliRunner

from actbench.analysis.compare import compare
from actbench.analysis.table.tuning import edge_of, validation_metric
from actbench.cli.compare import compare as compare_command
from actbench.errors import UnknownNameError, UsageError
from actbench.schema import registry
from actbench.storage.reading import Records


def both(records, **options):
    """The table at common values, the tuned one, and all warnings."""
    found = compare(records, tune=[LR], **options)
    common, tuned = found.comparisons
    return common, tuned, found.warnings


def picks(comparison):
    return {one.factors["activation"]: one.picked[LR] for one in comparison.rows}


def test_each_row_gets_the_rate_that_is_best_on_validation():
    common, tuned, _ = both(study())
    assert LR in common.factors
    assert common.tuned is None
    assert tuned.factors == ("activation",)
    assert picks(tuned) == {"relu": 0.1, "elu": 1.0}
    assert tuned.title == f"{common.title} · tuned on validation: {LR}"


def test_a_tuned_row_reports_the_test_metric_of_the_picked_rate_paired_by_seed():
    _, tuned, _ = both(study())
    differences = [score("elu", 1.0, seed) - score("relu", 0.1, seed) for seed in range(4)]
    elu = row(tuned, activation="elu")
    assert elu.metrics["test.accuracy"].mean == pytest.approx(mean(score("elu", 1.0, s) for s in range(4)))
    assert elu.vs_baseline["test.accuracy"].difference.difference == pytest.approx(mean(differences))
    assert elu.vs_baseline["test.accuracy"].difference.n_pairs == 4
    assert tuned.baseline == {"activation": "relu"}
    assert tuned.families["test.accuracy"].size == 1


def test_the_tuned_table_is_the_one_of_the_picked_runs_alone():
    records = study()
    best = {"relu": 0.1, "elu": 1.0}
    own = [one for one in records if best[one.spec.activation.name] == one.spec.training.optimizer.options["lr"]]
    kept = {one.spec.activation.name: [] for one in own}
    for one in own:
        kept[one.spec.activation.name].append(one.final["test.accuracy"])
    _, tuned, _ = both(records)
    (plain,) = compare(
        [record(v, activation=a, seed=s) for a, vs in kept.items() for s, v in enumerate(vs)]
    ).comparisons
    for name in kept:
        here, there = row(tuned, activation=name), row(plain, activation=name)
        assert here.metrics["test.accuracy"] == there.metrics["test.accuracy"]
        assert here.vs_baseline == there.vs_baseline
        assert here.tied == there.tied


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=24, max_size=24))
def test_changing_test_metrics_never_changes_the_pick(accuracies):
    numbers = iter(accuracies)
    _, tuned, _ = both(study(lambda *_: next(numbers)))
    assert picks(tuned) == {"relu": 0.1, "elu": 1.0}


def test_the_table_at_common_values_does_not_change():
    common, _, _ = both(study())
    assert (common,) == compare(study()).comparisons


def test_of_equal_means_the_first_value_in_order_is_picked():
    level = {"relu": (0.9, 0.9, 0.9), "elu": (0.8, 0.9, 0.9)}
    for records in (study(validation=level), study(validation=level)[::-1]):
        _, tuned, _ = both(records)
        assert picks(tuned) == {"relu": 0.01, "elu": 0.1}


def test_a_loss_is_tuned_for_its_lowest_validation_loss():
    records = [replace(one, final={**one.final, "val.loss": one.final["val.accuracy"]}) for one in study()]
    _, tuned, _ = both(records, metric="test.loss")
    assert tuned.tuned.by == "val.loss"
    assert picks(tuned) == {"relu": 0.01, "elu": 0.01}


@pytest.mark.parametrize(
    ("metric", "expected"),
    [("test.accuracy", "val.accuracy"), ("test.loss", "val.loss"), ("train.loss", "val.loss"),
     ("val.loss", "val.loss"), ("parameters", "val.accuracy"), ("health.sparsity", "val.accuracy")],
)  # fmt: skip
def test_the_validation_twin_of_the_compared_metric_picks(metric, expected):
    assert validation_metric(metric) == expected


def test_no_metric_is_picked_on_test():
    assert all(validation_metric(name).startswith("val.") for name in registry.names("metrics"))


@pytest.mark.parametrize("outcome", ["diverged", "failed"])
def test_a_rate_at_which_one_seed_went_wrong_is_not_picked(outcome):
    wrong = lambda a, rate, seed: outcome if (a, rate, seed) == ("elu", 1.0, 2) else "ok"  # noqa: E731
    _, tuned, warnings = both(study(outcome=wrong))
    assert picks(tuned) == {"relu": 0.1, "elu": 0.1}
    assert not any("tried" in text for text in warnings)  # beyond 0.1 something was tried


def test_a_row_without_a_validation_metric_is_left_out_with_a_warning():
    blank = [
        replace(one, final={**one.final, "val.accuracy": None}) if one.spec.activation.name == "elu" else one
        for one in study()
    ]
    _, tuned, warnings = both(blank)
    assert picks(tuned) == {"relu": 0.1}
    assert any("no value to pick" in text and text.endswith("left out: elu") for text in warnings)


def test_without_any_validation_metric_the_user_is_told_why():
    blank = [replace(one, final={**one.final, "val.accuracy": None}) for one in study()]
    with pytest.raises(UsageError, match="none has val"):
        compare(blank, tune=[LR])


def test_a_pick_at_the_edge_of_its_range_is_warned_of_with_the_value_to_add():
    _, _, warnings = both(study())
    (text,) = [text for text in warnings if "tried" in text]
    assert text.endswith(f"{LR}=1, picked for elu, is the largest value tried (0.01 to 1): add 10 to its sweep")


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (("elu", "relu", "selu"), "picked for elu, relu, selu, is the largest"),
        (("elu", "gelu", "relu", "selu"), "picked for elu, gelu, relu and 1 more, is the largest"),
    ],
)
def test_a_pick_at_the_edge_names_three_rows_and_counts_the_others(names, told):
    _, _, warnings = both(study(validation=dict.fromkeys(names, (0.80, 0.85, 0.95))))
    assert [told in text for text in warnings if "tried" in text] == [True]


def test_a_pick_at_the_edge_that_a_value_inside_equals_is_not_warned_of():
    def edges(means):
        runs = [replace(one, final={**one.final, "val.accuracy": round(one.final["val.accuracy"], 2)}) for one in
                study(seeds=4, validation={"relu": means})]  # fmt: skip
        return [text for text in compare(runs, tune=[LR]).warnings if "tried (" in text]

    assert edges((0.9, 0.9, 0.8)) == edges((0.9, 0.9, 0.9)) == []
    assert len(edges((0.9, 0.8, 0.9))) == len(edges((0.9, 0.8, 0.8))) == 1


def test_picks_by_means_over_different_seeds_are_named():
    runs = [one for one in study() if one.spec.activation.label == "relu" or rate_of(one) < 1 or one.spec.seed == 0]
    _, tuned, warnings = both(runs)
    assert row(tuned, activation="elu").picked == {LR: 1.0}
    assert row(tuned, activation="elu").metrics["test.accuracy"].n == 1
    (text,) = [text for text in warnings if "the values tried" in text]
    assert text.endswith(
        "the values tried have runs with different seeds, and each mean val.accuracy is over its own: the picked one "
        "may be best for its seeds alone, for elu"
    )
    assert not any("the values tried" in text for text in both(study())[2])


def rate_of(one):
    return one.spec.training.optimizer.options["lr"]


@pytest.mark.parametrize(
    ("value", "tried", "beyond"),
    [
        (0.1, [0.1, 0.05, 0.025], 0.2),
        (0.025, [0.1, 0.05, 0.025], 0.0125),
        (0.05, [0.1, 0.05, 0.025], None),
        (0.1, [0.1], None),
        (0.0, [0.0, 0.01], None),
        (0.02, [0.0, 0.01, 0.02], 0.03),
        (-0.1, [-0.1, 0.1], -0.3),
        (256, [64, 128, 256], 512),
        (-4, [-4, 4], -12),
        (1, [1, 4], 1),
        ("adam", ["adam", "sgd"], None),
        (0.1, [0.1, 0.2, "pytorch"], None),
        (None, [None, 0.1], None),
    ],
)
def test_the_range_is_continued_by_its_last_ratio_or_step(value, tried, beyond):
    edge = edge_of("key", value, tried)
    assert (edge and edge.beyond) == beyond


def test_other_factors_are_averaged_at_one_rate_for_the_row():
    records = [
        run("relu", rate, seed, test=0.9, val=val, bias_init=bias)
        for rate, bias, val in [(0.1, 0.0, 0.9), (0.1, 0.01, 0.5), (1.0, 0.0, 0.8), (1.0, 0.01, 0.8), (2.0, 0.0, 0.99)]
        for seed in range(3)
    ]
    _, tuned, _ = both(records, by=["activation"])
    assert picks(tuned) == {"relu": 1.0}  # 0.1 has the lower mean, and 2.0 lacks a bias
    assert tuned.averaged == ("bias_init",)
    by_bias = both(records)[1]
    assert {one.factors["bias_init"]: one.picked[LR] for one in by_bias.rows} == {0.0: 2.0, 0.01: 1.0}


def test_several_factors_are_tuned_together():
    records = [
        run("relu", rate, seed, test=0.9, val=val, bias_init=bias)
        for rate, bias, val in [(0.1, 0.0, 0.7), (0.1, 0.01, 0.9), (1.0, 0.0, 0.8), (1.0, 0.01, 0.6)]
        for seed in range(2)
    ]
    tuned = compare(records, tune=[LR, "bias_init"]).comparisons[1]
    assert [one.picked for one in tuned.rows] == [{LR: 0.1, "bias_init": 0.01}]


def test_hiding_rows_changes_no_number_of_the_tuned_table():
    _, everything, _ = both(study())
    _, hidden, warnings = both(study(), where={"activation": "relu"})
    assert hidden.rows == (row(everything, activation="relu"),)
    assert not any("elu, is" in text for text in warnings if "picked for elu" in text)


def test_two_results_are_tuned_each_on_its_own_side():
    old = study(validation={"relu": (0.9, 0.8, 0.8), "elu": (0.9, 0.8, 0.8)})
    tuned = compare(study(), against=old, tune=[LR]).comparisons[1]
    assert picks(tuned) == {"relu": 0.1, "elu": 1.0}
    difference = row(tuned, activation="relu").vs_baseline["test.accuracy"].difference
    assert difference.difference == pytest.approx(
        mean(score("relu", 0.1, s) - score("relu", 0.01, s) for s in range(4))
    )


def test_a_row_of_the_base_without_a_value_to_pick_is_named():
    base = study(outcome=lambda a, *_: "diverged" if a == "relu" else "ok")
    _, tuned, warnings = both(study(), against=base)
    assert not row(tuned, activation="relu").vs_baseline
    (text,) = [text for text in warnings if "no value to pick" in text]
    assert text.endswith("so these rows are left out: relu (results=base)")


def test_the_study_says_what_is_tuned():
    records = Records(tuple(study()), (), {"demo": {"tune": (LR,)}})
    assert compare(records).to_dict() == compare(study(), tune=[LR]).to_dict()


def test_a_view_at_one_rate_is_not_tuned():
    records = Records(tuple(study()), (), {"demo": {"tune": (LR,)}})
    found = compare(records, where={LR: 0.1})
    assert len(found.comparisons) == 1
    assert f"not tuned: '{LR}' is held by {LR}=0.1" in found.warnings


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"tune": ["training.optimiser.lr"]}, UnknownNameError, "did you mean"),
        ({"tune": [LR, LR]}, UsageError, "given twice"),
        ({"tune": ["activation"]}, UsageError, "what is compared"),
        ({"tune": ["model.hidden"]}, UsageError, "different tables"),
        ({"tune": [LR], "baseline": {LR: 0.1}}, UsageError, "either --tune or --baseline"),
        ({"tune": [LR], "where": {LR: 0.1}}, UsageError, "either --tune or --where"),
        ({"tune": ["bias_init"]}, UsageError, "'bias_init' is not a factor of this table"),
        ({"tune": [LR], "by": [LR]}, UsageError, "no factor is left"),
    ],
)
def test_what_can_not_be_tuned_is_refused(options, error, message):
    with pytest.raises(error, match=message):
        compare(study(), **options)


def test_the_json_says_what_was_picked_for_each_row():
    content = compare(study(), tune=[LR]).to_dict()
    Document.model_validate(content)
    common, tuned = content["comparisons"]
    assert "tuned" not in common
    rates = [{"relu": 0.1, "elu": 1.0}[one["factors"]["activation"]] for one in tuned["rows"]]
    assert tuned["tuned"] == {"factors": [LR], "by": "val.accuracy", "picked": [{LR: rate} for rate in rates]}


@pytest.mark.parametrize("name", [name for name in registry.names("reports") if name != "json"])
def test_every_format_shows_the_picked_value(name):
    target = StringIO()
    registry.load("reports", name).render(compare(study(), tune=[LR]), target)
    text = target.getvalue()
    if name == "csv":
        tuned = [line.split(",") for line in text.splitlines() if f",{LR}," in line][1:]
        assert {tuple(line[3:6]) for line in tuned} == {("relu", "0.1", LR), ("elu", "1.0", LR)}
    else:
        assert f"tuned on validation: {LR}" in text
        assert "picked lr" in text


def test_the_command_tunes_what_it_is_told(tmp_path):
    app = typer.Typer()
    app.command()(compare_command)
    root = save(tmp_path, study())
    found = CliRunner().invoke(app, [str(root), "--tune", LR], catch_exceptions=False)
    assert found.exit_code == 0
    assert f"tuned on validation: {LR}" in found.stdout
