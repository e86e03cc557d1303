"""What is written down of a cohort in training: a row an epoch for each run, and at the end its record."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from math import isfinite
from typing import Any

from actbench import environment
from actbench.evaluation import Tally, evaluate, measure_health
from actbench.health.probe import UnitHealth, is_collapsed
from actbench.record import Outcome, RunRecord
from actbench.session import Session

HEALTH_METRICS = (
    "dead_fraction",
    "constant_fraction",
    "inert_fraction",
    "sparsity",
    "saturation",
    "worst_layer_dead_fraction",
)
"""Totals of a run's health that are metrics of it, under ``health.``."""

Row = dict[str, Any]


class Logbook:
    """Closes each epoch: validates, measures health, notes which runs have diverged.

    Args:
        session: The cohort; it is read, never changed.
    """

    def __init__(self, session: Session) -> None:
        """Start the clock."""
        self._session = session
        self._runs = len(session.cohort.specs)
        self._rows: list[list[Row]] = [[] for _ in range(self._runs)]
        self._health: list[Mapping[str, Any]] = [{} for _ in range(self._runs)]
        self._diverged: dict[int, int] = {}
        self._began = self._last = time.perf_counter()

    @property
    def all_diverged(self) -> bool:
        """Whether there is nothing left to train."""
        return len(self._diverged) == self._runs

    def untrained(self) -> list[Row]:
        """Epoch 0: the network at initialisation, evaluated on the whole training set."""
        session = self._session
        return self._close(0, *evaluate(session.forward, session.images, session.images.train, self._runs))

    def epoch(self, seen: Tally) -> list[Row]:
        """The epoch just trained; training loss and accuracy are means over its steps, while the weights moved."""
        return self._close(len(self._rows[0]), *seen.means())

    def records(self) -> Iterator[RunRecord]:
        """One record a run; only here is the test set read."""
        session = self._session
        losses, accuracies = evaluate(session.forward, session.images, session.images.test, self._runs)
        seconds = time.perf_counter() - self._began
        timing = {"cohort_runs": self._runs, "cohort_seconds": seconds, "seconds": seconds / self._runs}
        for run, spec in enumerate(session.cohort.specs):
            outcome, message = self._outcome(run)
            tested = {"test.accuracy": accuracies[run], "test.loss": losses[run]}
            yield RunRecord(
                spec=spec,
                outcome=outcome,
                curves=tuple(self._rows[run]),
                final=self._final(run, tested) | {"seconds": timing["seconds"]},
                health=self._health[run],
                environment=environment.of_worker(session.device) | {"data": session.images.fingerprint},
                timing=timing,
                message=message,
            )

    def _close(self, epoch: int, losses: Sequence[float], accuracies: Sequence[float]) -> list[Row]:
        validation = self._validate()
        health = self._measure()
        self._note_diverged(epoch, losses)
        now = time.perf_counter()
        seconds, self._last = (now - self._last) / self._runs, now
        for run in range(self._runs):
            row: Row = {"epoch": epoch, "train.loss": losses[run], "train.accuracy": accuracies[run]}
            row |= {name: values[run] for name, values in validation.items()}
            row |= self._health_columns(run, health)
            self._rows[run].append({key: _number(value) for key, value in row.items()} | {"seconds": seconds})
        return [rows[-1] for rows in self._rows]

    def _validate(self) -> dict[str, Sequence[float | None]]:
        session = self._session
        if not len(session.images.val):
            return {"val.loss": [None] * self._runs, "val.accuracy": [None] * self._runs}
        losses, accuracies = evaluate(session.forward, session.images, session.images.val, self._runs)
        return {"val.loss": losses, "val.accuracy": accuracies}

    def _measure(self) -> UnitHealth:
        session = self._session
        settings = session.cohort.shared.health
        return measure_health(session.forward, session.act, session.images, settings, self._runs)

    def _health_columns(self, run: int, health: UnitHealth) -> Row:
        """Totals as columns and one entry a layer; a diverged run has no health any more."""
        if run in self._diverged:
            return {f"health.{name}": None for name in HEALTH_METRICS} | {"layers": []}
        found = health.of_run(run)
        component = self._session.cohort.specs[run].activation
        for layer in found["layers"]:
            learned = self._session.stack.learned(layer["name"], run, component)
            if learned:
                layer["learned"] = {option: float(values.mean()) for option, values in learned.items()}
        self._health[run] = found
        return {f"health.{name}": found[name] for name in HEALTH_METRICS} | {"layers": found["layers"]}

    def _note_diverged(self, epoch: int, losses: Sequence[float]) -> None:
        finite = self._session.stack.is_finite().tolist()
        for run, loss in enumerate(losses):
            if not (isfinite(loss) and finite[run]):
                self._diverged.setdefault(run, epoch)

    def _outcome(self, run: int) -> tuple[Outcome, str]:
        if run in self._diverged:
            return "diverged", f"the loss or a parameter is no finite number since epoch {self._diverged[run]}"
        health = self._health[run]
        if is_collapsed(health, self._session.cohort.shared.health):
            share = f"{health['inert_fraction']:.0%} of the hidden units are inert (dead or constant)"
            whole = [layer["name"] for layer in health["layers"] if layer["inert"] == layer["units"]]
            return "collapsed", share + (f"; every unit of {', '.join(whole)} is" if whole else "")
        return "ok", ""

    def _final(self, run: int, tested: Mapping[str, float]) -> dict[str, float | None]:
        """The last epoch's metrics; a diverged run has none but its size."""
        row = self._rows[run][-1]
        parameters = float(self._session.stack.parameter_count(run))
        curve = ("train.loss", "train.accuracy", "val.loss", "val.accuracy")
        final = {**tested, **{name: row[name] for name in curve}}
        final |= {f"health.{name}": row[f"health.{name}"] for name in HEALTH_METRICS}
        final["health.born_dead_fraction"] = self._rows[run][0]["health.dead_fraction"]
        if run in self._diverged:
            final = dict.fromkeys(final)
        return {**{name: _number(value) for name, value in final.items()}, "parameters": parameters}


def _number(value: Any) -> Any:
    """JSON has no NaN and no infinity: None stands for both."""
    return None if isinstance(value, float) and not isfinite(value) else value
