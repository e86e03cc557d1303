"""``expect`` and ``--fail-if``: the grammar, and what runs decide."""

import math

import pytest
from factories import ELU, RELU, cells, grid, record, smooth

from actbench.analysis.compare import compare
from actbench.analysis.judgements.evidence import evidence_of
from actbench.analysis.statistics import mean_interval
from actbench.config import Study
from actbench.config.hypotheses import Bound, Change, Ordering, parse_expectation, parse_gate
from actbench.errors import ConfigError, UsageError
from actbench.storage.reading import Records

ACCURACY = {"relu": [0.950, 0.951, 0.949, 0.952], "elu": [0.958, 0.960, 0.957, 0.961]}


def judged(records, *texts):
    settings = {"demo": {"expect": list(texts)}}
    (found,) = compare(Records(tuple(records), (), settings)).comparisons
    return found.expectations


def verdict(records, text):
    (found,) = judged(records, text)
    return found.verdict


def test_the_forms_are_read_as_documented():
    found = parse_expectation("health.dead_fraction: bias_init=0.01 < bias_init=0.0 where activation=relu")
    assert found == Ordering(
        found.text, "health.dead_fraction", {"bias_init": 0.01}, "<", {"bias_init": 0.0}, {"activation": "relu"}
    )
    assert parse_expectation("test.accuracy > 95 %") == Bound("test.accuracy > 95 %", "test.accuracy", ">", 0.95)
    assert parse_gate("test.loss<0.3").number == 0.3
    assert parse_gate("test.accuracy drop > 0.5pp where activation=elu") == Change(
        "test.accuracy drop > 0.5pp where activation=elu", "test.accuracy", "drop", 0.005, {"activation": "elu"}
    )


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("test.acuracy > 1", "unknown metric 'test.acuracy' — did you mean 'test.accuracy'?"),
        ("test.accuracy: activaton=relu > activation=elu", "did you mean 'activation'?"),
        ("test.accuracy: activation=relu", "should have one ' < ' or ' > '"),
        ("test.accuracy > 0.5 where bias=0", "unknown key 'bias'"),
        ("test.accuracy > 0.5 where activation", "expected KEY=VALUE"),
        ("test.accuracy > 0.5 where activation=relu,activation=elu", "'activation' is given twice"),
        ("test.accuracy > 0.5 where activation=[relu", "the value of 'activation'"),
        ("test.accuracy > 0.5 where activation=relu where bias_init=0", "more than one 'where'"),
        ("test.loss > 5pp", "test.loss is in nats, not a fraction: leave out 'pp'"),
        ("test.loss > 1e999", "too large"),
        ("relu is best", "is not an expectation; write"),
        ("test.accuracy drop > 0.5pp", "is not an expectation; write"),
    ],
)
def test_what_can_not_be_read_is_told_where_it_stands_in_the_config(text, told):
    with pytest.raises(UsageError) as error:
        parse_expectation(text)
    assert told in str(error.value)
    with pytest.raises(ConfigError) as located:
        Study.from_text(f"expect:\n  - 'test.accuracy > 0.9'\n  - {text!r}\n", "x.yaml")
    assert [problem.where for problem in located.value.problems] == ["x.yaml:3:5"]
    assert told in str(located.value)


@pytest.mark.parametrize(
    ("text", "verdict_of"),
    [
        ("test.accuracy: activation=elu > activation=relu", "supported"),
        ("test.accuracy: activation=elu < activation=relu", "contradicted"),
        ("test.accuracy > 0.94", "supported"),
        ("test.accuracy > 0.97 where activation=relu", "contradicted"),
        ("test.accuracy < 0.97", "supported"),
        ("test.accuracy > 0.9505 where activation=relu", "undecided"),
        ("test.accuracy > 0.955", "contradicted"),
        ("test.accuracy: activation=tanh > activation=relu", "undecided"),
    ],
)
def test_an_expectation_is_judged_by_the_interval(text, verdict_of):
    assert verdict(cells(ACCURACY), text) == verdict_of


def test_the_interval_that_decides_is_shown():
    (ordering, bound) = judged(
        cells(ACCURACY), "test.accuracy: activation=elu > activation=relu", "test.accuracy > 0.95"
    )
    pairs = zip(ACCURACY["elu"], ACCURACY["relu"], strict=True)
    expected = mean_interval([a - b for a, b in pairs])
    assert (ordering.interval, ordering.n) == (pytest.approx((expected.low, expected.high)), 4)
    worst = mean_interval(ACCURACY["relu"])
    assert bound.interval == pytest.approx((worst.low, worst.high))
    assert bound.note == "of 2 cells relu decides"
    assert bound.to_dict()["interval"] == list(bound.interval)


def test_the_other_factors_are_averaged_over_the_combinations_that_both_sides_have():
    records = grid(smooth, seeds=range(4))
    (found,) = judged(records, "test.accuracy: activation=elu > activation=relu")
    differences = [
        sum(smooth("elu", b, s) - smooth("relu", b, s) for b in (0.0, 0.01)) / 2 for s in range(4)
    ]  # fmt: skip
    expected = mean_interval(differences)
    assert found.interval == pytest.approx((expected.low, expected.high))
    lonely = [one for one in records if not (one.spec.activation.name == "elu" and one.spec.bias_init.value == 0.01)]
    (found,) = judged(lonely, "test.accuracy: activation=elu > activation=relu")
    expected = mean_interval([smooth("elu", 0.0, s) - smooth("relu", 0.0, s) for s in range(4)])
    assert found.interval == pytest.approx((expected.low, expected.high))


