"""Sentences: what they claim, what they leave open, and the command that settles it."""

from dataclasses import replace

import numpy as np
import pytest
from factories import ELU, RELU, cells, grid, only, record, smooth

from actbench.analysis.compare import compare
from actbench.analysis.judgements.formatting import p_value
from actbench.analysis.judgements.verdicts import verdict_sentences
from actbench.analysis.statistics import paired_difference, seeds_needed
from actbench.errors import UsageError

NOISE = [0.0010, -0.0020, 0.0005, 0.0015, -0.0010, 0.0008, -0.0004, 0.0020, 0.0003, -0.0007]
BASE = [0.95 + noise for noise in NOISE]


def shifted(by, scale):
    """Values that differ from BASE by about ``by``, with a spread of ``scale``."""
    return [one + by + scale * noise for one, noise in zip(BASE, reversed(NOISE), strict=True)]


def verdict(values, base=BASE, **options):
    (found,) = only(cells({"relu": base, "elu": values}), **options).verdicts
    return found


def test_a_difference_that_was_found_is_a_sentence_to_quote():
    found = paired_difference(dict(enumerate(shifted(0.003, 1))), dict(enumerate(BASE)))
    low, high = 100 * found.low, 100 * found.high
    assert verdict(shifted(0.003, 1)) == (
        f"elu beats relu by {100 * found.difference:.2f} points [{low:.2f}, {high:.2f}] "
        f"(10 paired seeds, adjusted p = .002, better in {found.wins} of 10)"
    )


def test_the_better_side_comes_first_also_when_it_is_the_baseline():
    assert verdict(shifted(-0.003, 1)).startswith("relu beats elu by 0.28 points [0.19, 0.37] (10 paired")
    loss = only(cells({"relu": BASE, "elu": shifted(0.003, 1)}), metric="test.loss").verdicts[0]
    assert loss.startswith("elu beats relu by 0.003")
    assert " nats [0.00" in loss
    assert " in test.loss (10 paired seeds" in loss


def differing(differences):
    """The verdict on two rows with these differences, elu − relu, and their summary."""
    base = [0.5 + NOISE[seed % 10] for seed in range(len(differences))]
    text = verdict([one + by for one, by in zip(base, differences, strict=True)], base)
    return text, paired_difference(dict(enumerate(differences)), dict.fromkeys(range(len(differences)), 0.0))


@pytest.mark.parametrize(("sign", "names"), [(1, "elu beats relu"), (-1, "relu beats elu")])
def test_an_interval_that_crosses_0_keeps_its_signs_whichever_side_is_named_first(sign, names):
    # Sign flips find 10 of 10 alike; Student's interval is wide, since one of them is far out.
    text, found = differing([sign * one for one in (*[0.001] * 9, 0.4)])
    low, high = sorted(sign * 100 * end for end in (found.low, found.high))
    assert low < 0 < high
    assert text.startswith(f"{names} by 4.09 points [−{-low:.2f}, +{high:.2f}] (10 paired seeds, adjusted p = .002")
    assert "better in 10 of 10" in text


@pytest.mark.parametrize(("sign", "names"), [(1, "elu beats relu"), (-1, "relu beats elu")])
def test_the_wins_are_those_of_the_side_named_first_also_when_they_are_the_fewer(sign, names):
    text, _ = differing([sign * one for one in (*[-0.0001] * 7, 0.1, 0.11, 0.1, 0.09, 0.1, 0.11)])
    assert text.startswith(names)
    assert "better in 6 of 13" in text


def test_what_lies_within_delta_is_practically_the_same():
    text = verdict(shifted(0.0, 0.3))
    assert text.startswith("elu and relu are practically the same: the difference [")
    assert text.endswith("lies within ±0.1 points (10 paired seeds)")
    assert "are not distinguishable" in verdict(shifted(0.0, 0.3), delta=0.001)


def test_a_found_difference_within_delta_says_so():
    assert verdict(shifted(0.0005, 0.1)).endswith("better in 10 of 10), a difference within ±0.1 points")


@pytest.mark.parametrize("by", [0.04, -0.04])
def test_the_same_difference_in_each_of_few_pairs_is_stated_and_not_called_indistinguishable(by):
    base = [0.5, 0.51, 0.53, 0.5, 0.52, 0.54]
    table = only(cells({"relu": base, "elu": [one + by for one in base]}))
    assert table.verdicts == (
        "elu and relu differ by 4.00 points in each of 6 paired seeds, without the spread that a t test needs; 8 seeds "
        "are the fewest that can show it by sign flips",
    )
    (row,) = [row for row in table.rows if row.vs_baseline]
    assert row.vs_baseline["test.accuracy"].difference.p is None
    assert "practically the same" in verdict([one + 0.0004 for one in base], base)


