"""``expect``: the grammar, what runs decide, and how several hypotheses and the table go together."""

import math
from dataclasses import replace
from io import StringIO
from itertools import product

import pytest
import scipy.stats
from factories import cells, grid, record, row, smooth
from hypothesis import given, settings
from hypothesis import strategies as st

from actbench.analysis.compare import compare
from actbench.analysis.judgements.evidence import evidence_of
from actbench.analysis.judgements.formatting import CAUTIONS, p_value
from actbench.analysis.statistics import mean_interval
from actbench.analysis.table.rules import Rules
from actbench.config import Study
from actbench.config.hypotheses import Bound, Ordering, parse_expectation
from actbench.errors import ConfigError, UsageError
from actbench.schema.registry import load
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
    for text, operator in (("<=", "<="), ("≤", "<="), (">=", ">="), ("≥", ">="), ("==", "=")):
        found = parse_expectation(f"test.accuracy: activation = where(x > 0, x, 0) {text} activation=elu")
        assert (found.left, found.operator) == ({"activation": "where(x > 0, x, 0)"}, operator)
    same = "test.accuracy: activation=elu = activation=relu ± 0.2pp"
    assert parse_expectation(same).tolerance == pytest.approx(0.002)
    dead = "health.dead_fraction: activation=relu > 0.05 where bias_init=0"
    assert parse_expectation(dead) == Bound(
        dead, "health.dead_fraction", ">", 0.05, {"bias_init": 0, "activation": "relu"}
    )


@pytest.mark.parametrize(
    "text", ["= 0.886 ± 0.015", "= 88.6% ± 1.5pp", "= 88.6 % +- 1.5 %", "= 0.886 +/- 1.5pp", "== 88.6%±1.5%"]
)
def test_a_number_with_its_tolerance_is_read_in_each_spelling(text):
    found = parse_expectation(f"test.accuracy {text}")
    assert (found.operator, found.number, found.tolerance) == ("=", pytest.approx(0.886), pytest.approx(0.015))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("test.acuracy > 1", "unknown metric or outcome 'test.acuracy' — did you mean 'test.accuracy'?"),
        ("test.accuracy: activaton=relu > activation=elu", "did you mean 'activation'?"),
        ("test.accuracy: activation=relu", "should have one operator such as ' < ' between its two sides"),
        ("test.accuracy: activation=relu < activation=elu > activation=selu", "should have one operator"),
        ("test.accuracy: activation=relu ~ activation=elu", "should have one operator"),
        ("test.accuracy > 95", "test.accuracy is a fraction, from 0 to 1: write 95%, or 0.95"),
        ("test.accuracy < 1", "a bare 1 may be all or a percent: write 100% or 1%"),
        ("test.accuracy > 195%", "lies between 0% and 100%, not at 195%"),
        ("test.accuracy > 100%", "never holds: test.accuracy is never above that"),
        ("health.dead_fraction >= 0", "always holds"),
        ("test.loss > -1", "test.loss is never below 0"),
        ("test.loss = 0.3", "write how near, as in '± 0.01'"),
        ("test.loss: activation=relu = activation=elu", "write how near"),
        ("test.accuracy = 88.6% ± 1.5", "needs its unit, pp for percentage points: write 1.5pp"),
        ("test.accuracy = 0.886 ± 0", "leaves no room"),
        ("test.accuracy > 88.6% ± 1pp", "± goes with '=' alone"),
        ("test.accuracy: activation=relu < activation=elu ± 1pp", "± goes with '=' alone"),
        ("test.accuracy: activation=relu > 95% where activation=elu", "'activation' is given twice"),
        ("test.accuracy > 95% where health.dead_fraction > 10%", "takes settings (KEY=VALUE), not results such as"),
        ("test.accuracy: activation=relu < activation=relu", "compares a cell with itself"),
        ("test.accuracy > ٣%", "is not an expectation"),
        ("unfinished > 0", "runs that have not ended show nothing yet: --fail-if counts them ('unfinished > 0')"),
        ("diverged > 3", "is about the share of runs that end so, with other seeds, too: write a percentage"),
        ("diverged > 0.3", "write a percentage such as 'diverged > 10%'"),
        ("diverged > 30pp", "pp, percentage points, is the unit of a difference"),
        ("diverged < 0%", "never holds: the share of diverged runs is never below that"),
        ("collapsed <= 100%", "always holds: the share of collapsed runs is never beyond that"),
        (
            "diverged <= 0",
            "no number of runs can show that the share is exactly 0%: write how near, as in 'diverged < 10%'",
        ),
        ("ok >= 100%", "no number of runs can show that the share is exactly 100%: write how near, as in 'ok > 90%'"),
        ("diverged = 0", "write how near, as in 'diverged = 0% ± 10pp'"),
        ("diverged: activation=relu = activation=elu ± 5pp", "write '<' or '>', or a bound for each cell"),
        ("diverged: activation=relu <= activation=elu", "seeds that end alike don't show that two cells always do"),
        ("diverged > 10% when tuned", "tuned runs show no outcome"),
        ("test.accuracy > 90% where diverged > 0", "takes settings (KEY=VALUE), not results such as diverged"),
        ("test.accuracy > 90% when tuned when tuned", "behind 'when' stands 'tuned' alone, once, not 'tuned'"),
        ("test.accuracy: activation=relu > activation=elu when tunned", "stands 'tuned' alone, once, not 'tunned'"),
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
        Study.from_text(f"expect:\n  - 'test.accuracy > 0.9'\n  - {text!r}\n", source="x.yaml")
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
    p = scipy.stats.ttest_1samp(ACCURACY["relu"], 0.95).pvalue
    assert (bound.p, bound.p_adjusted) == (pytest.approx(p), pytest.approx(p))
    assert bound.note == f"adjusted p {p_value(p)} over 2 expectations, of 2 cells relu decides"
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
    assert found.note == "p = .063, 5 seeds can't decide: smallest possible p = .063, 6 are the fewest that can"
    more = [*uneven, record(0.9, dead=0.29, bias_init=0.01, seed=5), record(0.9, dead=0.3, seed=5)]
    assert verdict(more, text) == "supported"


