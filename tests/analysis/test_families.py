"""Which test a table uses for each row and metric: stars, ties, verdicts and captions follow from it alone."""

from io import StringIO

import numpy as np
import pytest
from factories import cells, only, record, row

from actbench.analysis.compare import compare
from actbench.analysis.statistics import holm, max_t, sign_flip_p, t_p
from actbench.schema.registry import load

RELU_DEAD = [0.2947, 0.31, 0.28, 0.33, 0.26, 0.29, 0.30, 0.27, 0.32, 0.25]
NOISE = [0.0010, -0.0020, 0.0005, 0.0015, -0.0010, 0.0008, -0.0004, 0.0020, 0.0003, -0.0007]
OTHERS = ("elu", "selu", "gelu", "leaky_relu", "silu")


def dying(seeds, *, dead=0.0, others=OTHERS):
    """ReLU loses about 29 % of its units in each seed, the others ``dead``; accuracies vary."""
    found = [record(0.9 + NOISE[s], dead=RELU_DEAD[s], seed=s, activation="relu") for s in range(seeds)]
    for index, name in enumerate(others):
        values = [0.9 + 0.02 * index + 2 * NOISE[(s + index) % 10] for s in range(seeds)]
        found += [record(value, dead=dead, seed=s, activation=name) for s, value in enumerate(values)]
    return found


def shares(records, **options):
    return only(records, metric="health.dead_fraction", **options)


def stars(table, metric="health.dead_fraction"):
    return {one.factors["activation"]: one.vs_baseline[metric].significant for one in table.rows if one.vs_baseline}


def printed(records, form, **options):
    text = StringIO()
    load("reports", form).render(compare(records, **options), text)
    return text.getvalue()


def test_a_share_that_differs_in_six_of_six_seeds_has_a_star_in_a_table_of_any_number_of_rows():
    table = shares(dying(6))
    assert stars(table) == dict.fromkeys(OTHERS, True)
    assert {one.vs_baseline["health.dead_fraction"].p_adjusted for one in table.rows if one.vs_baseline} == {2 / 2**6}
    assert row(table, activation="relu").tied is False
    assert all("beats relu by" in text and "adjusted p = .031" in text for text in table.verdicts)


def test_a_p_that_equals_alpha_shows_nothing_and_one_below_it_does():
    at, above = 2 / 2**6, 2 / 2**6 + 1e-9  # the p of six seeds of one sign
    table = shares(dying(6), alpha=at)
    assert stars(table) == dict.fromkeys(OTHERS, False)
    assert row(table, activation="relu").tied is None
    (verdict,) = table.verdicts
    assert verdict.startswith("no verdict on 5 differences in health.dead_fraction: 6 paired seeds can show none")
    assert verdict.endswith("7 seeds are the fewest that can")
    (limit,) = table.limits
    assert limit.startswith(
        "nothing can be shown in health.dead_fraction: with 6 paired seeds no p can be below 0.0312"
    )
    table = shares(dying(6), alpha=above)
    assert stars(table) == dict.fromkeys(OTHERS, True)
    assert row(table, activation="relu").tied is False
    assert table.limits == ()


@pytest.mark.parametrize("seeds", [3, 4, 5])
def test_a_share_that_so_few_seeds_can_not_show_is_neither_tied_nor_told_apart(seeds):
    table = shares(dying(seeds))
    assert stars(table) == dict.fromkeys(OTHERS, False)
    assert row(table, activation="relu").tied is None
    least = {3: ".25", 4: ".13", 5: ".063"}[seeds]
    (verdict,) = table.verdicts
    assert verdict == (
        f"no verdict on 5 differences in health.dead_fraction: {seeds} paired seeds can show none (smallest possible "
        f"adjusted p = {least}); 6 seeds are the fewest that can"
    )
    assert not any(word in verdict for word in ("not distinguishable", "four times in five"))


def test_a_row_of_few_pairs_takes_no_star_away_and_changes_no_method():
    complete = dying(10)
    cut = [one for one in complete if one.spec.activation.name != "silu" or one.spec.seed < 3]
    whole, mixed = (only(records, metric=["health.dead_fraction", "test.accuracy"]) for records in (complete, cut))
    rest = [name for name in OTHERS if name != "silu"]
    for metric in ("health.dead_fraction", "test.accuracy"):
        before, after = stars(whole, metric), stars(mixed, metric)
        assert {name: before[name] for name in rest} == {name: after[name] for name in rest}
    for name in rest:
        before, after = (row(one, activation=name).vs_baseline["health.dead_fraction"] for one in (whole, mixed))
        assert before.p_adjusted == after.p_adjusted
    assert [part.method for part in mixed.families["health.dead_fraction"].parts] == ["max-T"]
    many, few = mixed.families["test.accuracy"].parts
    assert (many.method, len(many.contrasts), few.method, len(few.contrasts)) == ("max-T", 4, "Holm", 1)


