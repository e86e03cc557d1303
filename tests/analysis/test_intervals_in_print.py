"""Printed intervals: within their metric's scale, and explained where they seem to disagree with a star."""

import csv
import io
import json

import pytest
import scipy.stats
from comparisons import rendered
from factories import cells, record

from actbench.analysis.judgements.formatting import interval, interval_in_words
from actbench.schema.metrics import METRICS

SPLIT = [0.2, 0.85, 0.825]
"""Mean 62.50 %, of which Student's interval goes from −29 to 154 %."""

CUT = "an interval that would pass the end of its metric's scale is cut there"
STAR = "a * beside an interval that includes 0: p is from sign flips, the interval is Student's"
ADJUSTED = "an interval that excludes 0 without a *: it is that of one difference alone, p is adjusted for all"
OTHER_TEST = "an interval that excludes 0 without a *: it is Student's, p is from sign flips"


def students(values):
    """Student's interval of a mean, by scipy."""
    return scipy.stats.t.interval(0.95, len(values) - 1, loc=sum(values) / len(values), scale=scipy.stats.sem(values))


def flat(name, records, **options):
    return " ".join(rendered(name, records, **options).split())


def paired(*differences):
    """relu, and elu with these differences to it."""
    base = [0.5 + 0.001 * seed for seed in range(len(differences))]
    return cells({"relu": base, "elu": [one + by for one, by in zip(base, differences, strict=True)]})


@pytest.mark.parametrize("report", ["table", "markdown", "latex"])
def test_no_printed_accuracy_lies_beyond_100_percent_and_no_loss_below_0(report):
    text = flat(report, cells({"relu": SPLIT}), metric=["test.accuracy", "test.loss"])
    assert "[0.00, 100.00]" in text
    assert f"[0.0000, {students([1 - one for one in SPLIT])[1]:.4f}]" in text
    assert CUT in text.replace("\\", "")


def test_an_interval_within_the_scale_needs_no_note():
    assert CUT not in flat("table", cells({"relu": [0.9, 0.91, 0.92]}))


def test_a_difference_is_cut_at_100_points_and_a_difference_of_losses_nowhere():
    records = cells({"relu": [0.01, 0.0, 0.02], "elu": [0.99, 0.3, 0.98]})
    low, high = students([0.98, 0.3, 0.96])
    assert high > 1
    assert f"+74.67 [−{-100 * low:.2f}, +100.00]" in flat("table", records)
    assert CUT in flat("table", records)
    assert METRICS["test.loss"].beyond_scale(-5.0, 9.0, differences=1) == []
    assert METRICS["test.accuracy"].beyond_scale(-1.5, 1.9, differences=2) == []


def test_programs_get_students_ends_and_which_of_them_lie_beyond():
    records = cells({"relu": SPLIT})
    low, high = students(SPLIT)
    found = json.loads(rendered("json", records))["comparisons"][0]["rows"][0]["metrics"]["test.accuracy"]
    assert (found["low"], found["high"]) == (pytest.approx(low), pytest.approx(high))
    assert found["beyond_scale"] == ["low", "high"]
    lines = list(csv.DictReader(io.StringIO(rendered("csv", records))))
    assert {one["metric"]: one["beyond_scale"] for one in lines} == {
        "test.accuracy": "low high", "health.dead_fraction": "", "parameters": "", "seconds": "",
    }  # fmt: skip


def test_a_sentence_says_itself_where_its_interval_was_cut():
    cut = ", cut at the end of the scale"
    assert interval_in_words("test.accuracy", (0.0872, 1.1628), of_difference=False) == f"[8.72, 100.00]{cut}"
    assert interval_in_words("test.loss", (-0.2, 1.0), of_difference=False) == f"[0.0000, 1.0000]{cut}"
    assert interval_in_words("test.accuracy", (-0.2, 1.1), of_difference=True) == f"[−20.00, +100.00] points{cut}"
    assert interval_in_words("test.accuracy", (0.2, 0.9), of_difference=False) == "[20.00, 90.00]"
    assert interval("seconds", (-1.0, 3.0)) == "[0.0000, 3.0000]"


@pytest.mark.parametrize("report", ["table", "markdown"])
def test_a_star_beside_an_interval_across_0_is_explained(report):
    text = flat(report, paired(*[0.001] * 9, 0.4)).replace("\\", "")
    assert "+4.09 [−4.94, +13.12] *" in text
    assert STAR in text
    assert "includes 0: its p is from sign flips" in text  # the verdict, which is read without the caption


def test_an_interval_beside_0_without_a_star_is_explained_by_the_adjustment_below_eight_seeds():
    one = {"elu": [0.011, 0.02, 0.005, 0.016]}
    others = {name: [0.01, -0.01, 0.02, -0.015] for name in ("selu", "gelu", "silu")}
    base = [0.5, 0.51, 0.52, 0.53]
    records = cells({"relu": base, **{name: [b + d for b, d in zip(base, ds, strict=True)]
                                      for name, ds in (one | others).items()}})  # fmt: skip
    text, (low, high) = flat("table", records), students(one["elu"])
    assert f"+1.30 [+{100 * low:.2f}, +{100 * high:.2f}] 4" in text
    assert ADJUSTED in text
    assert STAR not in text


def test_stars_and_intervals_that_agree_need_no_note():
    text = flat("table", [*paired(0.1, 0.11, 0.12, 0.11), record(0.5, activation="selu", seed=0)])
    assert not any(note in text for note in (STAR, ADJUSTED, OTHER_TEST))
