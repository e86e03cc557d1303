"""A cohort taken up again from where it was left gives the numbers of one that was left alone, bit for bit."""

from __future__ import annotations

import logging
import random  # noqa: TID251 - chooses places to stop, no number of a run
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import stopping_parts
import torch
from test_cohort import DIGITS, numbers, spec

from actbench import stopping
from actbench.checkpoints import Checkpoints
from actbench.claims import Claims
from actbench.config import Study
from actbench.errors import ConfigError, ResultsError
from actbench.heading import Heading, Unusable, name_of, opened
from actbench.record import EpochDone, Event, Failed, Finished, Saved, Started
from actbench.runner import Runner
from actbench.spec import Cadence, Cohort, RunSpec, Runtime
from actbench.train import run_cohort

NEVER = Runtime(device="cpu", engine="inline", checkpoint_every=Cadence())
ALWAYS = replace(NEVER, checkpoint_every=Cadence(seconds=0))
"""Saved after every step."""

F32 = {"epochs": 2, "batch_size": 32, "precision": "float32"}
NOISY: dict[str, Any] = {
    "model": {"name": "mlp", "hidden": [24, 17], "dropout": 0.3},
    "training": F32 | {"augment": {"crop": 1, "flip": True}, "optimizer": "adam", "schedule": "cosine"},
}
CNN: dict[str, Any] = {
    "model": {"name": "cnn", "channels": [4, 6], "batch_norm": True},
    "training": F32 | {"optimizer": {"name": "sgd", "momentum": 0.9, "nesterov": True}, "clip_norm": 1.0},
}
MODULE: dict[str, Any] = {"model": {"name": "mine", "path": "user_parts:net"}, "training": F32}

COHORTS: dict[str, list[RunSpec]] = {
    "mlp": [
        spec(activation=activation, seed=seed, bias_init=bias, **NOISY)
        for activation, seed, bias in (("prelu", 0, 0.0), ("rrelu", 0, 0.01), ("rrelu", 1, None), ("tanh", 1, 0.0))
    ],
    "cnn": [spec(activation="relu", **CNN), spec(activation="swish", seed=1, **CNN)],
    "module": [spec(activation="rrelu", **MODULE)],
    "recorded": [
        spec(activation=activation, bias_init=bias, training={"epochs": 4})
        for activation, bias in (("prelu", 0.0), ("relu", None), ("tanh", 0.0))
    ],
    "diverging": [
        spec(activation={"name": "expression", "formula": "exp(x) * 1e30 * x"}),
        spec(activation="relu"),
    ],
}


@pytest.fixture(autouse=True)
def _unasked() -> Iterator[None]:
    stopping.forget()
    yield
    stopping.forget()


def found(events: list[Event]) -> list[dict[str, Any]]:
    failures = [event.traceback for event in events if isinstance(event, Failed)]
    assert not failures, failures[0]
    return [numbers(event.record) for event in events if isinstance(event, Finished)]


def together(specs: list[RunSpec]) -> tuple[RunSpec, ...]:
    return tuple(one for one in specs if one.cohort_key == specs[0].cohort_key)


def rows(events: list[Event]) -> list[Any]:
    """What reaches the curves."""
    told = [event.rows for event in events if isinstance(event, EpochDone)]
    return [[row and {k: v for k, v in row.items() if k != "seconds"} for row in epoch] for epoch in told]


@pytest.mark.parametrize("kind", COHORTS)
def test_a_resumed_cohort_equals_an_undisturbed_one_bit_for_bit(kind: str) -> None:
    specs = together(COHORTS[kind])
    undisturbed = list(run_cohort(Cohort(specs), NEVER))
    saving = list(run_cohort(Cohort(specs), ALWAYS))
    assert found(saving) == found(undisturbed), "saving changes nothing"
    states = [event.state for event in saving if isinstance(event, Saved)]
    assert len(states) >= 10  # of 14 steps; several are taken together once they are recorded
    for state in [states[5], *random.Random(kind).sample(states, 3), states[-1]]:
        resumed = list(run_cohort(Cohort(specs, state), NEVER))
        assert isinstance(resumed[0], Started)
        assert resumed[0].refused == ""
        assert found(resumed) == found(undisturbed)
        assert rows(resumed) == rows(undisturbed), "the epochs before are told once more"


