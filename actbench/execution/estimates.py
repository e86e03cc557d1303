"""How long runs will take, by what finished runs of the same kind took on this machine.

A cohort's time is its relative cost by ``workload`` times how much slower than that the like of it have been.
Evaluating and training are scaled apart, so that a study with more epochs is estimated as well as one with more runs.
Of the measured cohorts, those of nearly as many runs and the latest count most.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from operator import mul
from statistics import median
from typing import Literal

from actbench.execution.cost_model import workload
from actbench.schema.spec import RunSpec, canonical_json

STARTUP = 3.0
"""Seconds until workers train, where none have been measured: importing torch, mostly."""

RECENT = 3
"""Start-ups of which the middle one counts: one alone may have waited for a cold disk."""

HALF_LIFE = 16
"""So many cohorts later, one counts half: a machine that others use changes its speed."""

DOUBT = 1.0
"""An activation's own factor is drawn towards 1 as if so many cohorts of it had shown none."""

ROUNDS = 3
"""Passes that tell the factors of activations in mixed cohorts apart."""

Basis = Literal["kind", "family", "machine", "settings"]
"""What an estimate rests on: runs of the same kind; of the same dataset and model, otherwise different; of any kind; or
none at all."""

KNOWN: tuple[Basis, ...] = ("kind", "family")
"""What is enough to tell a user a time; the others serve to weigh one cohort against another."""


@dataclass(frozen=True)
class Measured:
    """A finished cohort.

    Args:
        spec: Any of its runs.
        runs: How many trained together.
        activations: Label -> how many of the runs that were read have it.
        opening: Seconds until its data and networks were there.
        start: Seconds of epoch 0.
        rest: Seconds after that.
        startup: Seconds until the workers were there; None when unknown.
    """

    spec: RunSpec
    runs: int
    activations: Mapping[str, int]
    opening: float
    start: float
    rest: float
    startup: float | None = None

    @cached_property
    def costs(self) -> tuple[float, float, float]:
        """Relative costs of epoch 0, of all epochs after it, and of the test set."""
        work = workload(self.spec)
        return work.start(self.runs), work.epochs * work.epoch(self.runs), work.end(self.runs)

    def share(self, activation: str) -> float:
        """The part of its runs that have this activation."""
        return self.activations.get(activation, 0) / sum(self.activations.values())


@dataclass(frozen=True)
class Expected:
    """What a cohort is expected to take.

    Args:
        start: Seconds until epoch 0 is done.
        epoch: Seconds of each epoch.
        end: Seconds after the last epoch.
        epochs: Number of epochs.
        basis: What it rests on.
    """

    start: float
    epoch: float
    end: float
    epochs: int
    basis: Basis

    @property
    def total(self) -> float:
        """Seconds of the cohort."""
        return self.start + self.epochs * self.epoch + self.end


@dataclass(frozen=True)
class Pool:
    """Measured cohorts that are alike.

    Args:
        measured: The cohorts, the latest first.
    """

    measured: Sequence[Measured]
    _known: dict[int, tuple[float, float]] = field(default_factory=dict, repr=False, compare=False)

    def slowness(self, runs: int) -> tuple[float, float]:
        """Seconds over relative cost, of evaluating and of training a cohort of so many runs; 1 where unknown."""
        if runs not in self._known:
            weights = [_closeness(one.runs, runs) * 0.5 ** (at / HALF_LIFE) for at, one in enumerate(self.measured)]
            evaluating = self._ratio(weights, [(one.start, one.costs[0]) for one in self.measured], 1.0)
            # The test set is evaluated as epoch 0 is; what is left of the time was training.
            training = [(one.rest - evaluating * one.costs[2], one.costs[1]) for one in self.measured]
            self._known[runs] = evaluating, self._ratio(weights, training, evaluating)
        return self._known[runs]

    def _ratio(self, weights: Sequence[float], pairs: Sequence[tuple[float, float]], unknown: float) -> float:
        took = sum(weight * seconds for weight, (seconds, _) in zip(weights, pairs, strict=True))
        cost = sum(weight * relative for weight, (_, relative) in zip(weights, pairs, strict=True))
        return took / cost if took > 0 and cost > 0 else unknown

    @cached_property
    def opening(self) -> float:
        """Seconds of a usual cohort: the least, since a worker's first one loads libraries too."""
        return min((one.opening for one in self.measured), default=0.0)

    @cached_property
    def factors(self) -> Mapping[str, float]:
        """Activation -> how much longer than the average of its like a run with it takes after epoch 0.

        Cohorts mix activations, so an activation is held against what the others in its cohorts explain, repeatedly.
        """
        found = dict.fromkeys((label for one in self.measured for label in one.activations), 1.0)
        trained = [one for one in self.measured if one.costs[1]]
        for _ in range(ROUNDS):
            over: list[float] = []
            for one in trained:
                mixed = sum(found[label] * one.share(label) for label in one.activations)
                evaluating, training = self.slowness(one.runs)
                rest = max(0.0, one.rest - evaluating * one.costs[2])  # a slow evaluation makes no training negative
                over.append(rest / (training * one.costs[1] * mixed))
            found = {label: factor * _pull(label, trained, over) for label, factor in found.items()}
        return found


