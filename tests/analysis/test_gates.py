"""``compare --fail-if``: the grammar, what trips, and that a missing value is never a pass."""

import pytest
from factories import ELU, RELU, cells, grid, record, smooth
from hypothesis import given, settings
from hypothesis import strategies as st

from actbench.analysis.compare import compare
from actbench.config.hypotheses import Change, OutcomeCount, parse_gate
from actbench.errors import UsageError
from actbench.storage.reading import Records

ACCURACY = {"relu": [0.950, 0.951, 0.949, 0.952], "elu": [0.958, 0.960, 0.957, 0.961]}


def lost(count, *, of=5, activation="elu", outcome="diverged", accuracy=0.95):
    """Runs of one activation, of which the first so many have no value."""
    gone = [record(None, activation=activation, seed=seed, outcome=outcome) for seed in range(count)]
    return gone + [record(accuracy + seed / 1e4, activation=activation, seed=seed) for seed in range(count, of)]


def tripped(records, text, **options):
    (found,) = compare(records, fail_if=[text], **options).gates
    return bool(found.tripped_reason), bool(found.undecided_reason)


def reason(records, text, **options):
    (found,) = compare(records, fail_if=[text], **options).gates
    return found.tripped_reason


def test_gates_are_read_as_documented():
    assert parse_gate("test.loss<0.3").number == 0.3
    assert parse_gate("test.accuracy < 95%").number == parse_gate("test.accuracy < 0.95").number == 0.95
    text = "test.accuracy drop >= 0.5pp where activation=elu"
    assert parse_gate(text) == Change(text, "test.accuracy", "drop", 0.005, {"activation": "elu"}, ">=")
    assert parse_gate("diverged > 0") == OutcomeCount("diverged > 0", "diverged", ">", 0, is_share=False)
    assert parse_gate("ok < 90 %") == OutcomeCount("ok < 90 %", "ok", "<", 0.9, is_share=True)
    assert parse_gate("test.accuracy drop > 0").number == 0


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("acc > 1", "unknown metric or outcome 'acc'"),
        ("nonsense", "--fail-if 'nonsense': not a gate; write 'expect'"),
        ("expect", "has no 'expect' entries"),
        ("test.accuracy > 0.5 where activation=tanh", "no row to hold to it"),
        ("test.accuracy drop > 0.5", "test.accuracy is a fraction, so a difference in it needs its unit, pp for "
         "percentage points: write 0.5pp (or 50pp), not 0.5"),
        ("test.accuracy drop > 5", "write 5pp, not 5"),
        ("test.accuracy drop > 100pp", "less than 100pp apart"),
        ("health.dead_fraction rise > 0.1", "write 0.1pp (or 10pp)"),
        ("test.accuracy < 50", "write 50%, or 0.5"),
        ("test.accuracy < 0.8pp", "pp, percentage points, is the unit of a difference: for a value of test.accuracy"),
        ("test.accuracy < 1", "write 100% or 1%"),
        ("health.dead_fraction > 1", "write 100% or 1%"),
        ("health.dead_fraction > 100%", "never holds"),
        ("test.accuracy < -1%", "lies between 0% and 100%, not at -1%"),
        ("test.accuracy <= 100%", "always holds"),
        ("test.loss < 0", "never holds"),
        ("test.accuracy = 95%", "not a gate"),
        ("seconds rise > 5%", "seconds is in seconds, not a fraction: leave out '%'"),
        ("diverged > 0.5", "runs are counted in whole numbers; for a share write 50%"),
        ("diverged > -1", "neither a number of runs nor a share"),
        ("diverged > 120%", "neither a number of runs nor a share"),
        ("diverged < 0", "never holds"),
        ("ok > 100%", "never holds"),
        ("diverged >= 0", "always holds"),
        ("diverged > 1pp", "write a number of runs such as diverged > 0, or a share such as 10%"),
        ("diverged rise > 0", "write 'diverged > 0'"),
        ("interrupted > 0", "unknown metric or outcome 'interrupted'"),
    ],
)  # fmt: skip
def test_a_gate_that_can_not_be_judged_is_a_usage_error(text, told):
    with pytest.raises(UsageError) as error:
        compare(cells(ACCURACY), fail_if=[text])
    assert told in str(error.value)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("test.accuracy rise > 0.5pp", (True, False)),
        ("test.accuracy rise > 0.8pp", (False, True)),
        ("test.accuracy rise > 1pp", (False, False)),
        ("test.accuracy drop > 0pp", (False, False)),
        ("test.accuracy > 0.957", (False, True)),
        ("test.accuracy > 95.5%", (True, False)),
        ("test.accuracy < 0.9", (False, False)),
        ("test.accuracy < 0.97 where activation=relu", (True, False)),
        ("health.dead_fraction > 0.05", (False, False)),
        ("health.dead_fraction > 0.5%", (True, False)),
        ("health.dead_fraction >= 1%", (True, False)),
        ("health.dead_fraction > 1%", (False, False)),
    ],
)
def test_a_gate_trips_only_when_the_interval_says_so_and_warns_when_it_is_open(text, found):
    assert tripped(cells(ACCURACY), text) == found


