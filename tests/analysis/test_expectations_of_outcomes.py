"""``expect`` entries about how runs end: two cells paired by seed, and bounds on the share of runs."""

from dataclasses import replace
from math import comb

import pytest
import scipy.stats
from factories import record, save

from actbench.analysis.compare import compare
from actbench.analysis.judgements.limits import limits_of_plan
from actbench.analysis.reports import _sentences
from actbench.config import Study
from actbench.config.hypotheses import Bound, Ordering, parse_expectation
from actbench.schema.metrics import OUTCOME_SHARES
from actbench.schema.record import OUTCOMES
from actbench.storage.reading import Records, read_results

MORE = "diverged: activation=relu > activation=tanh"


def ended(outcome, **spec):
    return record(None if outcome in ("diverged", "failed") else 0.9, outcome=outcome, **spec)


def rows(outcome="diverged", *, seeds, **common):
    """Runs of which so many of each activation end so, those of the first seeds: ``relu=8, tanh=0``."""
    counts = {key: value for key, value in common.items() if key in ("relu", "tanh", "elu")}
    rest = {key: value for key, value in common.items() if key not in counts}
    return [
        ended(outcome if seed < count else "ok", activation=name, seed=seed, **rest)
        for name, count in counts.items()
        for seed in range(seeds)
    ]


def judged(records, *texts, **options):
    (found,) = compare(Records(tuple(records), (), {"demo": {"expect": list(texts)}}), **options).comparisons
    return found.expectations


def mcnemar(discordant, of_the_left):
    """The exact two-sided p of McNemar's test."""
    tail = sum(comb(discordant, k) for k in range(max(of_the_left, discordant - of_the_left), discordant + 1))
    return min(1.0, 2 * tail / 2**discordant)


def test_the_names_are_the_outcomes_of_records():
    assert tuple(OUTCOME_SHARES) == OUTCOMES
    for name in OUTCOMES:
        assert isinstance(parse_expectation(f"{name}: activation=relu > activation=tanh"), Ordering)
        assert parse_expectation(f"{name} > 20% where activation=relu") == Bound(
            f"{name} > 20% where activation=relu", name, ">", 0.2, {"activation": "relu"}
        )


@pytest.mark.parametrize(
    ("relu", "tanh", "verdict"), [(8, 0, "supported"), (0, 8, "contradicted"), (5, 0, "undecided"), (9, 4, "undecided"),
                                  (10, 4, "supported"), (0, 0, "undecided"), (10, 10, "undecided")],
)  # fmt: skip
def test_two_cells_are_compared_by_mcnemars_exact_test(relu, tanh, verdict):
    (found,) = judged(rows(seeds=10, relu=relu, tanh=tanh), MORE)
    assert found.verdict == verdict
    assert found.p == pytest.approx(mcnemar(abs(relu - tanh), max(relu - tanh, 0)))
    assert found.counts == ((relu, 10), (tanh, 10))
    assert (found.interval, found.estimate) == (None, pytest.approx((relu - tanh) / 10))
    assert f"{relu} of 10 runs against {tanh} of 10" in found.note


@pytest.mark.parametrize("seeds", [2, 3, 5])
@pytest.mark.parametrize("relu", [0, 1])
def test_cells_that_end_alike_or_with_few_seeds_decide_nothing(seeds, relu):
    (found,) = judged(rows(seeds=seeds, relu=relu * seeds, tanh=0), MORE)
    assert (found.verdict, found.is_judged) == ("undecided", False)
    assert ("6 are the fewest that can" in found.note) is (seeds >= 3)


def test_seeds_are_the_unit_where_a_cell_averages_over_combinations():
    records = [*rows(seeds=8, relu=8, tanh=0, bias_init=0.0), *rows(seeds=8, relu=0, tanh=1, bias_init=0.01)]
    (found,) = judged(records, MORE)
    differences = [(1 - 0) / 2 + (0 - 1) / 2, *[0.5] * 7]
    assert found.estimate == pytest.approx(sum(differences) / 8)
    assert found.p == pytest.approx(2 * 2.0**-7)  # seven seeds that differ, all to one side
    assert found.averaged == ("bias_init",)
    assert found.counts == ((8, 16), (1, 16))


@pytest.mark.parametrize(
    ("text", "count", "verdict"),
    [
        ("> 50%", 10, "supported"), ("> 50%", 9, "supported"), ("> 50%", 8, "undecided"), ("> 50%", 0, "contradicted"),
        ("< 50%", 1, "supported"), ("> 0", 1, "supported"), ("> 0", 0, "undecided"), ("< 100%", 9, "supported"),
        (">= 50%", 9, "supported"), ("<= 50%", 9, "contradicted"), ("= 0 ± 31%", 0, "supported"),
        ("= 0 ± 30%", 0, "undecided"), ("= 0 ± 30%", 9, "contradicted"), ("= 50% ± 20pp", 5, "undecided"),
    ],
)  # fmt: skip
def test_a_bound_is_judged_by_the_binomial_distribution_and_its_exact_interval(text, count, verdict):
    (found,) = judged(rows("collapsed", seeds=10, relu=count), f"collapsed {text}")
    assert found.verdict == verdict
    expected = scipy.stats.binomtest(count, 10).proportion_ci(0.95, method="exact")
    assert found.interval == pytest.approx((expected.low, expected.high), abs=1e-12)
    assert (found.counts, found.n, found.estimate) == (((count, 10),), 10, count / 10)