def test_from_eight_pairs_on_sign_flips_find_the_same_difference():
    base = [0.5, 0.51, 0.53, 0.5, 0.52, 0.54, 0.51, 0.55]
    assert verdict([one + 0.04 for one in base], base).startswith(
        "elu beats relu by 4.00 points [4.00, 4.00] (8 paired"
    )


def test_identical_rows_are_called_so():
    assert verdict(BASE) == "elu and relu are identical in each of 10 paired seeds"


def test_an_open_question_comes_with_the_seeds_that_would_settle_it():
    values = shifted(0.0002, 3)
    by_seed = [a - b for a, b in zip(values, BASE, strict=True)]
    mean = sum(by_seed) / 10
    sd = (sum((one - mean) ** 2 for one in by_seed) / 9) ** 0.5
    seeds = seeds_needed(0.001, sd)
    assert verdict(values) == (
        f"elu and relu are not distinguishable (10 paired seeds); telling 0.1 points apart needs about {seeds} seeds"
    )


UNSURE = [0.4 + one for one in (1.2, -1.1, 0.7, -0.9, 1.3, -1.4, 0.2, -0.6, 1.0, -0.4)]
"""Ten differences, in units of about their standard deviation, of which no test at .05 finds the mean."""


def unsure(*, sd):
    """A table whose one difference is open, with this standard deviation."""
    scale = sd / np.std(UNSURE, ddof=1)
    return only(cells({"relu": [0.5] * 10, "elu": [0.5 + scale * one for one in UNSURE]}))


@pytest.mark.parametrize(
    ("sds", "text"),
    [
        (1.0, "; telling 1 points apart needs about 11 seeds"),
        (1.04, ", though so many tell 1.04 points apart four times in five"),
    ],
)
def test_as_many_seeds_as_are_needed_are_enough(sds, text):
    # With d = 1.04 ten pairs are the fewest with a power of .8.
    assert seeds_needed(sds, 1.025) == (10 if sds > 1 else 11)
    (found,) = verdict_sentences(unsure(sd=0.01025), sds / 100, lost={})
    assert found == f"elu and relu are not distinguishable (10 paired seeds){text}"


@pytest.mark.parametrize(
    ("low", "text", "explained"),
    [
        (-0.001, "[−0.10, +", True),
        (0.0, "[0.00, 0.", True),
        (0.0001, "[0.01, 0.", False),
    ],
)
def test_an_interval_that_reaches_0_beside_a_finding_is_explained(low, text, explained):
    table = only(cells({"relu": BASE, "elu": shifted(0.003, 1)}))
    first, *rest = table.rows
    contrast = first.vs_baseline["test.accuracy"]
    contrast = replace(contrast, difference=replace(contrast.difference, low=low))
    table = replace(table, rows=(replace(first, vs_baseline={"test.accuracy": contrast}), *rest))
    (found,) = verdict_sentences(table, 0.001, lost={})
    assert text in found
    assert ("though its interval includes 0" in found) is explained


def test_no_more_seeds_are_offered_than_anyone_trains():
    offered = {}
    for delta in np.arange(0.00190, 0.00210, 1e-6):
        offered[seeds_needed(delta, 0.01)] = list(verdict_sentences(unsure(sd=0.01), delta, lost={}).values())
    assert (offered[199], offered[200], offered[201]) == ([199], [200], [None])


def test_of_what_was_found_the_largest_difference_comes_first():
    values = {"relu": BASE, "elu": shifted(0.003, 1), "selu": shifted(0.005, 1), "gelu": shifted(-0.004, 1)}
    values["silu"] = shifted(-0.006, 1)
    assert [text.split(" by ")[0] for text in only(cells(values)).verdicts] == [
        "selu beats relu", "elu beats relu", "relu beats silu", "relu beats gelu",
    ]  # fmt: skip


def test_below_three_seeds_there_is_no_verdict_and_one_sentence_says_so():
    found = only(cells({"relu": [0.9, 0.8], "elu": [0.8, 0.9], "selu": [0.7, 0.9]}))
    assert found.verdicts == ("no verdict: fewer than 3 paired seeds",)
    assert only(cells({"relu": RELU})).verdicts == ()


def test_what_was_found_stands_before_what_is_open():
    values = {"relu": BASE, "elu": shifted(0.0, 3), "selu": shifted(-0.003, 1), "gelu": shifted(0.003, 1), "silu": BASE}
    verdicts = only(cells(values)).verdicts
    assert [text.split(" (")[0].split(" by ")[0] for text in verdicts] == [
        "gelu beats relu", "relu beats selu", "silu and relu are identical in each of 10 paired seeds",
        "elu and relu are not distinguishable",
    ]  # fmt: skip