@pytest.mark.parametrize(
    ("text", "found"), [("diverged > 1", "elu: 2 of 5 runs diverged"), ("ok < 80%", "elu: 3 of 5 runs are ok")]
)
def test_a_gate_on_outcomes_tells_how_many_runs_had_it(text, found):
    assert reason([*lost(0, activation="relu"), *lost(2)], text).startswith(found)


def test_a_gate_tells_the_worst_row_and_how_many_more():
    values = {**ACCURACY, "selu": [one - 0.02 for one in ELU], "silu": [one - 0.03 for one in RELU]}
    found = reason(cells(values), "test.accuracy < 0.945")
    assert found.startswith("silu: test.accuracy 88.75 [")
    assert found.endswith("] (4 seeds), and 1 more")


@pytest.mark.parametrize("outcome", ["diverged", "failed"])
@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize(
    "text", ["test.accuracy drop > 0.5pp", "test.accuracy rise > 0.5pp", "test.accuracy < 50%", "test.accuracy > 99%"]
)
def test_a_row_that_lost_runs_trips_where_the_baseline_lost_none(outcome, count, text):
    records = [*lost(0, activation="relu"), *lost(count, outcome=outcome)]
    found = reason(records, text)
    assert found.startswith(f"elu: {count} of 5 runs {outcome}")


def test_a_row_that_lost_every_run_with_the_whole_baseline_is_judged_by_nothing_and_trips():
    records = [*lost(5, activation="relu"), *lost(5)]
    assert reason(records, "test.accuracy drop > 0.5pp").startswith(
        "no row can be judged: elu: of the baseline's, 5 of"
    )
    assert reason(records, "test.accuracy < 50%").startswith("relu: 5 of 5 runs diverged, and 1 more")


def test_seeds_that_both_sides_lost_leave_a_gate_open():
    records = [*lost(2, of=8, activation="relu"), *lost(2, of=8)]
    (found,) = compare(records, fail_if=["test.accuracy drop > 0.5pp"]).gates
    assert found.tripped_reason == ""
    assert found.undecided_reason.startswith("not decided: elu: of the baseline's, 2 of 8 runs diverged; the others: ")


def test_a_seed_that_was_never_trained_is_no_lost_run():
    records = [*lost(0, of=8, activation="relu"), *lost(0, of=5)]
    assert tripped(records, "test.accuracy drop > 0.5pp") == (False, False)


def test_a_collapsed_run_trips_a_gate_on_accuracy_where_the_baselines_did_not_collapse():
    fine, fallen = lost(0, activation="relu"), [record(0.95, outcome="collapsed", activation="elu", seed=0)]
    records = [*fine, *fallen, *lost(0)[1:]]
    told = "elu: 1 of 5 runs collapsed where the baseline's did not; test.accuracy"
    assert reason(records, "test.accuracy drop > 0.5pp").startswith(told)
    assert reason(records, "test.accuracy < 50%").startswith(told)
    assert tripped(records, "parameters > 1e9") == (False, False)
    alike = [record(0.95, outcome="collapsed", activation="relu", seed=0), *fine[1:], *fallen, *lost(0)[1:]]
    assert tripped(alike, "test.accuracy drop > 0.5pp") == (False, False)


def test_a_row_without_a_baseline_of_its_own_is_not_passed_over():
    records = grid(smooth, seeds=range(4))
    records = [one for one in records if not (one.spec.activation.name == "relu" and one.spec.bias_init.value == 0.01)]
    (found,) = compare(records, baseline={"activation": "relu"}, fail_if=["test.accuracy drop > 5pp"]).gates
    assert "elu (bias_init=0.01): no baseline run with the same other settings" in found.undecided_reason


def test_a_row_of_the_base_that_the_new_results_lack_is_not_passed_over():
    base, new = cells({**ACCURACY, "selu": ACCURACY["elu"]}), cells(ACCURACY)
    (found,) = compare(new, against=base, fail_if=["test.accuracy drop > 0.5pp"]).gates
    assert "selu (results=base): has no runs among the new results" in found.undecided_reason
    for hidden in (
        {"where": {"activation": "relu"}},
        {"fail_if": ["test.accuracy drop > 0.5pp where activation=relu"]},
    ):
        options = {"fail_if": ["test.accuracy drop > 0.5pp"], **hidden}
        assert compare(new, against=base, **options).gates[0].undecided_reason == ""


@pytest.mark.parametrize(
    ("records", "text"),
    [
        (cells({"relu": RELU}), "test.accuracy drop > 1pp"),
        ([record(None, outcome="failed", seed=seed) for seed in range(3)], "test.accuracy < 0.5"),
        (cells({"relu": [0.9, 0.91], "elu": [0.9, 0.91]}), "test.accuracy drop > 1pp"),
        (cells({"relu": [0.9]}), "test.accuracy < 50%"),
        (cells({"relu": RELU}), "val.accuracy < 50%"),
        ([record(0.9, dead=0.3 + seed / 100, seed=seed) for seed in range(5)], "health.dead_fraction > 5%"),
    ],
    ids=["no baseline", "all failed", "two seeds", "one seed", "no such value", "five seeds of a share"],
)
def test_a_gate_without_any_row_that_can_be_judged_trips(records, text):
    assert tripped(records, text)[0]


