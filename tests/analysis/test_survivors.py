"""Rows that lost runs: their means are those of survivors, so they lead no table and are said to be partial."""

from dataclasses import replace

import pytest
from comparisons import rendered
from factories import ELU, RELU, cells, only, record, row

from actbench.analysis.compare import compare

FIVE = [0.90, 0.91, 0.92, 0.94, 0.93]
BETTER = [one + 0.03 + 0.001 * seed for seed, one in enumerate(FIVE)]


def with_lost(values, lost, *, outcome="diverged", base=FIVE):
    """relu with all its runs, and elu with these values and so many runs without one."""
    bad = [record(None, outcome=outcome, activation="elu", seed=len(values) + i) for i in range(lost)]
    return [*cells({"relu": base, "elu": values, "gelu": [one - 0.05 for one in base]}), *bad]


@pytest.mark.parametrize("outcome", ["diverged", "failed"])
@pytest.mark.parametrize("metric", ["test.accuracy", "test.loss"])
def test_survivors_stand_behind_all_complete_rows(outcome, metric):
    found = only(with_lost(BETTER[:2], 1, outcome=outcome), metric=metric)
    assert [one.factors["activation"] for one in found.rows] == ["relu", "gelu", "elu"]
    assert found.best == {"activation": "relu"}
    assert row(found, activation="elu").tied is None
    assert row(found, activation="elu").lost[metric] == 1


@pytest.mark.parametrize("report", ["table", "markdown", "latex", "csv"])
def test_no_format_lets_survivors_lead(report):
    text = rendered(report, with_lost(BETTER[:2], 1))
    lines = [line for line in text.splitlines() if line.lstrip(" |").startswith(("relu", "gelu", "elu", "demo,"))]
    order = [next(name for name in ("relu", "gelu", "elu") if f"{name}" in line) for line in lines]
    assert order.index("elu") > max(order.index("relu"), order.index("gelu"))
    assert r"\textbf" not in next(line for line in text.splitlines() if "elu" in line and "relu" not in line)


def test_the_caption_says_where_survivors_stand():
    assert "best first, rows with runs that diverged or have no value last;" in " ".join(
        rendered("table", with_lost(BETTER[:2], 1)).split()
    )


@pytest.mark.parametrize("metric", ["seconds", "parameters"])
def test_a_row_whose_runs_diverged_leads_no_table_by_its_size_or_its_duration(metric):
    records = [
        *cells({"relu": BETTER[:4], "gelu": BETTER[:4]}),
        *(record(None, outcome="diverged", activation="elu", seed=seed) for seed in range(4)),
    ]
    slow = [
        replace(one, final={**one.final, "seconds": 9.0, "parameters": 1e9}) if one.outcome == "diverged" else one
        for one in records
    ]
    found = only(slow, metric=metric)
    assert [one.factors["activation"] for one in found.rows][-1] == "elu"
    words = " ".join(rendered("table", slow, metric=metric).split())
    assert "highest first, rows with runs that diverged or have no value last;" in words


def test_no_row_is_best_where_every_row_lost_runs():
    records = [*with_lost(BETTER, 1)]
    records += [record(None, outcome="diverged", activation=a, seed=9) for a in ("relu", "gelu")]
    found = only(records)
    assert found.best is None
    assert {one.tied for one in found.rows} == {None}
    assert "none marked as best since each row has runs that diverged or have no value" in rendered("markdown", records)
    assert "bold" not in rendered("latex", records)


def test_another_metric_has_its_best_among_the_rows_with_all_values_in_it():
    text = rendered("latex", with_lost(BETTER[:4], 1), metric=["parameters", "test.accuracy"])
    assert [line.split(" ")[4] for line in text.splitlines() if r"\textbf" in line] == ["relu"]


def test_a_pair_is_named_in_the_order_of_the_table():
    pairs = only(with_lost(BETTER[:4], 1), all_pairs=True).pairs.pairs
    assert {(one.left["activation"], one.right["activation"]) for one in pairs} == {
        ("relu", "gelu"),
        ("relu", "elu"),
        ("gelu", "elu"),
    }


def test_a_verdict_on_survivors_counts_those_that_are_missing_and_stands_behind_the_others():
    base = [0.90, 0.91, 0.92, 0.94, 0.93, 0.95]
    records = [
        *cells({"relu": base, "gelu": [one - 0.05 - 0.001 * i for i, one in enumerate(base)]}),
        *cells({"elu": [one + 0.09 + 0.001 * i for i, one in enumerate(base[:4])]}),
        *(record(None, outcome=outcome, activation="elu", seed=4 + i) for i, outcome in enumerate(("diverged", "ok"))),
    ]
    first, second = only(records).verdicts
    assert first.startswith("relu beats gelu")
    assert second.startswith("elu beats relu by 9.15 points")
    assert second.endswith("better in 4 of 4; elu: 2 of 6 runs diverged or have no value)")


def test_too_few_pairs_are_explained_by_the_runs_that_were_lost():
    records = [*cells({"relu": RELU, "elu": ELU[:1]}), record(None, outcome="diverged", activation="elu", seed=1)]
    records += [record(None, outcome="failed", activation="elu", seed=2)]
    found = compare(records)
    assert found.comparisons[0].verdicts == (
        "no verdict: fewer than 3 paired seeds (elu: 2 of 3 runs diverged or failed)",
    )
    assert (
        "fewer than 3 seeds with a value in 1 of 2 rows: no interval and no test (elu: 2 of 3 runs diverged or failed)"
        in found.warnings
    )


def test_rows_still_in_training_have_lost_nothing():
    found = only(cells({"relu": FIVE, "elu": BETTER[:4]}))
    assert [one.factors["activation"] for one in found.rows] == ["elu", "relu"]
    assert found.best == {"activation": "elu"}
