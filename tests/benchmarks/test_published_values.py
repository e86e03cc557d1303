"""The published values that are held against ours are those that the configs expect, each with its source."""

from __future__ import annotations

from dataclasses import replace

import pytest
from factories import record
from scipy import stats

from actbench.config import Study
from actbench.config.hypotheses import Bound, parse_expectation
from actbench.config.overrides import parse_settings
from actbench.config.shipped import shipped
from benchmarks.claims.published import NARROW, PUBLISHED, SNN, Published, held_against

CONFIGS = [name for name in shipped() if name.startswith("published/")]


def expected(config: str) -> set[tuple[str, str, str]]:
    """The expectations of a config about one cell, each as metric, cell and relation."""
    bounds = [one for one in map(parse_expectation, Study.from_yaml(config).expect) if isinstance(one, Bound)]
    return {(one.metric, str(one.where), one.operator) for one in bounds}


@pytest.mark.parametrize("config", CONFIGS)
def test_each_published_value_is_expected_and_no_other(config: str) -> None:
    stated = [one for one in PUBLISHED if one.study == config]

    assert stated
    assert {(one.metric, str(parse_settings([one.cell])), one.relation) for one in stated} == expected(config)


@pytest.mark.parametrize("one", PUBLISHED, ids=lambda one: f"{one.study} {one.cell} {one.metric}")
def test_a_config_expects_the_published_value_to_its_last_digit(one: Published) -> None:
    bounds = [parse_expectation(text) for text in Study.from_yaml(one.study).expect if one.cell in text]
    (found,) = [bound.number for bound in bounds if isinstance(bound, Bound) and bound.metric == one.metric]

    assert found == pytest.approx(one.value, abs=5e-5)  # the hundredth of a percent that is printed
    assert one.source


ACCURACIES = [0.90, 0.905, 0.91, 0.902, 0.899]


@pytest.mark.parametrize(
    ("value", "answer"),
    [
        (0.915, "within where one more run of ours would lie"),
        (0.88, "below where one more run of ours would lie"),
        (0.93, "above where one more run of ours would lie"),
    ],
)
def test_a_published_accuracy_is_one_more_run_of_ours_or_not(value: float, answer: str) -> None:
    runs = [record(accuracy, seed=seed) for seed, accuracy in enumerate(ACCURACIES)]

    held = held_against(Published("published/snn_mnist", "case=relu", "test.accuracy", value, SNN), runs)

    n, sd = len(ACCURACIES), stats.tstd(ACCURACIES)
    mean = sum(ACCURACIES) / n
    half = stats.t.ppf(0.975, n - 1) * sd
    assert (held.n, held.answer) == (n, answer)
    assert held.ours == pytest.approx(mean)
    assert (held.low, held.high) == pytest.approx((mean - half / n**0.5, mean + half / n**0.5))
    assert (held.next_low, held.next_high) == pytest.approx(
        (mean - half * (1 + 1 / n) ** 0.5, mean + half * (1 + 1 / n) ** 0.5)
    )


@pytest.mark.parametrize(
    ("relation", "answer"), [("=", "above the range of our runs"), (">", "more in 1 of our 3 runs")]
)
def test_dead_units_have_the_range_of_our_runs_in_place_of_an_interval(relation: str, answer: str) -> None:
    runs = [record(0.9, dead=dead, seed=seed) for seed, dead in enumerate([0.0, 0.01, 0.02])]
    value = 0.03 if relation == "=" else 0.015

    published = Published("published/dying_adam", "case=he", "health.dead_fraction", value, SNN, relation)  # type: ignore[arg-type]
    held = held_against(published, runs)

    assert (held.low, held.high, held.next_low, held.next_high) == (None, None, 0.0, 0.02)
    assert held.answer == answer


@pytest.mark.parametrize(
    ("collapsed", "answer"), [(100, "shown by ours"), (93, "left open by ours"), (60, "refuted by ours")]
)
def test_a_published_share_of_runs_is_held_against_the_exact_interval_of_ours(collapsed: int, answer: str) -> None:
    one = record(0.1, outcome="collapsed")
    runs = [replace(one, outcome="collapsed" if index < collapsed else "ok") for index in range(100)]

    held = held_against(Published("published/narrow_collapse", "case=x", "collapsed", 0.9, NARROW, ">", 1000), runs)

    interval = stats.binomtest(collapsed, 100).proportion_ci(0.95, "exact")
    assert (held.low, held.high) == pytest.approx(tuple(interval))
    assert (held.ours, held.next_low, held.answer) == (collapsed / 100, None, answer)


def test_runs_without_a_value_are_left_out_and_too_few_are_refused() -> None:
    published = Published("published/snn_mnist", "case=relu", "test.accuracy", 0.9, SNN)
    runs = [record(accuracy, seed=seed) for seed, accuracy in enumerate([0.90, 0.91, 0.92])]
    lost = record(None, outcome="diverged", seed=3)

    assert held_against(published, [*runs, lost]).n == 3
    with pytest.raises(ValueError, match="2 runs have a test"):
        held_against(published, [*runs[:2], lost])