@dataclass(frozen=True)
class Estimates:
    """What has been measured, and what follows from it for others.

    Args:
        measured: Finished cohorts on this machine, the latest first.
    """

    measured: Sequence[Measured] = ()

    @cached_property
    def startup(self) -> float:
        """Seconds until the workers train."""
        found = dict.fromkeys(one.startup for one in self.measured if one.startup is not None)
        return median(islice(found, RECENT)) if found else STARTUP

    def expect(self, specs: Sequence[RunSpec]) -> Expected:
        """What these runs will take as one cohort."""
        runs, work = len(specs), workload(specs[0])
        basis, pool = self._alike(specs[0])
        evaluating, training = pool.slowness(runs)
        if basis in KNOWN:
            training *= sum(pool.factors.get(one.activation.label, 1.0) for one in specs) / runs
        start = pool.opening + evaluating * work.start(runs)
        return Expected(start, training * work.epoch(runs), evaluating * work.end(runs), work.epochs, basis)

    def weigh(self, specs: Sequence[RunSpec]) -> float:
        """Seconds of these runs as one cohort: what ``plan.cohorts`` asks for."""
        return self.expect(specs).total

    def _alike(self, spec: RunSpec) -> tuple[Basis, Pool]:
        """The most similar cohorts that there are."""
        if pool := self._by_kind.get(kind(spec)):
            return "kind", pool
        if pool := self._by_family.get(_family(spec)):
            return "family", pool
        return "machine" if self.measured else "settings", Pool(self.measured)

    @cached_property
    def _by_kind(self) -> Mapping[str, Pool]:
        return _pools(self.measured, kind)

    @cached_property
    def _by_family(self) -> Mapping[str, Pool]:
        return _pools(self.measured, _family)


def kind(spec: RunSpec) -> str:
    """Runs with equal kinds take equally long, but for epochs, activation and company."""
    training = spec.training
    return canonical_json(
        [
            spec.dataset.to_json(),
            spec.model.to_json(),
            training.batch_size,
            training.optimizer.name,
            training.precision,
            training.augment is not None,
            spec.health.probe_size,
        ]
    )


def _family(spec: RunSpec) -> str:
    return f"{spec.dataset.name} {spec.model.name}"


def _pools(measured: Iterable[Measured], by: Callable[[RunSpec], str]) -> Mapping[str, Pool]:
    groups: dict[str, list[Measured]] = {}
    for one in measured:
        groups.setdefault(by(one.spec), []).append(one)
    return {name: Pool(group) for name, group in groups.items()}


def _closeness(one: int, other: int) -> float:
    """1 for cohorts of equally many runs, 1/4 for twice as many."""
    return (min(one, other) / max(one, other)) ** 2


def _pull(label: str, measured: Sequence[Measured], over: Sequence[float]) -> float:
    """By how much an activation's factor should change, where ``over`` is measured over explained, cohort by cohort."""
    shares = [one.share(label) for one in measured]
    return (DOUBT + sum(map(mul, shares, over), 0.0)) / (DOUBT + sum(shares))