def test_an_expectation_about_another_dataset_is_left_to_its_table():
    records = [*cells(ACCURACY), *cells(ACCURACY, dataset="digits")]
    settings = {"demo": {"expect": ["test.accuracy > 0.5 where dataset=digits"]}}
    found = compare(Records(tuple(records), (), settings)).comparisons
    assert [(one.context["dataset"], len(one.expectations)) for one in found] == [("digits", 1), ("mnist-5k", 0)]


def test_an_entry_counts_once_for_each_table_in_which_it_is_judged_whatever_is_shown():
    other = {name: [value - 0.1 for value in values] for name, values in ACCURACY.items()}
    records = [*cells(ACCURACY), *cells(other, dataset="digits")]
    texts = ["test.accuracy > 0.94", "test.accuracy > 0.5 where dataset=digits"]
    settings = {"demo": {"expect": texts}}
    for view in ({}, {"where": {"dataset": "mnist-5k"}}):
        found = {
            one.context["dataset"]: one for one in compare(Records(tuple(records), (), settings), **view).comparisons
        }
        (first, *_) = found["mnist-5k"].expectations
        assert first.p_adjusted == pytest.approx(3 * first.p)  # in two tables, and the other in one
        assert f"adjusted p {p_value(3 * first.p)} over 3 expectations in 2 tables" in first.note
    (only,) = judged(cells(ACCURACY), texts[0])
    assert only.p_adjusted == only.p == first.p


def test_entries_that_each_name_their_table_are_counted_once():
    records = [*cells(ACCURACY), *cells(ACCURACY, dataset="digits")]
    texts = [f"test.accuracy > 0.94 where dataset={name}" for name in ("digits", "mnist-5k")]
    found = compare(Records(tuple(records), (), {"demo": {"expect": texts}})).comparisons
    assert [one.expectations[0].note.partition(", ")[0][-19:] for one in found] == ["over 2 expectations"] * 2