@pytest.mark.parametrize("model", ["mlp", "module"])
def test_it_may_be_stopped_anywhere_and_as_often_as_one_likes(model: str) -> None:
    changes = NOISY if model == "mlp" else MODULE
    specs = (spec(activation={"name": "asks", "path": "stopping_parts:asks"}, **changes),)
    stopping_parts.begin(-1)
    undisturbed = found(list(run_cohort(Cohort(specs), NEVER)))
    count = next(stopping_parts.calls)
    chance = random.Random(model)
    state, stops, ends = None, 0, []
    for _ in range(60):
        stopping_parts.begin(chance.randrange(count // 9, count // 3))
        events = list(run_cohort(Cohort(specs, state), NEVER))
        stopping.forget()
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
    ("spoil", "told"),
    [
        (lambda state: state[: len(state) // 2], "checksum"),
        (lambda state: state[:-100] + bytes([state[-100] ^ 1]) + state[-99:], "checksum"),
        (lambda state: b"", "damaged"),
        (lambda state: b'{"what": 3}\n' + state, "damaged"),
        (lambda state: b'{"what": "something", "runs": []}\n' + state, "no checkpoint"),
        (lambda state: state.replace(b'"format": 1', b'"format": 9', 1), "another version of actbench"),
        (lambda state: state.replace(b'"semantics": 1', b'"semantics": 0', 1), "another version of actbench"),
        (lambda state: state.replace(b'"torch": "', b'"torch": "0', 1), "computed with torch 0"),
        (lambda state: state.replace(b'"device": "cpu"', b'"device": "cuda"', 1), "computed with device cuda"),
        (lambda state: state.replace(b'"data": "', b'"data": "0', 1), "the dataset has changed"),
        (lambda state: state.replace(b'"runs": ["', b'"runs": ["0', 1), "other runs"),
    ],
    ids=["cut", "flipped", "empty", "odd", "foreign", "format", "semantics", "torch", "device", "data", "runs"],
)
def test_a_state_that_does_not_fit_is_not_used_and_the_result_is_right(spoil: Any, told: str) -> None:
    specs = (spec(),)
    undisturbed = list(run_cohort(Cohort(specs), NEVER))
    state = next(event.state for event in run_cohort(Cohort(specs), ALWAYS) if isinstance(event, Saved))
    events = list(run_cohort(Cohort(specs, spoil(state)), NEVER))
    assert [told in event.refused for event in events if isinstance(event, Started)] == [False, True]
    assert found(events) == found(undisturbed)
    assert rows(events) == rows(undisturbed)


def test_nothing_but_plain_data_is_read(tmp_path: Path) -> None:
    """A checkpoint from elsewhere must not run code: one with an object inside is refused."""
    specs = (spec(),)
    state = next(event.state for event in run_cohort(Cohort(specs), ALWAYS) if isinstance(event, Saved))
    heading, _ = opened(state)
    torch.save({"layout": Path("an object")}, tmp_path / "evil.pt")
    body = (tmp_path / "evil.pt").read_bytes()
    import hashlib

    evil = replace(heading, sha256=hashlib.sha256(body).hexdigest()).line() + body
    events = list(run_cohort(Cohort(specs, evil), NEVER))
    assert [event.refused.split(":")[0] for event in events if isinstance(event, Started)] == [
        "",
        "its content does not fit",
    ]
    assert len(found(events)) == 1


STUDY = f"""\
study: long
dataset: {DIGITS}
model: {{name: mlp, hidden: [16]}}
training: {{epochs: 3, batch_size: 32, checkpoint_every: 1}}
activation: {{name: asks, path: 'stopping_parts:asks'}}
seeds: 2
sweep:
  bias_init: [0.0, 0.01, 0.1]
"""


def runner(folder: Path, *, text: str = STUDY, force: bool = False, limit: int | None = None) -> Runner:
    runtime = Runtime(device="cpu", engine="inline", cohort_size=limit)
    return Runner(Study.from_text(text), folder, runtime, force=force)


def files(folder: Path) -> list[Path]:
    return sorted((folder / "long" / "checkpoints").glob("*"))


def result(folder: Path) -> dict[str, Any]:
    from actbench.store import read_results

    return {one.spec.run_id: numbers(one) for one in read_results(folder, curves=True)}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("undisturbed")
    stopping_parts.begin(-1)
    for _ in runner(folder).run():
        pass
    assert files(folder) == [], "what is finished needs no checkpoint"
    assert len(result(folder)) == 6
    return result(folder)


def stopped_after(folder: Path, calls: int) -> list[Event]:
    stopping_parts.begin(calls)
    events, stopped = [], runner(folder)
    for event in stopped.run():
        events.append(event)
    stopping_parts.begin(-1)
    return events


def leave(folder: Path) -> Cohort:
    """A study that was left with its first cohort in the middle."""
    events = stopped_after(folder, 40)
    saved = [event for event in events if isinstance(event, Saved)]
    assert len(saved) == len(files(folder)) + 1 == 2
    assert len(result_folders(folder)) == 3
    return saved[-1].cohort


def result_folders(folder: Path) -> list[Path]:
    return sorted((folder / "long" / "runs").iterdir())


@pytest.mark.parametrize("limit", [None, 1, 2])
def test_a_study_goes_on_where_it_was_left_whatever_its_cohorts_are_now(
    tmp_path: Path, undisturbed: dict[str, Any], limit: int | None
) -> None:
    left = leave(tmp_path)
    again = runner(tmp_path, limit=limit)
    assert again.cohorts[0].specs == left.specs
    events = list(again.run())
    first = [event.rows[0]["epoch"] for event in events if isinstance(event, EpochDone) and event.cohort == left]
    assert first == [0, 1, 2, 3]
    calls = next(stopping_parts.calls)
    stopping_parts.begin(-1)
    list(runner(tmp_path, force=True, limit=limit).run())
    assert calls < next(stopping_parts.calls) - 10, "what was trained before is not trained again"
    assert result(tmp_path) == undisturbed
    assert files(tmp_path) == []


def test_the_curve_is_that_of_the_resumed_run_while_it_goes_on(tmp_path: Path) -> None:
    left = leave(tmp_path)
    curve = runner(tmp_path).store.run_folder(left.shared) / "metrics.jsonl"
    curve.write_text(curve.read_text() + '{"epoch": 7}\n{"ep')
    for event in runner(tmp_path).run():
        if isinstance(event, EpochDone) and event.cohort == left:
            epoch = event.rows[0]["epoch"]
            assert curve.read_text().count("\n") == epoch + 1


def test_a_damaged_checkpoint_is_named_and_the_result_is_right(
    tmp_path: Path, undisturbed: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    leave(tmp_path)
    (path,) = files(tmp_path)
    path.write_bytes(path.read_bytes()[:-50])
    with caplog.at_level(logging.WARNING):
        list(runner(tmp_path).run())
    assert [path.name in message and "damaged" in message for message in caplog.messages] == [True]
    assert result(tmp_path) == undisturbed
    assert files(tmp_path) == []


def test_one_whose_first_line_is_damaged_is_named_too(
    tmp_path: Path, undisturbed: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    leave(tmp_path)
    (path,) = files(tmp_path)
    path.write_bytes(b"\x00" * 100)
    with caplog.at_level(logging.WARNING):
        list(runner(tmp_path).run())
    assert [path.name in message and "damaged" in message for message in caplog.messages] == [True]
    assert result(tmp_path) == undisturbed
    assert files(tmp_path) == []


def test_one_that_the_worker_refuses_is_named(
    tmp_path: Path, undisturbed: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    leave(tmp_path)
    (path,) = files(tmp_path)
    path.write_bytes(path.read_bytes().replace(b'"torch": "', b'"torch": "0', 1))
    with caplog.at_level(logging.WARNING):
        list(runner(tmp_path).run())
    assert [path.name in message and "computed with torch 0" in message for message in caplog.messages] == [True]
    assert result(tmp_path) == undisturbed


def test_force_ignores_and_removes_checkpoints(tmp_path: Path, undisturbed: dict[str, Any]) -> None:
    left = leave(tmp_path)
    events = runner(tmp_path, force=True).run()
    assert isinstance(next(events), Started)
    assert files(tmp_path) == []
    told = next(events)
    assert isinstance(told, EpochDone)
    assert told.rows[0]["epoch"] == 0
    list(events)
    assert result(tmp_path) == undisturbed
    assert left.specs


def test_what_another_process_has_is_not_taken_from_it(tmp_path: Path, undisturbed: dict[str, Any]) -> None:
    left = leave(tmp_path)
    mine = runner(tmp_path)
    with Claims(mine.store.folder) as others:
        others.take(mine.store.run_folder(left.specs[0]))
        events = list(runner(tmp_path).run())
        assert left.specs[0] not in [
            spec for event in events if isinstance(event, Started) for spec in event.cohort.specs
        ]
    list(runner(tmp_path).run())
    assert result(tmp_path) == undisturbed
    assert files(tmp_path) == []


def test_a_checkpoint_of_finished_runs_goes(tmp_path: Path) -> None:
    leave(tmp_path)
    (path,) = files(tmp_path)
    kept = path.read_bytes()
    list(runner(tmp_path).run())
    path.write_bytes(kept)
    assert list(runner(tmp_path).run()) == []
    assert files(tmp_path) == []


def test_a_checkpoint_that_is_half_written_is_never_seen(tmp_path: Path) -> None:
    cohort = Cohort((spec(),))
    kept = Checkpoints(tmp_path)
    heading = Heading((cohort.shared.digest,), "cpu", "2", "default", "data", "0" * 64)
    kept.write(cohort, heading.line() + b"first")
    (tmp_path / "checkpoints").chmod(0o700)
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == [name_of(cohort.specs)]
    with pytest.raises(Unusable, match="checksum"):
        opened((tmp_path / "checkpoints" / name_of(cohort.specs)).read_bytes())


def test_a_place_that_can_t_be_written_is_an_error_and_no_warning(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").write_text("in the way")
    with pytest.raises(ResultsError, match="can't write"):
        Checkpoints(tmp_path).write(Cohort((spec(),)), b"state")


def test_a_smaller_cohort_replaces_the_checkpoint_of_the_larger_one(tmp_path: Path) -> None:
    kept, specs = Checkpoints(tmp_path), tuple(spec(seed=seed) for seed in range(4))
    for cohort in (Cohort(specs), *Cohort(specs).halves()):
        heading = Heading(tuple(one.digest for one in cohort.specs), "cpu", "2", "default", "data", "0" * 64)
        kept.write(cohort, heading.line())
    names = {path.name for path in (tmp_path / "checkpoints").iterdir()}
    assert names == {name_of(half.specs) for half in Cohort(specs).halves()}


@pytest.mark.parametrize(
    ("text", "cadence"),
    [
        ("3", Cadence(epochs=3)),
        ("10 min", Cadence(seconds=600)),
        ("30 s", Cadence(seconds=30)),
        ("1.5h", Cadence(seconds=5400)),
        ("null", Cadence()),
    ],
)
def test_how_often_is_said_in_epochs_or_time_and_changes_no_run(text: str, cadence: Cadence) -> None:
    plain = Study.from_text("study: s\ntraining: {epochs: 3}\n")
    study = Study.from_text(f"study: s\ntraining: {{epochs: 3, checkpoint_every: {text}}}\n")
    assert (plain.checkpoint_every, study.checkpoint_every) == (Cadence(seconds=600), cadence)
    assert study.specs() == plain.specs()
    assert Study.from_text(study.text).checkpoint_every == cadence
    assert study.smoke().checkpoint_every == cadence
    changed = Study.from_text("study: s\n", overrides=[f"training.checkpoint_every={text}"])
    assert changed.checkpoint_every == cadence
    assert Study.from_text(changed.text).checkpoint_every == cadence


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("training: {checkpoint_every: 0}", "1:30: 'checkpoint_every' should be a number of epochs"),
        ("training: {checkpoint_every: true}", "1:30: 'checkpoint_every' should be a number of epochs"),
        ("training: {checkpoint_every: often}", "1:30: 'checkpoint_every' should be a number of epochs"),
        ("training: {checkpoint_every: 0 s}", "1:30: 'checkpoint_every' should be a number of epochs"),
        (
            "training: {checkpoint_every: 3 minutes}",
            "1:30: unknown unit 'minutes' in '3 minutes' — choose from: s, min",
        ),
        ("training: {checkpiont_every: 3}", "1:12: unknown key 'checkpiont_every' — did you mean 'checkpoint_every'?"),
        ("sweep: {training.checkpoint_every: [1, 2]}", "not in the sweep"),
        ("sweep: {training: [{checkpoint_every: 1}, {epochs: 2}]}", "not in the sweep"),
    ],
)
def test_a_cadence_that_makes_no_sense_is_located(text: str, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Study.from_text(text)
    assert told in str(caught.value)
