"""Time estimates, held against invented machines: cohorts whose seconds follow a law that the estimates do not know."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path

import pytest
from factories import record, save

from actbench.cli.output import rough_duration
from actbench.execution.cohorts import schedule
from actbench.execution.estimates import (
    RUNS_OF_A_STUDY,
    STARTUP,
    STUDIES,
    TRUST,
    Estimates,
    MeasuredCohort,
    RemainingTime,
    Stopwatch,
    read_estimates,
)
from actbench.schema.events import EpochDone, Failed, Finished, Started
from actbench.schema.record import RunRecord
from actbench.schema.runtime import Cohort
from actbench.schema.spec import RunSpec

HERE = {"device": "cpu", "device_name": platform.machine(), "processors": os.cpu_count()}
SLOW = {"gelu": 1.6, "elu": 1.3}


def spec(activation: str = "relu", seed: int = 0, *, epochs: int = 3, **settings: object) -> RunSpec:
    return RunSpec.model_validate(
        {"dataset": "digits", "activation": activation, "seed": seed, "training": {"epochs": epochs}, **settings}
    )


def law(specs: Sequence[RunSpec]) -> tuple[float, float]:
    """(Seconds of epoch 0, of an epoch) on a machine where company is half free and some activations are slow."""
    runs = sum(SLOW.get(one.activation.name, 1.0) for one in specs)
    return 0.1 + 0.05 * len(specs), 0.4 + 0.4 * runs


def measured(specs: Sequence[RunSpec], **timing: float) -> list[RunRecord]:
    """What a cohort would leave behind on that machine."""
    start, epoch = law(specs)
    total = start + epoch * specs[0].training.epochs + 0.02
    clock = {"cohort_runs": len(specs), "cohort_seconds": total, "seconds": total / len(specs)}
    row = {"epoch": 0, "seconds": start / len(specs)}
    return [
        replace(record(environment=HERE), spec=one, curves=(row,), timing={**clock, "startup_seconds": 2.0, **timing})
        for one in specs
    ]


def a_first_study(root: Path) -> Path:
    """Cohorts of four and of two runs; save for reading, as a study does."""
    for seed in range(4):
        save(root, measured([spec(name, seed) for name in ("relu", "tanh", "selu", "silu")]))
        save(root, measured([spec(name, seed) for name in ("elu", "gelu")]))
    return root


def expected_of(root: Path, specs: Sequence[RunSpec]) -> float:
    return read_estimates(root, "cpu").expect(specs).total


def true(specs: Sequence[RunSpec]) -> float:
    start, epoch = law(specs)
    return start + epoch * specs[0].training.epochs


@pytest.mark.parametrize(
    "specs",
    [
        [spec(name, 9) for name in ("relu", "tanh", "selu", "silu")],
        [spec(name, 9) for name in ("softplus", "sigmoid")],
        [spec(name, 9, epochs=40) for name in ("relu", "tanh", "selu", "silu")],
        [spec(name, 9, epochs=0) for name in ("relu", "tanh", "selu", "silu")],
        [spec("relu", 9)],
        [spec("relu", 9, bias_init=index / 10) for index in range(8)],
    ],
    ids=["other seeds", "other activations", "more epochs", "no epoch", "alone", "eight together"],
)
def test_a_second_study_of_the_same_kind_is_estimated_within_a_quarter(tmp_path: Path, specs: list[RunSpec]) -> None:
    assert expected_of(a_first_study(tmp_path), specs) == pytest.approx(true(specs), rel=0.25)


def test_a_slow_activation_is_known_once_it_has_been_measured(tmp_path: Path) -> None:
    """Both trained in the same cohorts as others; alone they take longer than a run of the same study does."""
    root = a_first_study(tmp_path)
    for seed in range(4):
        save(root, measured([spec("gelu", seed, bias_init=0.5)]) + measured([spec("relu", seed, bias_init=0.6)]))
    slow, fast = (expected_of(root, [spec(name, 20)]) for name in ("gelu", "relu"))
    assert 1.1 < slow / fast < 1.5


def test_the_latest_measurements_count_most(tmp_path: Path) -> None:
    """A machine that has become twice as fast is believed before it has been seen as often."""
    old = [MeasuredCohort(spec(seed=s), 1, frozenset({"relu"}), 0.0, 0.1, 2.0, 3) for s in range(20)]
    new = [replace(one, start=0.05, rest=1.0) for one in old]
    told = Estimates([*new, *old]).expect([spec(seed=50)]).total
    assert told < 0.5 * (0.05 + 1.0 + 0.1 + 2.0)
    assert told > 0.05 + 1.0


def test_another_setting_of_the_same_dataset_and_model_is_scaled_and_says_so(tmp_path: Path) -> None:
    found = read_estimates(a_first_study(tmp_path), "cpu")
    usual = found.expect([spec(seed=9)])
    wide = found.expect([spec(seed=9, model={"name": "mlp", "hidden": [2048, 2048]})])
    assert (usual.basis, wide.basis) == ("kind", "family")
    assert wide.total > usual.total


def test_what_has_never_been_measured_has_no_estimate_in_seconds(tmp_path: Path) -> None:
    found = read_estimates(a_first_study(tmp_path), "cpu")
    other = Cohort((spec(dataset="mnist"),))
    assert found.expect(other.specs).basis is None
    assert RemainingTime([other], 1, found).seconds is None
    assert RemainingTime([other], 1, Estimates()).seconds is None


@pytest.mark.parametrize(
    "elsewhere",
    [{"device": "cuda"}, {"processors": 1000}, {"device_name": "abacus"}],
    ids=lambda told: next(iter(told)),
)
def test_runs_of_another_machine_tell_nothing(tmp_path: Path, elsewhere: dict[str, object]) -> None:
    for one in measured([spec()]):
        save(tmp_path, [replace(one, environment={**one.environment, **elsewhere})])
    assert read_estimates(tmp_path, "cpu").measured == ()


def test_runs_that_ended_early_or_can_not_be_read_are_passed_by(tmp_path: Path) -> None:
    short = replace(measured([spec(seed=1)])[0], outcome="diverged")
    failed = replace(measured([spec(seed=2)])[0], outcome="failed")
    save(tmp_path, [*measured([spec(seed=0)]), short, failed, *measured([spec(seed=3)]), *measured([spec(seed=4)])])
    runs = tmp_path / "demo" / "runs"
    (runs / spec(seed=3).run_id / "result.json").write_text('{"schema": 1, "outco')
    (runs / spec(seed=4).run_id / "metrics.jsonl").write_text('{"epoch": 0, "sec')
    assert [one.spec.seed for one in read_estimates(tmp_path, "cpu").measured] == [0]


def test_cohorts_that_ran_out_of_patience_are_measured_by_the_epochs_that_they_took(tmp_path: Path) -> None:
    """Of ten planned epochs each cohort took three, its last run that is."""
    planned = {"epochs": 10, "patience": 1}
    for seed in range(4):
        for one, epochs in zip(measured([spec("relu", seed), spec("tanh", seed)]), (2, 3), strict=True):
            stopped = one.spec.model_copy(update={"training": planned})
            save(tmp_path, [replace(one, spec=stopped, final={**one.final, "epochs_trained": float(epochs)})])
    specs = [spec(name, 9, epochs=10) for name in ("relu", "tanh")]
    assert expected_of(tmp_path, specs) == pytest.approx(true(specs), rel=0.05)


def test_no_results_folder_is_no_measurement(tmp_path: Path) -> None:
    assert read_estimates(tmp_path / "absent", "cpu").measured == ()


def test_however_much_is_stored_a_bounded_number_of_runs_is_read(tmp_path: Path) -> None:
    for study in range(STUDIES + 2):
        for seed in range(2 * RUNS_OF_A_STUDY if study == 0 else 2):
            one = replace(measured([spec(seed=seed)], cohort_seconds=1.0 + seed + 1000 * study)[0], study=f"s{study}")
            save(tmp_path, [one])
    found = read_estimates(tmp_path, "cpu").measured
    assert len(found) <= STUDIES * RUNS_OF_A_STUDY
    assert len({one.rest // 1000 for one in found}) == STUDIES, "of the latest studies each"


def test_runs_of_one_cohort_are_one_measurement(tmp_path: Path) -> None:
    save(tmp_path, measured([spec(name) for name in ("relu", "tanh", "elu")]))
    (one,) = read_estimates(tmp_path, "cpu").measured
    assert one.runs == 3
    assert one.activations == {"relu", "tanh", "elu"}
    assert (one.start, one.startup) == (pytest.approx(0.25), 2.0)


def test_a_studys_time_is_that_of_the_last_worker_and_of_starting_them(tmp_path: Path) -> None:
    root = a_first_study(tmp_path)
    found = read_estimates(root, "cpu")
    plan = [Cohort((spec(seed=seed),)) for seed in (7, 8, 9)]
    one = found.expect(plan[0].specs).total
    assert RemainingTime(plan, 1, found).seconds == pytest.approx(2.0 + 3 * one)
    assert RemainingTime(plan, 2, found).seconds == pytest.approx(2.0 + 2 * one)
    assert RemainingTime(plan, 5, found).seconds == pytest.approx(2.0 + one)
    assert RemainingTime([], 2, found).seconds == 0
    assert Estimates().startup == STARTUP


def played(plan: Sequence[Cohort], tempo: float) -> list[tuple[float, object]]:
    """(Time, event) of one worker at this tempo: 1 for the law."""
    now, found = 2.0, []
    for cohort in plan:
        start, epoch = law(cohort.specs)
        found.append((now, Started(cohort)))
        for number in range(cohort.shared.training.epochs + 1):
            took = tempo * (epoch if number else start)
            now += took
            row = {"epoch": number, "seconds": took / len(cohort.specs)}
            found.append((now, EpochDone(cohort, [row] * len(cohort.specs))))
        found += [(now, Finished(replace(record(), spec=one))) for one in cohort.specs]
    return found


@pytest.mark.parametrize("tempo", [0.4, 1.0, 3.0])
@pytest.mark.parametrize("informed", [True, False])
def test_the_time_left_follows_what_is_measured(tmp_path: Path, tempo: float, informed: bool) -> None:
    """Whatever was expected: from half of the study on it is right within a quarter, and at its end it is nothing."""
    found = read_estimates(a_first_study(tmp_path), "cpu") if informed else Estimates()
    plan = [Cohort(tuple(spec(name, seed) for name in ("relu", "tanh", "selu", "silu"))) for seed in range(10, 18)]
    remaining = RemainingTime(plan, 1, found)
    events = played(plan, tempo)
    end = events[-1][0]
    for now, event in events:
        remaining.count(event)
        assert remaining.seconds is None or 0 <= remaining.seconds < 10 * end
        if end / 2 < now < 0.9 * end and isinstance(event, EpochDone):
            assert remaining.seconds == pytest.approx(end - now, rel=0.25)
    assert remaining.seconds == pytest.approx(0, abs=0.01 * end)


def test_a_cohort_that_fails_or_starts_over_in_halves_leaves_no_time_behind() -> None:
    whole = Cohort(tuple(spec(name) for name in ("elu", "relu", "selu", "tanh")))
    one, other = whole.halves()
    remaining = RemainingTime([whole], 1, Estimates())
    row = {"epoch": 0, "seconds": 0.1}
    for event in (Started(whole), EpochDone(whole, [row] * 4), Started(one), EpochDone(one, [row] * 2)):
        remaining.count(event)
    assert remaining.seconds
    for event in (Failed(one, "", ""), Started(other), EpochDone(other, [row] * 2), Failed(other, "", "")):
        remaining.count(event)
    assert remaining.seconds == 0


def test_runs_that_another_process_took_are_not_waited_for() -> None:
    plan = [Cohort((spec("elu", 1), spec("relu", 1))), Cohort((spec("relu", 2),))]
    remaining = RemainingTime(plan, 1, Estimates())
    narrowed = Cohort((spec("relu", 1),))
    for event in (Started(narrowed), EpochDone(narrowed, [{"epoch": 0, "seconds": 0.1}]), Failed(narrowed, "", "")):
        remaining.count(event)
    after_one = remaining.seconds
    remaining.count(Started(plan[1]))
    remaining.count(Failed(plan[1], "", ""))
    assert after_one
    assert remaining.seconds == 0


def test_the_stopwatch_adds_what_a_cohort_can_not_know() -> None:
    stopwatch, cohort = Stopwatch(), Cohort((spec(),))
    stopwatch.timed(Started(cohort))
    stopwatch.timed(EpochDone(cohort, [{"epoch": 0, "seconds": 0.0}]))
    done = stopwatch.timed(Finished(replace(record(), spec=spec(), timing={"cohort_runs": 1, "cohort_seconds": 0.0})))
    assert isinstance(done, Finished)
    timing = done.record.timing
    assert 0 < timing["startup_seconds"] <= timing["opening_seconds"] + timing["startup_seconds"]
    assert json.loads(json.dumps(timing)) == {**timing, "cohort_runs": 1, "cohort_seconds": 0.0}


@pytest.mark.parametrize(
    ("amount", "words"), [(0.2, "about 1 s"), (61, "about 61 s"), (90, "about 1.5 min"), (1800, "about 30 min")]
)
def test_a_time_is_spelled_to_two_figures(amount: float, words: str) -> None:
    assert rough_duration(amount) == words


def test_what_a_workers_first_cohort_loads_is_not_expected_of_every_other() -> None:
    first = MeasuredCohort(spec(), 1, frozenset({"relu"}), 3.0, 0.1, 1.0, 3)
    found = Estimates([replace(first, opening=0.01), first])
    assert found.expect([spec(seed=9)]).total == pytest.approx(0.01 + 0.1 + 1.0)


def test_the_time_left_of_a_resumed_study_leaves_out_the_epochs_that_are_done(tmp_path: Path) -> None:
    found = read_estimates(a_first_study(tmp_path), "cpu")
    specs = [spec(seed=seed, epochs=9) for seed in range(20, 22)]
    cohorts = [Cohort((one,)) for one in specs]
    expected = found.expect([specs[0]])
    resumed = {specs[0].digest: 6}
    whole, rest = (RemainingTime(cohorts, 1, found, before).seconds for before in ({}, resumed))
    assert whole - rest == pytest.approx(expected.start + 6 * expected.epoch)
    remaining = RemainingTime(cohorts, 1, found, resumed)
    remaining.count(Started(cohorts[0], resumes=True))
    for epoch in range(7):
        before = remaining.seconds
        seconds = expected.epoch if epoch else expected.start
        remaining.count(EpochDone(cohorts[0], [{"epoch": epoch, "seconds": seconds}]))
        assert remaining.seconds == pytest.approx(before), "what is done comes once more"
    remaining.count(EpochDone(cohorts[0], [{"epoch": 7, "seconds": expected.epoch}]))
    assert remaining.seconds == pytest.approx(before - expected.epoch)
    remaining.count(Started(cohorts[0]))
    assert remaining.seconds == pytest.approx(whole - found.startup), "its checkpoint was refused"


class Straightforward:
    """The time left worked out from all that has happened, by looks at every cohort at every event."""

    def __init__(self, plan: Sequence[Cohort], jobs: int, found: Estimates) -> None:
        self.plan, self.jobs, self.found = plan, jobs, found
        self.events: list[object] = []

    @property
    def seconds(self) -> float | None:
        expected = [self.found.expect(cohort.specs) for cohort in self.plan]
        if any(one.basis is None for one in expected):
            return None
        hoped = took = TRUST * sum(one.total for one in expected)
        parts = [([s.digest for s in c.specs], one, [0.0], False) for c, one in zip(self.plan, expected, strict=True)]
        startup = self.found.startup
        for event in self.events:
            ended = [event.record.spec.digest] if isinstance(event, Finished) else []
            if isinstance(event, (Started, Failed)):
                ended = [one.digest for one in event.cohort.specs]
            if isinstance(event, Started):
                parts = [part for part in parts if part[3] or not set(part[0]) & set(ended)]
                startup = 0.0
            elif isinstance(event, EpochDone):
                (part,) = [one for one in parts if event.cohort.shared.digest in one[0]]
                step = part[1].epoch if event.rows[0]["epoch"] else part[1].start
                part[2][0] += step
                hoped += step
                took += event.rows[0]["seconds"] * len(event.rows)
            parts = [([run for run in part[0] if run not in ended], *part[1:]) for part in parts]
            if isinstance(event, Started):
                parts.append((ended, self.found.expect(event.cohort.specs), [0.0], True))
            parts = [part for part in parts if part[0]]
        left = [(running, took / hoped * max(0.0, time.total - done[0])) for _, time, done, running in parts]
        busy = [seconds for running, seconds in left if running]
        loads = [*busy, *[0.0] * (self.jobs - len(busy))]
        return startup + schedule([seconds for running, seconds in left if not running], loads)[-1] if parts else 0.0


def test_the_time_left_is_that_of_looks_at_every_cohort_at_every_event(tmp_path: Path) -> None:
    """Two workers' events in turn: whole cohorts, one narrowed by another process, and halves of one that failed."""
    found = read_estimates(a_first_study(tmp_path), "cpu")
    names = ("relu", "tanh", "selu", "silu")
    plan = [Cohort(tuple(spec(name, seed) for name in names)) for seed in range(10, 16)]
    first, second = plan[4].halves()
    broken = [Started(plan[4]), Started(first), *[event for _, event in played([first, second], 0.5)][1:]]
    ways = [
        [event for _, event in played([plan[0], Cohort(plan[2].specs[:3]), plan[5]], 2.0)],
        [*[event for _, event in played([plan[1], plan[3]], 0.7)], *broken],
    ]
    events = [event for pair in zip_longest(*ways) for event in pair if event is not None]
    fast, slow = RemainingTime(plan, 2, found), Straightforward(plan, 2, found)
    for event in events:
        fast.count(event)
        slow.events.append(event)
        assert fast.seconds == pytest.approx(slow.seconds, rel=1e-12, abs=1e-9)
    assert fast.seconds == 0