def test_each_part_of_a_mixed_table_is_adjusted_by_its_own_method_at_its_share_of_the_level():
    records = [one for one in dying(10) if one.spec.activation.name != "silu" or one.spec.seed < 4]
    table = only(records)

    def differences(name, seeds):
        values = {(one.spec.activation.name, one.spec.seed): one.final["test.accuracy"] for one in records}
        return [values[name, s] - values["relu", s] for s in range(seeds)]

    rest = [name for name in OTHERS if name != "silu"]
    by_flips = max_t(np.array([differences(name, 10) for name in rest]).T)
    for name, p in zip(rest, by_flips, strict=True):
        found = row(table, activation=name).vs_baseline["test.accuracy"]
        assert found.p_adjusted == pytest.approx(min(1, p * 5 / 4))
        assert found.difference.p == pytest.approx(sign_flip_p(differences(name, 10)))
    found = row(table, activation="silu").vs_baseline["test.accuracy"]
    assert found.difference.p == pytest.approx(t_p(differences("silu", 4)))
    assert found.p_adjusted == pytest.approx(min(1, 5 * t_p(differences("silu", 4))))
    text = "max-T for the 4 with at least 8 pairs, Holm for the other 1, each at its share of the level"
    for form in ("table", "markdown", "latex"):
        assert text in " ".join(printed(records, form).split())
    methods = only(records, methods=True).methods
    assert "for the 4 with at least 8 pairs, from two-sided sign-flip tests" in methods
    assert "at level 0.04; for the other 1 they are from two-sided paired t tests" in methods


def test_a_caption_names_the_method_of_each_metric_where_they_differ():
    table = printed(dying(6), "table", metric=["test.accuracy", "health.dead_fraction"])
    assert (
        "* p < 0.05, adjusted over all differences of a column (5) by Holm in test.accuracy and by max-T in "
        "health.dead_fraction"
    ) in " ".join(table.split())
    methods = only(dying(6), metric=["test.accuracy", "health.dead_fraction"], methods=True).methods
    assert "The p-values in test.accuracy are from two-sided paired t tests, adjusted by Holm" in methods
    assert "The p-values in health.dead_fraction are from two-sided sign-flip tests, adjusted by the step" in methods


@pytest.mark.parametrize("seeds", [6, 10])
def test_no_adjusted_p_is_smaller_than_the_p_of_the_same_test(seeds):
    for metric in ("test.accuracy", "test.loss", "health.dead_fraction"):
        for one in only(dying(seeds), metric=metric).rows:
            found = one.vs_baseline.get(metric)
            assert found is None or found.difference.p is None or found.p_adjusted >= found.difference.p


def test_the_same_difference_in_six_of_six_seeds_is_tested_by_sign_flips():
    table = shares([*cells({"relu": [0.9] * 6}, dead=0.2947), *cells({"elu": [0.9] * 6}, dead=0.0)])
    found = row(table, activation="elu").vs_baseline["health.dead_fraction"]
    assert (found.difference.p, found.p_adjusted, found.significant) == (2 / 2**6, 2 / 2**6, True)
    below = only([*cells({"relu": [0.9] * 5}), *cells({"elu": [0.8] * 5})])
    assert row(below, activation="elu").vs_baseline["test.accuracy"].p_adjusted is None


def test_a_share_that_is_open_names_seeds_that_its_test_can_show_it_with():
    half = [0.3, 0.0, 0.31, 0.0, 0.29, 0.0, 0.28]
    records = [record(dead=value, seed=s, activation="relu") for s, value in enumerate(half)]
    records += [record(dead=0.0, seed=s, activation="elu") for s in range(7)]
    (verdict,) = shares(records).verdicts
    assert "not distinguishable in health.dead_fraction (7 paired seeds); telling 16.9 points apart needs" in verdict
    assert "four times in five" not in verdict
    needed = int(verdict.removesuffix(" seeds").rpartition(" ")[2])
    # With n seeds, four of seven of which differ, six that differ are needed for p = .031.
    assert 10 <= needed <= 16
    assert holm([sign_flip_p([0.3] * 4 + [0.0] * 3)]) == [0.125]


def test_a_table_of_pairs_names_the_test_behind_its_p():
    for metric, test in (("test.accuracy", "p: paired t test;"), ("health.dead_fraction", "p: sign flips;")):
        assert test in " ".join(printed(dying(9), "table", metric=metric, all_pairs=True).split())
        for pair in only(dying(9), metric=metric, all_pairs=True).pairs.pairs:
            left, right = (one["activation"] for one in (pair.left, pair.right))
            values = {(one.spec.activation.name, one.spec.seed): one.final[metric] for one in dying(9)}
            found = [values[left, s] - values[right, s] for s in range(9)]
            single = t_p(found) if metric == "test.accuracy" else sign_flip_p(found) if any(found) else None
            assert pair.difference.p == (None if single is None else pytest.approx(single))