@pytest.mark.parametrize(
    ("text", "trips"),
    [
        ("diverged > 0", True), ("diverged > 2", False), ("diverged >= 2", True), ("diverged > 39%", True),
        ("diverged > 40%", False), ("failed > 0", False), ("collapsed > 0", False), ("ok < 5", True),
        ("ok < 100%", True), ("ok < 100% where activation=relu", False), ("diverged > 0 where activation=relu", False),
    ],
)  # fmt: skip
def test_outcomes_are_gates_of_their_own(text, trips):
    records = [*lost(0, activation="relu"), *lost(2)]
    assert tripped(records, text) == (trips, False)


@given(
    st.lists(st.sampled_from(["ok", "collapsed", "diverged", "failed"]), min_size=1, max_size=6),
    st.lists(st.sampled_from(["ok", "diverged"]), min_size=1, max_size=6),
)
@settings(max_examples=100, deadline=None)
def test_no_gate_passes_where_a_value_is_missing(row, base):
    records = [
        record(
            None if outcome in ("diverged", "failed") else 0.9 + seed / 1000, outcome=outcome, seed=seed, activation=a
        )
        for a, outcomes in (("elu", row), ("relu", base))
        for seed, outcome in enumerate(outcomes)
    ]
    missing = [s for s, outcome in enumerate(row) if outcome in ("diverged", "failed")]
    alone = [s for s in missing if s < len(base) and base[s] == "ok"]
    for text in ("test.accuracy drop > 5pp", "test.accuracy rise > 5pp"):
        trips, is_open = tripped(records, text)
        assert trips or not alone
        assert trips or is_open or not (missing and "diverged" in base)
    for text in ("test.accuracy < 1%", "test.accuracy > 99%"):
        assert tripped(records, f"{text} where activation=elu")[0] or not missing
    for outcome in ("collapsed", "diverged", "failed"):
        assert tripped(records, f"{outcome} > 0 where activation=elu")[0] == (outcome in row)


def expecting(records, *texts):
    return Records(tuple(records), (), {"demo": {"expect": list(texts)}})


def test_the_expect_gate_trips_on_a_contradiction_and_warns_of_the_undecided():
    texts = ["test.accuracy > 0.97", "test.accuracy > 0.9505 where activation=relu"]
    (found,) = compare(expecting(cells(ACCURACY), *texts), fail_if=["expect"]).gates
    assert (found.tripped_reason, found.undecided_reason) == (f"contradicted: {texts[0]}", f"undecided: {texts[1]}")


def test_the_expect_gate_trips_where_the_side_that_should_be_better_lost_runs():
    records = [*lost(0, of=8, activation="relu"), *lost(2, of=8, accuracy=0.97)]
    better = "test.accuracy: activation=elu > activation=relu"
    (found,) = compare(expecting(records, better), fail_if=["expect"]).gates
    assert "without the runs that would speak against it" in found.tripped_reason
    assert "2 of 16 runs left out: diverged" in found.tripped_reason
    worse = "test.accuracy: activation=relu < activation=elu where bias_init=0"
    assert reason(expecting([*lost(0, of=8), *lost(2, of=8, activation="relu", accuracy=0.8)], worse), "expect") == ""


def test_the_expect_gate_trips_where_nothing_can_be_judged():
    records = cells({"relu": [0.9, 0.91], "elu": [0.92, 0.93]})
    told = reason(expecting(records, "test.accuracy: activation=elu > activation=relu"), "expect")
    assert told == "nothing can be judged: test.accuracy: activation=elu > activation=relu"


@pytest.mark.parametrize(
    ("seeds", "counted"), [(1, "(1 seed, fewer than 3 seeds)"), (2, "(2 seeds, fewer than 3 seeds)")]
)
def test_a_seed_is_counted_in_the_singular(seeds, counted):
    assert counted in reason(cells({"relu": [0.9] * seeds}), "test.accuracy < 50%")
    assert "(3 seeds)" in reason(cells({"relu": [0.9, 0.91, 0.92]}), "test.accuracy < 99%")


def test_a_gate_does_not_look_inside_an_average():
    with pytest.raises(UsageError, match="averaged over: add it to --by"):
        compare(grid(smooth), by=["activation"], fail_if=["test.accuracy > 0.5 where bias_init=0"])


@pytest.mark.parametrize(("text", "trips"), [("> 20pp", False), (">= 20pp", True), ("> 19.99pp", True)])
def test_a_constant_difference_that_equals_the_bound_but_for_rounding_lies_at_it(text, trips):
    records = cells({"relu": [0.9, 0.91, 0.92], "elu": [0.7, 0.71, 0.72]})
    assert 0.9 - 0.7 > 0.2  # in floating point
    assert tripped(records, f"test.accuracy drop {text}")[0] is trips
