"""A cohort taken up again from where it was left gives the numbers of one that was left alone, bit for bit."""

from __future__ import annotations

import hashlib
import io
import random  # noqa: TID251 - chooses places to stop, no number of a run
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import stopping_parts
import torch
from small_runs import numbers, spec

from actbench.schema.checkpoint_header import FORMAT, parse_checkpoint
from actbench.schema.events import EpochDone, Event, Failed, Finished, Saved, Started
from actbench.schema.runtime import Cadence, Cohort, Runtime
from actbench.schema.spec import RunSpec
from actbench.system import cancellation
from actbench.training.loop import run_cohort

NEVER = Runtime(device="cpu", engine="inline", checkpoint_every=Cadence())
ALWAYS = replace(NEVER, checkpoint_every=Cadence(seconds=0))
"""Saved after every step."""

F32 = {"epochs": 2, "batch_size": 32, "precision": "float32"}
NOISY: dict[str, Any] = {
    "model": {"name": "mlp", "hidden": [24, 17], "dropout": 0.3},
    "training": F32 | {"augment": {"crop": 1, "flip": True}, "optimizer": "adam", "schedule": "cosine"},
}
CNN: dict[str, Any] = {
    "model": {"name": "cnn", "channels": [4, 6], "norm": "batch"},
    "training": F32 | {"optimizer": {"name": "sgd", "momentum": 0.9, "nesterov": True}, "clip_norm": 1.0},
}
MODULE: dict[str, Any] = {"model": {"name": "mine", "path": "user_parts:net"}, "training": F32}

STOPPING = {"epochs": 7, "optimizer": {"name": "sgd", "lr": 0.3}, "patience": 1, "select": "best"}

COHORTS: dict[str, list[RunSpec]] = {
    "mlp": [
        spec(activation=activation, seed=seed, bias_init=bias, **NOISY)
        for activation, seed, bias in (("prelu", 0, 0.0), ("rrelu", 0, 0.01), ("rrelu", 1, None), ("tanh", 1, 0.0))
    ],
    "cnn": [spec(activation="relu", **CNN), spec(activation="swish", seed=1, **CNN)],
    "module": [spec(activation="rrelu", **MODULE)],
    "replayed": [
        spec(activation=activation, bias_init=bias, training={"epochs": 4})
        for activation, bias in (("prelu", 0.0), ("relu", None), ("tanh", 0.0))
    ],
    "curve": [
        spec(activation=activation, dataset={"name": "regression", "examples": 260}, training={"loss": "mse"})
        for activation in ("relu", "tanh")
    ],
    "stopping": [
        spec(activation=activation, seed=seed, training=STOPPING)
        for activation, seed in (("relu", 0), ("tanh", 0), ("sigmoid", 0), ("relu", 3))
    ],
    "derf": [
        spec(activation=name, model={"name": "mlp", "hidden": [7, 5], "norm": "derf"}) for name in ("relu", "elu")
    ],
    "recycling": [
        spec(activation=activation, seed=seed, training={"revive": {"name": "redo", "every": 3, "tau": 0.3}})
        for activation, seed in (("relu", 0), ("relu", 1))
    ],
    "gates": [spec(activation=activation, training={"epochs": 3}) for activation in ("swiglu", "reglu")],
    "diverging": [
        spec(activation={"name": "expression", "formula": "exp(x) * 1e30 * x"}),
        spec(activation="relu"),
    ],
}


SAVES = {
    "mlp": 14,
    "cnn": 11,
    "module": 14,
    "replayed": 13,
    "gates": 12,
    "curve": 11,
    "derf": 11,
    "diverging": 11,
    "stopping": 16,
    "recycling": 12,
}
"""After each of 7 steps an epoch, 2 epochs, and 4 of the replayed ones; from the tenth step on those that are replayed
go together, up to 8 or to the epoch's end."""


NESTED = {
    "session": {"steps", "seconds", "examples"},
    "tally": {"loss", "correct"},
    "streams": {"augment", "dropout", "activation"},
    "place": {"order", "steps"},
    "module": {"numbers", "buffers"},
}
"""Names inside a checkpoint of format 1."""


@pytest.fixture(autouse=True)
def _unasked() -> Iterator[None]:
    cancellation.reset()
    yield
    cancellation.reset()


def found(events: list[Event]) -> list[dict[str, Any]]:
    failures = [event.traceback for event in events if isinstance(event, Failed)]
    assert not failures, failures[0]
    return [numbers(event.record) for event in events if isinstance(event, Finished)]


def together(specs: list[RunSpec]) -> tuple[RunSpec, ...]:
    return tuple(one for one in specs if one.cohort_key == specs[0].cohort_key)


def rows(events: list[Event]) -> list[Any]:
    """What reaches the curves."""
    epochs = [event.rows for event in events if isinstance(event, EpochDone)]
    return [[row and {k: v for k, v in row.items() if k != "seconds"} for row in epoch] for epoch in epochs]


@pytest.mark.slow
@pytest.mark.parametrize("kind", COHORTS)
def test_a_resumed_cohort_equals_an_undisturbed_one_bit_for_bit(kind: str) -> None:
    specs = together(COHORTS[kind])
    undisturbed = list(run_cohort(Cohort(specs), NEVER))
    saving = list(run_cohort(Cohort(specs), ALWAYS))
    assert found(saving) == found(undisturbed), "saving changes nothing"
    states = [event.state for event in saving if isinstance(event, Saved)]
    assert len(states) == SAVES[kind]
    for state in [states[5], *random.Random(kind).sample(states, 3), states[-1]]:
        resumed = list(run_cohort(Cohort(specs, state), NEVER))
        assert isinstance(resumed[0], Started)
        assert resumed[0].refused == ""
        assert found(resumed) == found(undisturbed)
        assert rows(resumed) == rows(undisturbed), "the rows of the epochs before come once more"


