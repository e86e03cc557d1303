"""The sentences on a run that went wrong: held to its rows, with advice that it can take."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_runs import records, spec

from actbench.health.units.diagnosis import collapse_in_words, diagnose

BATCH_NORM = {"name": "mlp", "hidden": [24, 16], "norm": "batch"}


def row(epoch: int, **layer: Any) -> dict[str, Any]:
    usual = {"name": "hidden.0", "units": 100, "dead": 0, "constant": 0, "inert": 0, "born_dead": 0, "lost": 0}
    return {"epoch": epoch, "health.gradient_ratio": 1.0, "layers": [usual | layer]}


def dead(*counts: int, born: int = 0, lost: int | None = None) -> list[dict[str, Any]]:
    """Rows of one layer of 100 units with these dead counts."""
    return [
        row(epoch, dead=count, inert=count, born_dead=born, lost=count - born if lost is None else lost)
        for epoch, count in enumerate(counts)
    ]


def ratio(value: float) -> list[dict[str, Any]]:
    return [row(0) | {"health.gradient_ratio": value}]


def test_a_healthy_run_needs_no_words() -> None:
    assert diagnose(spec(), [row(0), row(1, dead=3, constant=3, inert=3)]) == ()


@pytest.mark.parametrize(("count", "sentences"), [(9, 0), (10, 1)])
def test_a_tenth_of_a_layer_is_worth_a_sentence(count: int, sentences: int) -> None:
    assert len(diagnose(spec(), dead(0, count))) == sentences
    assert len(diagnose(spec(), [row(0), row(1, constant=count, inert=count)])) == sentences


def test_a_share_dates_from_the_epoch_since_which_it_has_been_about_as_large() -> None:
    (text,) = diagnose(spec(), dead(0, 25, 25))
    assert text.startswith("hidden.0: 25% dead since epoch 1; ")
    (text,) = diagnose(spec(), dead(0, 0, 0, 48, 35, 60))
    assert text.startswith("hidden.0: 60% dead since epoch 5; "), "not since epoch 3: it came back in between"
    (text,) = diagnose(spec(), dead(0, 58, 56, 61))
    assert text.startswith("hidden.0: 61% dead, at least 56% since epoch 1; ")
    (text,) = diagnose(spec(), dead(95, 100, 100))
    assert text.startswith("hidden.0: all units dead, at least 95% since initialisation; ")


@given(counts=st.lists(st.integers(0, 100), min_size=1, max_size=8))
def test_every_dated_share_is_true_of_every_epoch_that_it_names(counts: list[int]) -> None:
    for text in diagnose(spec(), dead(*counts)):
        found = re.match(
            r"hidden.0: (?:(\d+)%|(all) units) dead(?:, at least (\d+)%)? since (?:epoch (\d+)|initialisation)", text
        )
        assert found, text
        share, whole, least, epoch = found.groups()
        began, now = int(epoch or 0), 100 if whole else int(share)
        assert counts[-1] == now
        assert min(counts[began:]) == (now if least is None else int(least)), text
        assert min(counts[began:]) >= 0.9 * now
        assert began == 0 or counts[began - 1] < 0.9 * now, "no longer stretch would be true"


def test_only_units_that_are_dead_still_count_as_dead_since_initialisation() -> None:
    (text,) = diagnose(spec(), dead(30, 0, 40, born=30, lost=37))
    assert "hidden.0: 40% dead since epoch 2, 3% already at initialisation; " in text
    (text,) = diagnose(spec(), dead(30, 0, 40, born=30, lost=40))
    assert "initialisation" not in text


def test_all_and_none_are_said_of_all_and_none_alone() -> None:
    """999 units of 1000 are not 100 %, and one of them is not 0 %."""
    (text,) = diagnose(
        spec(), [row(0, units=1000), *(row(n, units=1000, dead=999, inert=999, lost=999) for n in (1, 2))]
    )
    assert text.startswith("hidden.0: >99% dead since epoch 1; ")
    (text,) = diagnose(spec(), [row(n, units=1000, dead=d, inert=d, lost=d) for n, d in enumerate((0, 996, 1000))])
    assert text.startswith("hidden.0: all units dead, >99% since epoch 1; ")
    (text,) = diagnose(spec(), [row(n, units=1000, dead=d, inert=d, lost=d and 299) for n, d in enumerate((0, 300))])
    assert text.startswith("hidden.0: 30% dead since epoch 1, <1% already at initialisation; ")
    health = {"inert_fraction": 0.998, "layers": [{"name": "hidden.0", "inert": 998, "units": 1000}]}
    assert collapse_in_words(health) == (
        ">99% of the hidden units are inert (dead or constant), yet no whole layer: the network may be accurate all "
        "the same"
    )


@given(data=st.data(), units=st.integers(1, 2000), epochs=st.integers(0, 6))
def test_no_sentence_claims_all_or_none_that_the_units_deny(data: st.DataObject, units: int, epochs: int) -> None:
    near = st.one_of(st.integers(0, units), st.integers(max(0, units - 3), units))
    counts = data.draw(st.lists(near, min_size=epochs + 1, max_size=epochs + 1))
    rows = [row(epoch, units=units, dead=count, inert=count, lost=count) for epoch, count in enumerate(counts)]
    for text in diagnose(spec(), rows):
        began = re.search(r"since (?:epoch (\d+)|initialisation)", text)
        assert began, text
        stretch = counts[int(began.group(1) or 0) :]
        assert ("all units dead since" in text) == (set(stretch) == {units}), (text, counts, units)
        assert "100%" not in text
        assert " 0%" not in text


def remedies(text: str) -> str:
    return text.partition("; ")[2]


@pytest.mark.parametrize(
    ("changes", "rows", "expected"),
    [
        (
            {},
            dead(0, 30),
            "a lower learning rate (here 0.1) or model.norm batch usually helps; leaky_relu leaves none dead, which by "
            "itself need not help accuracy",
        ),
        (
            {"activation": "leaky_relu", "model": {"name": "mlp", "norm": "derf"}},
            dead(0, 30),
            "a lower learning rate (here 0.1) or model.norm batch usually helps",
        ),
        ({"activation": "prelu", "model": BATCH_NORM}, dead(0, 30), "a lower learning rate (here 0.1) usually helps"),
        (
            {"activation": "tanh"},
            dead(0, 30),
            "a lower learning rate (here 0.1), weight_init xavier_normal or model.norm batch usually helps",
        ),
        (
            {"activation": "sigmoid", "weight_init": "xavier_normal"},
            dead(0, 30),
            "a lower learning rate (here 0.1) or model.norm batch usually helps",
        ),
        (
            {},
            dead(0, 100),
            "a lower learning rate (here 0.1), leaky_relu (it has a slope on both sides) or model.norm batch usually "
            "helps",
        ),
        ({"activation": "prelu", "model": BATCH_NORM}, dead(0, 100), "a lower learning rate (here 0.1) usually helps"),
        ({}, dead(30), "another weight_init, another bias_init or model.norm batch usually helps"),
        ({"model": BATCH_NORM}, dead(30, 30), "another weight_init or another bias_init usually helps"),
        (
            {"activation": "sigmoid"},
            [row(0), row(1, constant=30, inert=30)],
            "weight_init matched, model.norm batch, fewer layers or an activation that is not bounded usually helps",
        ),
        (
            {"activation": "elu", "weight_init": "matched", "model": BATCH_NORM},
            [row(0), row(1, constant=30, inert=30)],
            "fewer layers usually helps",
        ),
        ({}, ratio(9e-4), "weight_init matched, model.norm batch or fewer layers usually helps"),
        (
            {"weight_init": "matched", "model": {**BATCH_NORM, "norm": "layer"}},
            ratio(9e-4),
            "fewer layers usually helps",
        ),
        ({"weight_init": "matched"}, ratio(9e-4), "model.norm batch or fewer layers usually helps"),
        ({"model": BATCH_NORM}, ratio(1.1e3), "smaller initial weights or fewer layers usually helps"),
    ],
)
def test_advice_leaves_out_whatever_the_run_already_has(
    changes: dict[str, Any], rows: Sequence[dict[str, Any]], expected: str
) -> None:
    (text,) = diagnose(spec(**changes), rows)
    assert remedies(text) == expected


@pytest.mark.parametrize("name", ["golu", "quick_gelu", "gelu", "elu", "telu", "isrlu", "tanh", "log_sigmoid"])
def test_units_in_a_tail_that_fades_are_saturated_not_dead(name: str) -> None:
    (text,) = diagnose(spec(activation=name), dead(0, 30, 30))
    why = f" (slope at most 0.001, yet not 0, in the tail of {name}: they may come back); "
    assert text.startswith(f"hidden.0: 30% saturated since epoch 1{why}")


def test_a_trained_network_of_golu_units_far_below_zero_is_called_saturated_and_a_usual_one_nothing() -> None:
    far_below, usual = records(*(spec(activation="golu", bias_init=bias) for bias in (-4.0, 0.0)))
    assert far_below.health["dead"] > 0.5 * far_below.health["units"]
    sentences = far_below.health["diagnosis"]
    assert any("saturated since initialisation (slope at most 0.001, yet not 0, in the tail of golu" in one
               for one in sentences)  # fmt: skip
    assert not any(re.search(r"(?<!not) dead since", one) for one in sentences)
    assert usual.health["dead"] == 0
    assert not any("saturated" in one or " dead" in one for one in usual.health["diagnosis"])


@pytest.mark.parametrize("name", ["relu", "relu6", "hardswish", "threshold", "softshrink", "x * sigmoid(9 * x)"])
def test_units_without_any_slope_are_dead(name: str) -> None:
    (text,) = diagnose(spec(activation=name), dead(0, 30, 30))
    assert text.startswith("hidden.0: 30% dead since epoch 1; ")


@pytest.mark.parametrize(("value", "verb"), [(9.9e-4, "vanish"), (1e-3, ""), (1.0, ""), (1e3, ""), (1.01e3, "explode")])
def test_gradients_vanish_below_a_thousandth_and_explode_above_a_thousand(value: float, verb: str) -> None:
    found = diagnose(spec(), ratio(value))
    assert [text.split(":")[0] for text in found] == ([f"gradients {verb}"] if verb else [])


def test_units_that_are_constant_though_not_dead_are_dated_by_their_own_count() -> None:
    rows = [row(0, constant=50, inert=50, dead=50), row(1, constant=50, inert=50, dead=0)]
    (text,) = diagnose(spec(activation="sigmoid"), rows)
    assert text.startswith("hidden.0: 50% constant though not dead since epoch 1: the signal does not pass; ")
    (text,) = diagnose(spec(activation="sigmoid"), [row(0), row(1, constant=100, inert=100)])
    assert text.startswith("hidden.0: all units constant though not dead since epoch 1: the signal does not pass; ")


def test_a_divergence_names_epoch_and_learning_rate() -> None:
    (text,) = diagnose(spec(), [row(0) | {"layers": []}], diverged_at=1)
    assert text == (
        "a loss or a parameter is not a finite number below 1e300 since epoch 1, at lr 0.1; "
        "a lower learning rate, training.clip_norm, a warm-up or model.norm batch usually helps"
    )
    training = {"clip_norm": 1.0, "schedule": {"name": "constant", "warmup_epochs": 1}}
    (text,) = diagnose(spec(training=training, model=BATCH_NORM), [row(0) | {"layers": []}], diverged_at=1)
    assert remedies(text) == "a lower learning rate usually helps"


def test_a_divergence_before_the_first_step_is_not_the_learning_rates() -> None:
    (text,) = diagnose(spec(), [row(0) | {"layers": []}], diverged_at=0)
    assert "lr" not in text
    assert text.startswith(
        "a loss or a parameter is not a finite number below 1e300 at initialisation; smaller initial weights"
    )


def test_rows_that_were_read_from_a_file_give_the_same_sentences() -> None:
    rows = [*dead(0, 25, 30), row(3, dead=30, inert=50, constant=20)]
    read = [json.loads(json.dumps(one)) for one in rows]  # the layers' names are equal, and no longer one object
    assert diagnose(spec(), read) == diagnose(spec(), rows) != ()
