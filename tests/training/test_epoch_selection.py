"""Patience and the best epoch: which epoch counts, whose weights it is reported with, and what neighbours see of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from small_runs import CPU, DIGITS, numbers, records, spec

from actbench.schema.events import Failed, Finished
from actbench.schema.histograms import HISTOGRAMS
from actbench.schema.record import RunRecord
from actbench.schema.runtime import Cohort
from actbench.schema.spec import RunSpec
from actbench.training.loop import check_cohort, run_cohort

EPOCHS = 7
WILD = {"optimizer": {"name": "sgd", "lr": 0.3}, "epochs": EPOCHS}
"""So high a rate that validation goes up and down."""

OWN = {"epoch", "seconds"}


def cohort(activations: Sequence[Any] = ("relu", "tanh", "sigmoid", "gelu"), **changes: Any) -> list[RunSpec]:
    training = WILD | changes.pop("training", {})
    return [spec(activation=activation, training=training, **changes) for activation in activations]


def expected_epochs(values: Sequence[float], *, monitor: str, patience: int | None) -> tuple[int, int]:
    """Return the best epoch and the last one of a run by its monitored values from epoch 1 on, read off one by one."""
    signed = values if monitor == "val.accuracy" else [-value for value in values]
    for last in range(1, len(signed) + 1):
        best = signed.index(max(signed[:last])) + 1
        if patience is not None and last - best == patience:
            break
    return best, last


def cut(record: RunRecord, last: int) -> list[dict[str, Any]]:
    """The curve until an epoch, without histograms, which stand at its ends."""
    rows = [{key: value for key, value in row.items() if key not in OWN} for row in record.curves[: last + 1]]
    return [
        row | {"layers": [{k: v for k, v in layer.items() if k not in HISTOGRAMS} for layer in row["layers"]]}
        for row in rows
    ]


def reported(record: RunRecord) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    of_selection = {"selected_epoch", "epochs_trained", "seconds"}
    return {key: value for key, value in record.final.items() if key not in of_selection}, record.health


CHOICES = [
    {"patience": 2, "select": "best"},
    {"patience": 1, "monitor": "val.loss"},
    {"select": "best", "monitor": "val.loss"},
    {"patience": 3},
]


@pytest.mark.parametrize("chosen", CHOICES, ids=str)
def test_a_run_reports_what_a_run_of_so_many_epochs_reports(chosen: dict[str, Any]) -> None:
    """The oracle: the same runs without patience, and others that are as long as the epoch that counts."""
    undisturbed, found = records(*cohort()), records(*cohort(training=chosen))
    stopped = 0
    for whole, one in zip(undisturbed, found, strict=True):
        monitor = chosen.get("monitor", "val.accuracy")
        values = [row[monitor] for row in whole.curves[1:]]
        best, last = expected_epochs(values, monitor=monitor, patience=chosen.get("patience"))
        counts = best if chosen.get("select") == "best" else last
        assert (one.final["selected_epoch"], one.final["epochs_trained"]) == (counts, last)
        assert cut(one, last) == cut(whole, last)
        assert len(one.curves) == last + 1
        (short,) = records(spec(activation=one.spec.activation.name, training=WILD | {"epochs": counts}))
        assert reported(one) == reported(short), "weights, health and test metrics are those of that epoch"
        with_histograms = [row["epoch"] for row in one.curves if "z_histogram" in row["layers"][0]]
        assert with_histograms == sorted({0, counts, *([EPOCHS] if last == EPOCHS else [])})
        stopped += last < EPOCHS
    if "patience" in chosen:
        assert stopped > 0, "the example should show something"


@pytest.mark.parametrize("seed", [9, 0])
def test_the_first_of_equally_good_epochs_counts_and_never_the_untrained_network(seed: int) -> None:
    """At a rate that kills every unit at once, a trained network guesses no better than the untrained one."""
    training = {"optimizer": {"name": "sgd", "lr": 30.0}, "select": "best", "patience": 2}
    (one,) = records(*cohort(("relu",), training=training, seed=seed))
    untrained, *values = [row["val.accuracy"] for row in one.curves]
    assert (untrained > max(values)) == (seed == 9)
    assert (values[0] == values[2]) == (seed == 0)
    assert values[0] == max(values)
    assert (one.final["selected_epoch"], one.final["epochs_trained"]) == (1, 3)


def test_a_run_without_epochs_reports_the_untrained_network() -> None:
    (one,) = records(*cohort(("relu",), training={"epochs": 0, "select": "best", "patience": 1}))
    assert (one.final["selected_epoch"], one.final["epochs_trained"]) == (0, 0)
    assert one.outcome == "ok"


def test_runs_that_do_not_select_report_no_epoch() -> None:
    (one,) = records(*cohort(("relu",), training={"epochs": 1}))
    assert not {"selected_epoch", "epochs_trained"} & set(one.final)


BATCH_NORM = {"name": "mlp", "hidden": [24, 16], "batch_norm": True}
KINDS: dict[str, dict[str, Any]] = {
    "replayed": {},
    "eager": {"model": {"name": "mlp", "hidden": [24, 16], "dropout": 0.2}},
    "batch norm": {"model": BATCH_NORM},
    "convolutions": {
        "model": {"name": "cnn", "channels": [4, 6], "dense": [16]},
        "training": {"optimizer": {"name": "sgd", "lr": 0.1}},
    },
    "adam": {"training": {"optimizer": {"name": "adam", "lr": 0.05}, "schedule": "cosine", "clip_norm": 1.0}},
}


@pytest.mark.parametrize("precision", ["float32", pytest.param("float64", marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", KINDS)
def test_runs_that_stop_one_after_the_other_are_bit_equal_to_each_alone(kind: str, precision: str) -> None:
    changes = {**KINDS[kind]}
    training = changes.pop("training", {}) | {"precision": precision, "patience": 1, "select": "best"}
    activations = ("relu", "sigmoid")
    runs = [one.with_seed(seed) for seed in (0, 3) for one in cohort(activations, training=training, **changes)]
    together = records(*runs)
    assert len({one.final["epochs_trained"] for one in together}) > 1
    for run, record in list(zip(runs, together, strict=True))[::2]:
        assert numbers(record) == numbers(records(run)[0]), run.run_id
    events = run_cohort(Cohort(tuple(runs)), replace(CPU, capture=False))
    eager = [event.record for event in events if isinstance(event, Finished)]
    assert [numbers(one) for one in eager] == [numbers(one) for one in together]


def test_runs_on_numbers_are_judged_by_their_error() -> None:
    """A curve has no accuracy: the least val.mse counts, under either name of the monitor."""
    data = {"name": "regression", "examples": 260}
    training = {
        "loss": "mse",
        "optimizer": {"name": "sgd", "lr": 0.1},
        "epochs": EPOCHS,
        "patience": 1,
        "select": "best",
    }
    for monitor in ("val.accuracy", "val.loss"):
        for one in records(*cohort(("relu", "tanh"), dataset=data, training=training | {"monitor": monitor})):
            errors = [row["val.mse"] for row in one.curves[1:]]
            assert one.final["selected_epoch"] == errors.index(min(errors)) + 1
            assert one.final["val.mse"] == min(errors)


def test_a_users_module_reports_its_best_epoch_with_the_buffers_that_belong_to_it() -> None:
    model = {"name": "mine", "path": "user_parts:net"}
    training = {"patience": 2, "select": "best"}
    (found,) = records(*cohort(("tanh",), model=model, training=training))
    best = int(found.final["selected_epoch"] or 0)
    assert 0 < best < int(found.final["epochs_trained"] or 0)
    (short,) = records(*cohort(("tanh",), model=model, training={"epochs": best}))
    assert reported(found) == reported(short)


def test_a_run_that_diverges_after_its_best_epoch_has_diverged() -> None:
    training = {"optimizer": {"name": "sgd", "lr": 0.003}, "select": "best"}
    calm, one = records(*cohort(("tanh", "x * x"), training=training))
    assert one.outcome == "diverged"
    assert len(one.curves) > 2
    assert one.final["test.accuracy"] is one.final["selected_epoch"] is None
    assert numbers(calm) == numbers(records(*cohort(("tanh",), training=training))[0])


@pytest.mark.parametrize(
    ("chosen", "told"),
    [({"patience": 3}, "training.patience: 3 judges"), ({"select": "best"}, "training.select: best judges")],
    ids=str,
)
def test_there_must_be_something_to_validate_on(chosen: dict[str, Any], told: str) -> None:
    one = spec(dataset={**DIGITS, "val_fraction": 0.0}, training=chosen)
    for events in (check_cohort, run_cohort):
        *_, failed = events(Cohort((one,)), CPU)
        assert isinstance(failed, Failed)
        assert failed.usage
        assert told in failed.message
        assert "val_fraction above 0" in failed.message