@pytest.mark.parametrize(
    ("values", "bound", "side"),
    [
        ([0.5, 0.5, 0.5], 0.5, "at"), ([0.5, 0.5, 0.5], 0.4, "above"), ([0.5, 0.5, 0.5], 0.6, "below"),
        ([0.4, 0.5, 0.6], 0.5, None), ([0.9, 0.9], 0.1, None), ([], 0.1, None),
    ],
)  # fmt: skip
@pytest.mark.parametrize("metric", ["test.accuracy", "health.dead_fraction"])
def test_evidence_is_a_side_of_the_bound_or_none(values, bound, side, metric):
    assert evidence_of(values, bound, metric, Rules()).side == side


def test_a_value_that_is_no_number_never_decides():
    records = [record(math.nan, seed=seed) for seed in range(4)]
    assert verdict(records, "test.accuracy > 0.5") == "undecided"


def oracle_p(metric, values):
    """The two-sided p of mean 0: Student's t from scipy, sign flips by counting every pattern."""
    varies = max(values) - min(values) > 1e-12
    if metric == "test.accuracy" and varies:
        return float(scipy.stats.ttest_1samp(values, 0).pvalue)
    sums = [abs(sum(sign * one for sign, one in zip(signs, values, strict=True))) for signs in product(
        (-1, 1), repeat=len(values))]  # fmt: skip
    return sum(one >= abs(sum(values)) - 1e-12 for one in sums) / len(sums)


def oracle_holm(ps):
    ranked, largest = sorted(range(len(ps)), key=lambda index: ps[index]), 0.0
    found = [0.0] * len(ps)
    for rank, index in enumerate(ranked):
        largest = max(largest, min(1.0, (len(ps) - rank) * ps[index]))
        found[index] = largest
    return found


NAMES = ("elu", "gelu", "selu")


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_no_hypothesis_is_at_odds_with_the_table_beside_it(data):
    seeds = data.draw(st.integers(3, 9))
    shift = {name: data.draw(st.sampled_from([-0.02, -0.004, 0.0, 0.002, 0.005, 0.03])) for name in NAMES}
    noise = st.integers(-20, 20).map(lambda one: one / 4000)
    records = [
        record(0.9 + shift.get(name, 0.0) + data.draw(noise), dead=0.3 - 5 * shift.get(name, 0.0) + data.draw(noise),
               activation=name, seed=seed)
        for name in ("relu", *NAMES) for seed in range(seeds)
    ]  # fmt: skip
    claims = data.draw(st.lists(
        st.tuples(st.sampled_from(["test.accuracy", "health.dead_fraction"]), st.sampled_from(NAMES),
                  st.sampled_from("<>"), st.booleans()),
        min_size=1, max_size=6,
    ))  # fmt: skip
    texts = [
        f"{metric}: activation={'relu' if swapped else name} {operator} activation={name if swapped else 'relu'}"
        for metric, name, operator, swapped in claims
    ]
    own = {"expect": texts, "metric": ["test.accuracy", "health.dead_fraction"]}
    (table,) = compare(Records(tuple(records), (), {"demo": own})).comparisons
    value = {(one.spec.activation.name, one.spec.seed): one.final for one in records}
    ps = [
        oracle_p(metric, [value[name, s][metric] - value["relu", s][metric] for s in range(seeds)])
        for metric, name, _, _ in claims
    ]
    for (metric, name, operator, swapped), found, holm_p in zip(
        claims, table.expectations, oracle_holm(ps), strict=True
    ):
        contrast = row(table, activation=name).vs_baseline[metric]
        size = contrast.difference.difference
        if contrast.p_adjusted is None:  # identical in every seed, or the same difference
            assert found.verdict == "undecided"
            continue
        assert found.p_adjusted == pytest.approx(max(holm_p, contrast.p_adjusted))
        agrees = (size > 0) == ((operator == ">") != swapped)
        if found.verdict != "undecided":
            assert contrast.significant, "a finding that the table calls open"
            assert found.verdict == ("supported" if agrees else "contradicted")
        elif contrast.significant:
            assert f"adjusted p {p_value(holm_p)} over {len(texts)} expectations" in found.note
        if contrast.p_adjusted > holm_p + 1e-9:
            assert f"adjusted p {p_value(contrast.p_adjusted)} over the table's 3 differences" in found.note