def test_of_several_cells_the_one_that_keeps_a_bound_least_decides():
    records = rows(seeds=10, relu=10, tanh=9, elu=4)
    (found,) = judged(records, "diverged > 50%")
    assert (found.verdict, found.counts) == ("undecided", ((4, 10),))
    assert "4 of 10 runs, of 3 cells elu decides" in found.note
    # Cells of which each has one run a seed: the combinations of a factor are not pooled.
    twice = [*rows(seeds=5, relu=5, bias_init=0.0), *rows(seeds=5, relu=5, bias_init=0.01)]
    (found,) = judged(twice, "diverged > 50%")
    assert (found.n, found.verdict) == (5, "undecided")


def test_entries_of_both_kinds_are_one_family():
    texts = [MORE, "diverged > 40% where activation=relu", "test.accuracy > 10%"]
    found = judged(rows(seeds=10, relu=9, tanh=0), *texts)
    ps = [one.p if one.p is not None else 1.0 for one in found]
    assert found[0].p_adjusted == pytest.approx(3 * min(ps))
    assert found[1].p_adjusted == pytest.approx(max(3 * min(ps), 2 * sorted(ps)[1]))


@pytest.mark.parametrize(("seeds", "others", "fewest"), [(10, 0, 36), (10, 2, 46), (35, 0, 36)])
def test_a_bound_that_no_outcome_of_so_many_runs_could_support_names_the_fewest(seeds, others, fewest):
    records = rows("collapsed", seeds=seeds, relu=seeds)
    (found, *_) = judged(records, "collapsed > 90%", *["failed > 10% where activation=elu"] * others)
    assert found.verdict == "undecided"
    assert f"{seeds} seeds can't support it: smallest possible" in found.note
    assert f"{fewest} are the fewest that can" in found.note
    assert 2 * 0.9**fewest * (others + 1) < 0.05 <= 2 * 0.9 ** (fewest - 1) * (others + 1)


def test_enough_runs_support_it():
    (found,) = judged(rows("collapsed", seeds=36, relu=36), "collapsed > 90%")
    assert (found.verdict, found.note) == ("supported", "p = .045, 36 of 36 runs")
    text = "✓ supported: collapsed > 90% ([90.26, 100.00], 36 seeds, p = .045, 36 of 36 runs)"
    assert _sentences.expectation(found) == text


def test_at_every_look_a_bound_takes_more_runs():
    (fixed,), (anytime,) = (judged(rows(seeds=8, relu=8), "diverged > 60%", anytime=one) for one in (False, True))
    assert fixed.verdict == "supported"
    assert (anytime.verdict, anytime.interval[0] < fixed.interval[0]) == ("undecided", True)


CONFIG = f"study: demo\nseeds: 10\nsweep: {{activation: [relu, tanh]}}\nexpect: ['{MORE}']\n"


def stored(root, *, without):
    """A study of which the runs of some specs have not ended."""
    specs = Study.from_text(CONFIG).specs()
    runs = [
        replace(ended("diverged" if one.activation.name == "relu" else "ok"), spec=one)
        for one in specs
        if not without(one)
    ]
    return save(root, runs, text=CONFIG)


@pytest.mark.parametrize("begun", ["relu", "tanh", None])
def test_runs_that_have_not_ended_leave_it_undecided(tmp_path, begun):
    root = stored(tmp_path, without=lambda one: (one.activation.name, one.seed) == (begun, 9))
    (found,) = compare(read_results(root)).comparisons[0].expectations
    assert (found.verdict, found.is_judged) == (("supported", True) if begun is None else ("undecided", False))
    assert ("1 planned run has not ended" in found.note) is (begun is not None)


def test_where_the_plan_can_not_be_read_the_sentence_says_so(tmp_path):
    root = stored(tmp_path, without=lambda _: False)
    config = root / "demo" / "study.yaml"
    config.write_text(config.read_text() + "sweeep: {}\n")
    (found,) = compare(read_results(root)).comparisons[0].expectations
    assert "whether all planned runs have ended is not known" in found.note


def test_a_plan_names_the_bounds_that_its_seeds_can_not_support():
    texts = ["collapsed > 90%", "diverged < 50%", "diverged: activation=relu > activation=tanh"]
    assert limits_of_plan((), texts, 10, alpha=0.05, contexts=[[{"dataset": "digits"}]]) == (
        "expect: 10 seeds can't support 'collapsed > 90%', however their runs end (smallest possible adjusted p = 1); "
        "46 seeds are the fewest that can",
    )