@pytest.mark.parametrize("model", ["mlp", "module", "stopping"])
def test_it_may_be_stopped_anywhere_and_as_often_as_one_likes(model: str) -> None:
    changes = {"mlp": NOISY, "module": MODULE, "stopping": {"training": STOPPING | {"patience": 3}}}[model]
    specs = (spec(activation={"name": "asks", "path": "stopping_parts:asks"}, **changes),)
    stopping_parts.begin(-1)
    undisturbed = found(list(run_cohort(Cohort(specs), NEVER)))
    count = next(stopping_parts.calls)
    chance = random.Random(model)
    state, stops, ends = None, 0, []
    for _ in range(60):
        stopping_parts.begin(chance.randrange(count // 12, count // 4))
        events = list(run_cohort(Cohort(specs, state), NEVER))
        cancellation.reset()
        ends += found(events)
        if ends:
            break
        if isinstance(events[-1], Saved):
            state, stops = events[-1].state, stops + 1
    assert ends == undisturbed
    assert stops >= 4


def test_who_is_stopped_before_anything_is_trained_saves_nothing() -> None:
    specs = (spec(activation={"name": "asks", "path": "stopping_parts:asks"}),)
    stopping_parts.begin(0)
    (only,) = run_cohort(Cohort(specs), NEVER)
    assert isinstance(only, Started)


def test_a_cohort_is_saved_after_so_many_epochs() -> None:
    specs = (spec(training={"epochs": 5}),)
    events = list(run_cohort(Cohort(specs), replace(NEVER, checkpoint_every=Cadence(epochs=2))))
    kinds = [type(event) for event in events]
    assert kinds == [Started, EpochDone, EpochDone, EpochDone, Saved, EpochDone, EpochDone, Saved, EpochDone, Finished]


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda state: state[: len(state) // 2], "checksum"),
        (lambda state: state[:-100] + bytes([state[-100] ^ 1]) + state[-99:], "checksum"),
        (lambda state: b"", "damaged"),
        (lambda state: b'{"what": 3}\n' + state, "damaged"),
        (lambda state: b'{"what": "something", "runs": []}\n' + state, "not a checkpoint"),
        (lambda state: state.replace(b'"format": 2', b'"format": 9', 1), "another version of actbench"),
        (lambda state: state.replace(b'"semantics": 1', b'"semantics": 0', 1), "another version of actbench"),
        (lambda state: state.replace(b'"torch": "', b'"torch": "0', 1), "computed with torch 0"),
        (lambda state: re.sub(rb'"kernels": "\w+"', b'"kernels": "other"', state, count=1), "with --kernels other"),
        (lambda state: state.replace(b'"device": "cpu"', b'"device": "cuda"', 1), "computed with device cuda"),
        (lambda state: state.replace(b'"data": "', b'"data": "0', 1), "the dataset has changed"),
        (lambda state: state.replace(b'"runs": ["', b'"runs": ["0', 1), "other runs"),
    ],
    ids=[
        "cut",
        "flipped",
        "empty",
        "odd",
        "foreign",
        "format",
        "semantics",
        "torch",
        "kernels",
        "device",
        "data",
        "runs",
    ],
)
def test_a_state_that_does_not_fit_is_not_used_and_the_result_is_right(spoil: Any, reason: str) -> None:
    specs = (spec(),)
    undisturbed = list(run_cohort(Cohort(specs), NEVER))
    state = next(event.state for event in run_cohort(Cohort(specs), ALWAYS) if isinstance(event, Saved))
    events = list(run_cohort(Cohort(specs, spoil(state)), NEVER))
    assert [reason in event.refused for event in events if isinstance(event, Started)] == [False, True]
    assert found(events) == found(undisturbed)
    assert rows(events) == rows(undisturbed)


def test_nothing_but_plain_data_is_read(tmp_path: Path) -> None:
    """A checkpoint from elsewhere must not run code: one with an object inside is refused."""
    specs = (spec(),)
    state = next(event.state for event in run_cohort(Cohort(specs), ALWAYS) if isinstance(event, Saved))
    header, _ = parse_checkpoint(state)
    torch.save({"layout": Path("an object")}, tmp_path / "evil.pt")
    body = (tmp_path / "evil.pt").read_bytes()
    evil = replace(header, sha256=hashlib.sha256(body).hexdigest()).line() + body
    events = list(run_cohort(Cohort(specs, evil), NEVER))
    assert [event.refused.split(":")[0] for event in events if isinstance(event, Started)] == [
        "",
        "its content does not fit",
    ]
    assert len(found(events)) == 1


def test_the_names_inside_a_checkpoint_are_those_of_its_format() -> None:
    """Another name would make every existing checkpoint unusable without a new ``FORMAT`` that says so."""
    specs = (spec(activation="rrelu", **MODULE),)
    saved = next(event.state for event in run_cohort(Cohort(specs), ALWAYS) if isinstance(event, Saved))
    content = torch.load(io.BytesIO(parse_checkpoint(saved)[1]), weights_only=True)
    log = {"rows", "health", "dynamics", "diverged", "epoch", "seconds", "seconds_of_epoch"}
    assert FORMAT == 2
    assert set(content) == {"layout", "tensors", "optimizers", *NESTED, "logbook"}
    assert {name: set(content[name]) for name in NESTED} == NESTED
    assert set(content["logbook"]) == log
    assert all(
        set(layer) == {"born_dead", "before", "dead", "died_at"} for layer in content["logbook"]["dynamics"].values()
    )