def paired(left, right, **common):
    """Runs of elu and relu with these accuracies."""
    return cells({"elu": left, "relu": right}, **common)


FLAT = [0.9500, 0.9510, 0.9490, 0.9520, 0.9505]


@pytest.mark.parametrize(
    ("shift", "operator", "verdict_of"),
    [
        (0.0003, "=", "supported"), (0.003, "=", "contradicted"), (-0.003, "=", "contradicted"),
        (0.001, "=", "undecided"), (0.0, "=", "supported"), (0.0, "<=", "supported"), (0.0, "<", "undecided"),
        (0.0003, "<=", "supported"), (0.0003, "<", "contradicted"), (0.003, "<=", "contradicted"),
        (-0.003, ">=", "contradicted"), (-0.0003, ">=", "supported"), (0.003, ">=", "supported"),
        (0.003, "= ± 0.5pp", "supported"), (0.0003, "= ± 0.02pp", "contradicted"),
    ],
)  # fmt: skip
def test_nearly_equal_is_judged_by_delta(shift, operator, verdict_of):
    wobble = [0.00005, -0.00004, 0.00002, -0.00003, 0.0] if shift else [0.0] * 5
    records = paired([one + shift + w for one, w in zip(FLAT, wobble, strict=True)], FLAT)
    operator, _, tolerance = operator.partition(" ")
    text = f"test.accuracy: activation=elu {operator} activation=relu {tolerance}"
    assert verdict(records, text) == verdict_of


def test_the_same_within_delta_is_the_verdict_of_two_one_sided_tests():
    records = paired([one + 0.0004 * (-1) ** i for i, one in enumerate(FLAT)], FLAT)
    (found,) = judged(records, "test.accuracy: activation=elu = activation=relu")
    differences = [
        a.final["test.accuracy"] - b.final["test.accuracy"] for a, b in zip(records[:5], records[5:], strict=True)
    ]
    expected = max(scipy.stats.ttest_1samp(differences, bound).pvalue for bound in (-0.001, 0.001))
    assert found.p == pytest.approx(expected)
    assert "within ±0.1 points" in found.note


@pytest.mark.parametrize(
    ("text", "verdict_of"),
    [
        ("test.accuracy = 0.9505 ± 0.015 where activation=relu", "supported"),
        ("test.accuracy = 95% ± 0.1pp where activation=relu", "undecided"),
        ("test.accuracy = 97% ± 1pp where activation=relu", "contradicted"),
        ("test.accuracy: activation=relu = 95% ± 1.5pp", "supported"),
        ("test.accuracy <= 96% where activation=relu", "supported"),
        ("health.dead_fraction: activation=relu > 0.05", "contradicted"),
        ("health.dead_fraction: activation=relu <= 1%", "supported"),
        ("health.dead_fraction: activation=relu < 1%", "contradicted"),
        ("test.loss = 0.05 ± 0.01", "undecided"),
    ],
)
def test_a_number_is_expected_with_each_operator(text, verdict_of):
    assert verdict(cells(ACCURACY), text) == verdict_of


def test_a_hypothesis_says_what_it_averages_over():
    records = grid(smooth, seeds=range(4))
    (found,) = judged(records, "test.accuracy: activation=elu > activation=relu")
    assert found.averaged == ("bias_init",)
    assert found.note.endswith("averaged over bias_init")
    (fixed,) = judged(records, "test.accuracy: activation=elu > activation=relu where bias_init=0")
    assert (fixed.averaged, "averaged" in fixed.note) == ((), False)
    lonely = [one for one in records if not (one.spec.activation.name == "elu" and one.spec.bias_init.value == 0.01)]
    (found,) = judged(lonely, "test.accuracy: activation=elu > activation=relu")
    assert found.averaged == ()