def test_of_open_questions_the_one_that_the_fewest_seeds_would_settle_comes_first():
    values = {"relu": BASE, "elu": shifted(0.0002, 9), "gelu": shifted(0.0002, 3), "silu": shifted(0.0002, 30)}
    found = only(cells(values)).verdicts
    assert [text.split()[0] for text in found] == ["gelu", "elu", "silu"]


def test_rows_of_several_factors_are_named_by_all_of_them():
    assert only(grid(smooth)).verdicts[0].startswith("elu (bias_init=0.01) beats relu (bias_init=0) by 3.15 points")


def test_an_interaction_is_told():
    def value(activation, bias, seed):
        return BASE[(seed + 3 * (activation == "elu") + 5 * (bias > 0)) % 8] + 0.03 * (activation == "elu" and bias > 0)

    (told,) = [text for text in only(grid(value, seeds=range(8))).verdicts if text.startswith("the effect")]
    assert "activation depends on bias_init (p = .008, 8 seeds): between bias_init=0 and 0.01" in told
    assert "elu − relu changes by +3.0" in told


def test_an_interaction_whose_p_equals_alpha_is_not_told():
    def value(activation, bias, seed):
        return BASE[(seed + 3 * (activation == "elu") + 5 * (bias > 0)) % 8] + 0.03 * (activation == "elu" and bias > 0)

    p = 2 / 2**8
    for alpha, told in ((p, False), (p + 1e-9, True)):
        found = only(grid(value, seeds=range(8)), alpha=alpha)
        assert found.interaction.p == p
        assert any(text.startswith("the effect") for text in found.verdicts) is told


@pytest.mark.parametrize(("sign", "names"), [(1, "elu exceeds relu by 3.0002"), (-1, "relu exceeds elu by 2.9998")])
def test_of_a_metric_without_a_direction_the_higher_side_comes_first(sign, names):
    records = [
        replace(one, final=one.final | {"seconds": 10 + NOISE[one.spec.seed] + 3 * sign * (name == "elu")
                                        + (name == "elu") * NOISE[9 - one.spec.seed]})
        for name in ("relu", "elu") for one in cells({name: BASE})
    ]  # fmt: skip
    (found,) = only(records, metric="seconds").verdicts
    assert found.startswith(names)
    assert "higher in 10 of 10" in found


def test_what_survivors_show_stands_behind_what_complete_rows_show_also_if_it_is_larger():
    lost = [record(None, outcome="diverged", activation=name, seed=10) for name in ("elu", "selu")]
    values = {"relu": BASE, "elu": shifted(0.02, 1), "selu": shifted(-0.03, 1), "gelu": shifted(0.003, 1)}
    values["silu"], values["tanh"] = shifted(-0.004, 1), shifted(0.005, 1)
    assert [text.split(" by ")[0] for text in only([*cells(values), *lost]).verdicts] == [
        "tanh beats relu", "gelu beats relu", "relu beats silu", "elu beats relu", "relu beats selu",
    ]  # fmt: skip


def test_a_failed_row_gets_no_verdict():
    records = [
        *cells({"relu": RELU, "elu": ELU}),
        *(record(None, outcome="failed", activation="selu", seed=s) for s in range(4)),
    ]
    assert not any("selu" in text for text in only(records).verdicts)


@pytest.mark.parametrize("delta", [0, -1, 100])
def test_a_delta_that_can_not_be_is_refused(delta):
    with pytest.raises(UsageError, match="delta should lie between"):
        compare(cells({"relu": RELU}), delta=delta)


@pytest.mark.parametrize(
    ("p", "text"),
    [(0.0004, "< .001"), (0.004, "= .004"), (0.05, "= .05"), (0.25, "= .25"), (0.5, "= .5"), (1.0, "= 1")],
)
def test_p_is_written_as_papers_do(p, text):
    assert p_value(p) == text


@pytest.mark.parametrize(
    ("p", "text"),
    [
        (2.0**-4, "= .063"),  # .0625, which Python's own rounding makes .062
        (2.0**-3, "= .13"),
        (3 * 0.0115, "= .035"),  # .034499999999999996 in binary
        (0.0115, "= .012"),  # just below it in binary
        (0.0995, "= .1"),
        (0.09949, "= .099"),
        (0.995, "= 1"),
        (0.99499, "= .99"),
        (0.001, "= .001"),
    ],
)
def test_halves_of_a_p_are_rounded_up_as_its_decimals_say(p, text):
    assert p_value(p) == text