def test_hiding_and_averaging_change_no_judgement():
    settings = {"demo": {"expect": ["test.accuracy: bias_init=0.01 > bias_init=0 where activation=relu"]}}
    records = Records(tuple(grid(smooth)), (), settings)
    views = [
        {},
        {"where": {"activation": "elu"}},
        {"by": ["activation"]},
        {"by": ["activation"], "where": {"bias_init": 0}},
    ]
    found = {compare(records, **view).comparisons[0].expectations for view in views}
    assert len(found) == 1


def test_a_dead_fraction_is_judged_by_sign_flips_and_told_how_many_seeds_that_takes():
    text = "health.dead_fraction: bias_init=0.01 < bias_init=0.0"
    uneven = [record(0.9, dead=0.1 + 0.02 * seed, bias_init=0.01, seed=seed) for seed in range(5)]
    uneven += [record(0.9, dead=0.3, bias_init=0.0, seed=seed) for seed in range(5)]
    (found,) = judged(uneven, text)
    assert (found.verdict, found.interval) == ("undecided", None)
    assert found.note == "sign-flip p = .062, and 6 seeds are the fewest that can decide"
    more = [*uneven, record(0.9, dead=0.29, bias_init=0.01, seed=5), record(0.9, dead=0.3, seed=5)]
    assert verdict(more, text) == "supported"


def test_an_expectation_about_another_dataset_is_left_to_its_table():
    records = [*cells(ACCURACY), *cells(ACCURACY, dataset="digits")]
    settings = {"demo": {"expect": ["test.accuracy > 0.5 where dataset=digits"]}}
    found = compare(Records(tuple(records), (), settings)).comparisons
    assert [(one.context["dataset"], len(one.expectations)) for one in found] == [("digits", 1), ("mnist-5k", 0)]


@pytest.mark.parametrize(
    ("values", "bound", "side"),
    [
        ([0.5, 0.5, 0.5], 0.5, "at"), ([0.5, 0.5, 0.5], 0.4, "above"), ([0.5, 0.5, 0.5], 0.6, "below"),
        ([0.4, 0.5, 0.6], 0.5, None), ([0.9, 0.9], 0.1, None), ([], 0.1, None),
    ],
)  # fmt: skip
@pytest.mark.parametrize("metric", ["test.accuracy", "health.dead_fraction"])
def test_evidence_is_a_side_of_the_bound_or_none(values, bound, side, metric):
    assert evidence_of(values, bound, metric, 0.05).side == side


def tripped(records, text, **options):
    (found,) = compare(records, fail_if=[text], **options).gates
    return bool(found.tripped_reason), bool(found.undecided_reason)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("test.accuracy rise > 0.5pp", (True, False)),
        ("test.accuracy rise > 0.8pp", (False, True)),
        ("test.accuracy rise > 1pp", (False, False)),
        ("test.accuracy drop > 0pp", (False, False)),
        ("test.accuracy > 0.957", (False, True)),
        ("test.accuracy > 0.955", (True, False)),
        ("test.accuracy < 0.9", (False, False)),
        ("test.accuracy < 0.97 where activation=relu", (True, False)),
        ("health.dead_fraction > 0.05", (False, False)),
        ("health.dead_fraction > 0.005", (True, False)),
    ],
)
def test_a_gate_trips_only_when_the_interval_says_so_and_warns_when_it_is_open(text, found):
    assert tripped(cells(ACCURACY), text) == found


def test_a_gate_tells_the_worst_row_and_how_many_more():
    values = {**ACCURACY, "selu": [one - 0.02 for one in ELU], "silu": [one - 0.03 for one in RELU]}
    (found,) = compare(cells(values), fail_if=["test.accuracy < 0.945"]).gates
    assert found.tripped_reason.startswith("silu: test.accuracy 88.75 [")
    assert found.tripped_reason.endswith("] (4 seeds), and 1 more")


def test_a_gate_without_a_baseline_or_values_stays_open():
    assert tripped(cells({"relu": RELU}), "test.accuracy drop > 1pp") == (False, True)
    failed = [record(None, outcome="failed", seed=seed) for seed in range(3)]
    assert tripped(failed, "test.accuracy < 0.5") == (False, True)


def test_the_expect_gate_trips_on_a_contradiction_and_warns_of_the_undecided():
    texts = ["test.accuracy > 0.97", "test.accuracy > 0.9505 where activation=relu"]
    records = Records(tuple(cells(ACCURACY)), (), {"demo": {"expect": texts}})
    (found,) = compare(records, fail_if=["expect"]).gates
    assert (found.tripped_reason, found.undecided_reason) == (f"contradicted: {texts[0]}", f"undecided: {texts[1]}")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("acc > 1", "unknown metric 'acc'"),
        ("nonsense", "--fail-if: 'nonsense' is not a gate; write 'expect'"),
        ("expect", "has no 'expect' entries"),
        ("test.accuracy > 0.5 where activation=tanh", "no row to hold to it"),
    ],
)
def test_a_gate_that_can_not_be_judged_is_a_usage_error(text, told):
    with pytest.raises(UsageError, match=told):
        compare(cells(ACCURACY), fail_if=[text])


def test_a_gate_does_not_look_inside_an_average():
    with pytest.raises(UsageError, match="averaged over: add it to --by"):
        compare(grid(smooth), by=["activation"], fail_if=["test.accuracy > 0.5 where bias_init=0"])


def test_a_value_that_is_no_number_never_decides():
    records = [record(math.nan, seed=seed) for seed in range(4)]
    assert verdict(records, "test.accuracy > 0.5") == "undecided"