@pytest.mark.parametrize(
    "sides", [("activation=elu,bias_init=0.01", "activation=relu"), ("bias_init=0", "activation=elu")]
)
def test_a_side_that_is_more_than_one_row_decides_nothing(sides):
    records = grid(smooth, seeds=range(8))
    (found,) = judged(records, f"test.accuracy: {sides[0]} > {sides[1]}")
    assert (found.verdict, found.n) == ("undecided", 0)
    assert "is more than one row: say which " in found.note
    assert verdict(records, "test.accuracy: activation=elu,bias_init=0.01 > activation=relu,bias_init=0") == "supported"


@pytest.mark.parametrize(("outcomes", "told"), [
    (["diverged", "diverged"], "2 of 12 runs left out: diverged"),
    (["diverged", "failed"], "2 of 12 runs left out: diverged or failed"),
])  # fmt: skip
def test_runs_that_are_left_out_are_counted_in_the_sentence(outcomes, told):
    values = [0.950, 0.951, 0.949, 0.952, 0.9505, 0.9512]
    gone = [record(None, outcome=outcome, activation="elu", seed=seed) for seed, outcome in enumerate(outcomes)]
    rest = [record(0.96 + seed / 1000, activation="elu", seed=seed) for seed in range(2, 6)]
    records = [*cells({"relu": values}), *gone, *rest]
    (ordering, bound) = judged(
        records, "test.accuracy: activation=elu > activation=relu", "test.accuracy > 90% where activation=elu"
    )
    assert (ordering.left_out, bound.left_out) == (told, told.replace("12", "6"))
    assert ordering.note.endswith(told)


def test_a_hypothesis_of_which_every_run_diverged_is_undecided_and_says_so():
    records = [*cells({"relu": FLAT}), *(record(None, outcome="diverged", activation="elu", seed=s) for s in range(5))]
    (found,) = judged(records, "test.accuracy: activation=elu > activation=relu")
    assert found.verdict == "undecided"
    assert found.note == "fewer than 3 seeds, 5 of 10 runs left out: diverged"


def test_seeds_that_can_not_decide_among_several_hypotheses_are_named_with_those_that_could():
    records = [
        record(0.9, dead=(0.3 + 0.01 * seed) * (name == "relu"), activation=name, seed=seed)
        for name in ("relu", "elu", "gelu") for seed in range(6)
    ]  # fmt: skip
    texts = [f"health.dead_fraction: activation={name} < activation=relu" for name in ("elu", "gelu")]
    for found in judged(records, *texts):
        assert (found.verdict, found.p, found.p_adjusted) == ("undecided", 1 / 32, 1 / 16)
        assert "6 seeds can't decide among 2 expectations: smallest possible adjusted p = .063, 7 are" in found.note
    assert verdict(records, texts[0]) == "supported"


def test_a_hypothesis_about_seconds_carries_its_caution():
    (found,) = judged(cells(ACCURACY), "seconds < 2")
    assert found.note.endswith("so they are no activation's own: see `actbench cost`")


def test_a_bound_that_any_of_several_cells_may_break_is_contradicted_by_their_smallest_p_times_their_number():
    values = {**ACCURACY, "selu": [0.9, 0.903, 0.898, 0.904]}
    (found,) = judged(cells(values), "test.accuracy > 94.9%")
    p = 3 * scipy.stats.ttest_1samp(values["selu"], 0.949).pvalue
    assert (found.verdict, found.p_adjusted) == ("contradicted", pytest.approx(p))
    assert "of 3 cells selu decides" in found.note


def test_a_p_that_equals_alpha_is_not_below_it():
    records = [record(0.9, dead=(0.3 + s / 100) * (a == "relu"), activation=a, seed=s) for a in ("relu", "elu")
               for s in range(5)]  # fmt: skip
    text = "health.dead_fraction: activation=elu < activation=relu"
    settings = {"demo": {"expect": [text]}}
    for alpha, verdict_of in ((0.0625, "undecided"), (0.0626, "supported")):
        (found,) = compare(Records(tuple(records), (), settings), alpha=alpha).comparisons[0].expectations
        assert (found.p_adjusted, found.verdict) == (0.0625, verdict_of)


def test_a_metric_that_no_table_of_the_study_tests_is_adjusted_over_the_hypotheses_alone():
    values = {**ACCURACY, "selu": [0.9, 0.903, 0.898, 0.904], "gelu": [0.95, 0.951, 0.953, 0.948]}
    own = {"expect": ["test.loss: activation=elu < activation=relu"]}
    (found,) = compare(Records(tuple(cells(values)), (), {"demo": own})).comparisons[0].expectations
    assert found.p_adjusted == found.p
    shown = compare(Records(tuple(cells(values)), (), {"demo": own}), metric="test.loss").comparisons[0]
    assert shown.expectations[0].p_adjusted == row(shown, activation="elu").vs_baseline["test.loss"].p_adjusted
    assert shown.expectations[0].p_adjusted > found.p


def test_the_family_in_which_the_adjusted_p_is_larger_is_the_one_that_is_named():
    text, weaker = "test.accuracy: activation=elu > activation=relu", "test.accuracy > 95% where activation=relu"
    alone, (found, _) = judged(cells(ACCURACY), text)[0], judged(cells(ACCURACY), text, weaker)
    assert found.p_adjusted == pytest.approx(2 * alone.p)
    assert found.note.startswith(f"adjusted p {p_value(2 * alone.p)} over 2 expectations")


def test_a_table_of_seconds_carries_the_same_caution():
    lines = StringIO()
    load("reports", "table").render(compare(cells(ACCURACY), metric="seconds"), lines)
    assert CAUTIONS["seconds"] in " ".join(lines.getvalue().split())
    plain = StringIO()
    load("reports", "table").render(compare(cells(ACCURACY)), plain)
    assert "actbench cost" not in plain.getvalue()


def test_the_verdict_is_the_same_in_every_view_but_for_a_baseline_of_the_callers_own():
    wide = {"relu": [0.95, 0.951, 0.949, 0.952], "elu": [0.9523, 0.9528, 0.9519, 0.9545]}
    wide |= {name: [0.94 + s / 1000 + i / 500 for s in range(4)] for i, name in enumerate(("gelu", "selu", "silu"))}
    text = "test.accuracy: activation=elu > activation=relu"
    records = Records(tuple(cells(wide)), (), {"demo": {"expect": [text]}})
    views = [{}, {"metric": "test.loss"}, {"where": {"activation": "gelu"}}]
    found = {compare(records, **view).comparisons[0].expectations for view in views}
    assert len(found) == 1
    (only_one,) = found.pop()
    assert only_one.p_adjusted == row(compare(records).comparisons[0], activation="elu").vs_baseline[
        "test.accuracy"].p_adjusted  # fmt: skip


@pytest.mark.parametrize(("seeds", "verdict_of"), [(5, "undecided"), (7, "undecided"), (8, "supported")])
def test_a_difference_that_is_the_same_in_every_seed_is_judged_by_sign_flips(seeds, verdict_of):
    # With seven seeds p is below alpha, but the table's t test has none and leaves the difference open.
    (found,) = judged(paired([0.93] * seeds, [0.95] * seeds), "test.accuracy: activation=elu < activation=relu")
    assert (found.verdict, found.p, found.interval) == (verdict_of, 2.0 ** (1 - seeds), None)
    assert "the same difference in every seed" in found.note


@pytest.mark.parametrize("metric", ["test.accuracy", "health.dead_fraction"])
@pytest.mark.parametrize("seeds", [2, 3, 8])
@pytest.mark.parametrize(
    ("operator", "verdict_of"),
    [("<", "undecided"), (">", "undecided"), ("<=", "supported"), (">=", "supported"), ("=", "supported")],
)
def test_sides_that_are_identical_in_every_seed_are_inside_the_borders_of_all_that_may_equal(
    metric, seeds, operator, verdict_of
):
    values = [0.9 + 0.001 * seed for seed in range(seeds)]
    (found,) = judged(cells({"relu": values, "elu": values}), f"{metric}: activation=elu {operator} activation=relu")
    assert found.verdict == ("undecided" if seeds < 3 else verdict_of)
    assert ("identical in every seed" in found.note) is (seeds >= 3)
    assert (found.interval, found.n) == (None if seeds < 3 else (0.0, 0.0), seeds)
    assert (found.p, found.p_adjusted, found.is_judged) == (None, None, seeds >= 3)


@pytest.mark.parametrize(
    ("text", "verdict_of"),
    [
        (">= 90%", "supported"), ("<= 90%", "supported"), ("> 90%", "contradicted"), ("< 90%", "contradicted"),
        (">= 89.9%", "supported"), ("<= 89.9%", "contradicted"), ("> 89.9%", "supported"), ("< 90.1%", "supported"),
        ("= 90.1% ± 0.1%", "supported"), ("= 89.9% ± 0.1%", "supported"), ("= 90.2% ± 0.1%", "contradicted"),
    ],
)  # fmt: skip
def test_a_constant_that_lies_at_the_number_keeps_the_bounds_that_may_equal_it(text, verdict_of):
    assert verdict(cells({"relu": [0.9] * 3}), f"test.accuracy {text}") == verdict_of


def test_hypotheses_are_judged_where_the_studys_baseline_has_no_run():
    own = {"baseline": {"activation": "tanh"}, "expect": ["test.accuracy: activation=elu > activation=relu"]}
    (found,) = compare(Records(tuple(cells(ACCURACY)), (), {"demo": own})).comparisons
    assert (found.baseline, [one.verdict for one in found.expectations]) == (None, ["supported"])


@pytest.mark.parametrize(
    ("metric", "operator", "speaks_against"),
    [
        ("test.accuracy", ">", "elu"), ("test.accuracy", ">=", "elu"), ("test.accuracy", "<", "relu"),
        ("test.accuracy", "<=", "relu"), ("test.loss", ">", "relu"), ("test.loss", "<", "elu"),
        ("test.accuracy", "=", "either"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("lost", ["elu", "relu", "neither"])
def test_a_hypothesis_is_of_survivors_where_the_side_that_it_calls_better_lost_runs(
    metric, operator, speaks_against, lost
):
    gone = [] if lost == "neither" else [record(None, outcome="diverged", activation=lost, seed=9)]
    (found,) = judged([*cells(ACCURACY), *gone], f"{metric}: activation=elu {operator} activation=relu")
    assert found.is_of_survivors is (lost == speaks_against or (speaks_against == "either" and lost != "neither"))


FEW = "health.dead_fraction: activation=elu < activation=relu"


def wavering(seeds, names=("relu", "elu", "selu")):
    """Runs of which elu has now more and now fewer dead units than the others."""
    return [
        record(0.9, dead=0.1 + (0.01 + 0.001 * seed) * (-1) ** seed * (name == "elu"), activation=name, seed=seed)
        for name in names
        for seed in range(seeds)
    ]


def test_seeds_that_could_have_decided_are_not_called_too_few():
    found, _ = judged(wavering(8), FEW, "parameters > 1e9")
    assert found.verdict == "undecided"
    assert "can't decide" not in found.note


def test_a_family_whose_smallest_adjusted_p_equals_alpha_can_not_decide():
    alpha = 2 * 2 / 2**7
    told = "7 seeds can't decide among 2 expectations: smallest possible adjusted p = .031, 8 are the fewest that can"
    own = {"expect": [FEW, "health.dead_fraction: activation=elu < activation=selu"]}
    for level, is_told in ((alpha, True), (alpha + 1e-9, False)):
        (table,) = compare(Records(tuple(wavering(7)), (), {"demo": own}), alpha=level).comparisons
        assert {one.verdict for one in table.expectations} == {"undecided"}
        assert [told in one.note for one in table.expectations] == [is_told] * 2


def test_a_difference_in_counts_that_is_the_same_in_every_seed_is_certain():
    records = cells({"relu": [0.90, 0.91, 0.92], "prelu": [0.90, 0.91, 0.92]})
    larger = [replace(one, final={**one.final, "parameters": 199214.0}) for one in records[3:]]
    records = [*records[:3], *larger]
    (found,) = judged(records, "parameters: activation=prelu > activation=relu")
    assert (found.verdict, found.interval, found.p) == ("supported", (4.0, 4.0), None)
