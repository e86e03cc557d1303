"""Write down a cohort's training: a row per run and epoch, and at the end a record per run."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from torch import Tensor

from actbench.health.units.diagnosis import collapse_in_words, diagnose, is_collapsed
from actbench.health.units.dynamics import Dynamics
from actbench.health.units.gradients import first_to_last
from actbench.nn import cpu_linear
from actbench.nn.chosen_activations import as_options, overflow
from actbench.nn.native import library as native
from actbench.schema.health_measures import DYNAMIC_COUNTS, HEALTH_MEASURES, NOT_FINITE, RECYCLED
from actbench.schema.histograms import HISTOGRAMS
from actbench.schema.metrics import METRICS
from actbench.schema.record import MAX_INITIAL_EXAMPLES, MAX_MAGNITUDE, Outcome, RunRecord, may_be_recorded, recorded
from actbench.system import cancellation, devices
from actbench.training.batches import Examples
from actbench.training.evaluation import (
    Forward,
    Tally,
    evaluate,
    initial_statistics,
    measure_gradients,
    measure_unit_health,
)
from actbench.training.losses import Loss, loss_of
from actbench.training.selection import EpochSelection
from actbench.training.state import TrainState

BORN_DEAD = "health.born_dead_fraction"
HEALTH = tuple(name.removeprefix("health.") for name in METRICS if name.startswith("health.") and name != BORN_DEAD)
"""The totals of a run's health that are metrics."""

NOT_FINITE_TOTAL = HEALTH_MEASURES[NOT_FINITE].total(NOT_FINITE)

Row = dict[str, Any]
Means = tuple[list[float], list[float]]
"""The runs' losses and accuracies; these are without meaning where the targets are numbers."""


class EpochLog:
    """Close each epoch: validate, measure health, note which runs have diverged.

    A run that has diverged or stopped gets no further rows: its curve must not depend on how long its neighbours go on.

    Args:
        state: The cohort; it is read, and the time that its last steps took is added to it.
        forward: How to pass forward in evaluation: x (R, B, C, H, W) -> logits (R, B, classes).
    """

    def __init__(self, state: TrainState, forward: Forward) -> None:
        self._state, self._pass_forward = state, forward
        self._runs = len(state.cohort.specs)
        self._rows: list[list[Row]] = [[] for _ in range(self._runs)]
        self._health: dict[int, dict[str, Any]] = {}
        self._dynamics = Dynamics()
        self._diverged: dict[int, int] = {}
        self._selection = EpochSelection(state)
        self._epoch = 0
        self._loss = loss_of(state.cohort.shared.training, smoothed=False)
        self._began = self._last = time.perf_counter()

    @property
    def epochs_written(self) -> int:
        """The number of epochs that have been written down, epoch 0 (the untrained network) included."""
        return max(map(len, self._rows))

    @property
    def epochs_trained(self) -> int:
        """The number of epochs that have been trained and written down; epoch 0 is not one of them."""
        return max(0, self.epochs_written - 1)

    @property
    def all_ended(self) -> bool:
        """Whether there is nothing left to train."""
        return all(map(self.has_ended, range(self._runs)))

    def has_ended(self, run: int) -> bool:
        """Return whether a run gets no further rows: it has diverged, or run out of patience."""
        return run in self._diverged or run in self._selection.stopped

    def has_diverged(self, run: int) -> bool:
        """Return whether a run has diverged."""
        return run in self._diverged

    def selected_epoch(self, run: int) -> int:
        """Return the epoch that a run reports so far: the best one where ``training.select`` asks for it, or its last.

        A run that has diverged reports none; its last epoch stands for it.
        """
        selected = None if run in self._diverged else self._selection.selected(run)
        return int(self._rows[run][-1]["epoch"]) if selected is None else selected[0]

    def close_initial(self) -> list[Row | None]:
        """Write down epoch 0: the network at initialisation, on the first ``MAX_INITIAL_EXAMPLES`` training examples.

        Batch norm uses the statistics of the health probe, since its running ones hold no data yet.

        Returns:
            A row per run; None for runs that had ended before. So in ``close_epoch``.

        Raises:
            Stopped: When the training was asked to stop; nothing is written down then. So in ``close_epoch`` and
                ``records``.
        """
        train, probe_size = self._state.images.train, self._state.cohort.shared.health.probe_size
        seen = train.first(MAX_INITIAL_EXAMPLES)
        with self._initial_statistics():
            if len(seen) == len(train.first(probe_size)):  # one pass gives both, as by default
                return self._close(0, None)
            return self._close(0, self._evaluate(seen, self._state.loss))

    def close_epoch(self, seen: Tally) -> list[Row | None]:
        """Write down the epoch just trained; its training loss and accuracy are means over steps, as the weights moved.

        Args:
            seen: Sums over the epoch's steps.

        Returns:
            A row per run.
        """
        began = time.perf_counter()
        means = seen.means()  # waits for the device to end the steps
        self._state.seconds += time.perf_counter() - began
        return self._close(self.epochs_trained + 1, means)

    def rows_so_far(self) -> Iterator[list[Row | None]]:
        """Yield all that ``close_initial`` and ``close_epoch`` have returned so far, once more."""
        for epoch in range(self.epochs_written):
            yield [rows[epoch] if epoch < len(rows) else None for rows in self._rows]

    def records(self) -> list[RunRecord]:
        """Return one record per run; only here is the test set read."""
        self._selection.put_back()
        images = self._state.images
        means = self._evaluate(images.test, self._loss)
        self._note_diverged(range(self._runs), means[0])
        return list(self._records(dict(reversed(self._columns("test", means).items()))))

    def state(self) -> dict[str, Any]:
        """Return all that is written down so far, as tensors and plain containers; clocks as seconds gone by."""
        now, selection = time.perf_counter(), self._selection.state()
        return ({} if selection is None else {"selection": selection}) | {
            "rows": self._rows,
            "health": self._health,
            "dynamics": self._dynamics.state(),
            "diverged": self._diverged,
            "epoch": self._epoch,
            "seconds": now - self._began,
            "seconds_of_epoch": now - self._last,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from what ``state`` returned; the time between the two does not count."""
        now = time.perf_counter()
        self._rows, self._health, self._diverged = state["rows"], state["health"], state["diverged"]
        self._dynamics.restore(state["dynamics"])
        self._selection.restore(state.get("selection"))
        self._epoch = state["epoch"]
        self._began, self._last = now - state["seconds"], now - state["seconds_of_epoch"]

    def _initial_statistics(self) -> AbstractContextManager[None]:
        """Return the context of ``initial_statistics``, which a network without batch norm has no use for."""
        state = self._state
        if not state.model.normalises_over_batch and state.cohort.shared.model.path is None:
            return nullcontext()
        return initial_statistics(self._forward, state.act, state.images, state.cohort.shared.health, self._runs)

    def _evaluate(self, examples: Examples, loss: Loss) -> Means:
        """Return the mean loss and the accuracy of every run over the examples."""
        state = self._state
        size = state.model.evaluation_batch
        return evaluate(self._forward, state.images, examples, self._runs, size, loss=loss)

    def _forward(self, x: Tensor) -> Tensor:
        """Pass forward, with a chance to stop first; none before a user's module, whose passes move its streams."""
        cancellation.between_steps(may_stop=self._state.cohort.shared.model.path is None)
        return self._pass_forward(x)

    def _columns(self, part: str, means: Means | None) -> dict[str, Sequence[float | None]]:
        """Return metric -> the runs' values on a part of the data: the loss, and the accuracy or R².

        Args:
            part: ``train``, ``val`` or ``test``.
            means: What was measured; None for no examples.
        """
        none: Sequence[float | None] = [None] * self._runs
        losses, accuracies = means or (none, none)
        found = {f"{part}.{self._state.cohort.shared.training.loss_name}": losses}
        if self._state.images.has_classes:
            return found | {f"{part}.accuracy": accuracies}
        if part == "train":  # the mean over an epoch's steps, while the weights moved, explains no variance
            return found
        return found | {f"{part}.r2": none if means is None else self._explained(part, means[0])}

    def _explained(self, part: str, errors: Sequence[float]) -> list[float | None]:
        """Return R² of every run, of all outputs together: 1 - error / variance; None where the targets don't vary."""
        targets: Tensor = getattr(self._state.images, part).labels
        variance = targets.to(devices.accumulator(targets.device)).var(0, correction=0).mean().item()
        return [1 - error / variance if variance else None for error in errors]

    def _records(self, tested: Mapping[str, Sequence[float | None]]) -> Iterator[RunRecord]:
        state = self._state
        seconds = time.perf_counter() - self._began
        timing = {
            "cohort_runs": self._runs,
            "cohort_seconds": seconds,
            "seconds": seconds / self._runs,
            "training_seconds": state.seconds / self._runs,
        }
        worker = devices.describe_device(state.device)
        data: dict[str, Any] = {"data": state.images.fingerprint}
        data |= {"classes" if state.images.has_classes else "outputs": state.images.classes}
        worker |= {**data, "products": cpu_linear.library_in_use(), "kernels": native.name_in_use()}
        for run, spec in enumerate(state.cohort.specs):
            outcome, message = self._outcome(run)
            yield RunRecord(
                spec=spec,
                outcome=outcome,
                curves=tuple(self._rows[run]),
                final=self._final(run, {name: values[run] for name, values in tested.items()})
                | {"seconds": timing["seconds"]},
                health={**self._reported_health(run), "diagnosis": self._diagnosis(run)},
                environment=worker,
                timing=timing,
                message=message,
            )

    def _close(self, epoch: int, trained: Means | None) -> list[Row | None]:
        """End an epoch: return its rows, None for the runs that had ended before it.

        Args:
            epoch: Its number.
            trained: Losses and accuracies on training examples; None for those on the probe.
        """
        # First all passes over data: each may raise Stopped, and then nothing of this epoch may have been written down,
        # since the resumed training closes it again.
        state, runs = self._state, self._runs
        validated = self._evaluate(state.images.val, self._loss) if len(state.images.val) else None
        shared = state.cohort.shared
        # Histograms of the network before training and of the trained one; those between would only fill the disk. But
        # which network will be the trained one may be known only later.
        shows_histograms = epoch in (0, shared.training.epochs)
        on_probe = Tally.of(runs, state.device)
        units = measure_unit_health(
            self._forward,
            state.act,
            state.images,
            shared.health,
            runs,
            histograms=shows_histograms or self._selection.is_used,
            tally=on_probe if trained is None else None,
            loss=state.loss,
        )
        cancellation.between_steps(may_stop=shared.model.path is None)
        norms = measure_gradients(state.forward_with_fixed_parameters, state.act, state.images, runs, loss=state.loss)
        trained = trained or on_probe.means()
        columns = self._columns("train", trained) | self._columns("val", validated)

        self._epoch = epoch
        self._dynamics.note(epoch, units.masks("dead"), units.masks(NOT_FINITE))
        # A run that diverges now still gets this row, without health; from the next epoch on it gets none.
        writing = [run for run in range(runs) if not self.has_ended(run)]
        health = {run: self._of_run(run, units.of_run(run), norms) for run in writing}
        self._note_diverged(writing, trained[0], *([] if validated is None else [validated[0]]))
        self._health |= {run: health[run] for run in writing if run not in self._diverged}
        now = time.perf_counter()
        seconds, self._last = (now - self._last) / runs, now
        for run in writing:
            row: Row = {"epoch": epoch} | {name: recorded(values[run]) for name, values in columns.items()}
            self._rows[run].append(row | self._health_columns(run, health[run]) | {"seconds": seconds})
            before = self.selected_epoch(run)
            if run in self._diverged or not self._selection.note(run, self._rows[run][-1], health[run]):
                if not shows_histograms:
                    self._drop_histograms(run, epoch)
            elif 0 < before < epoch:
                self._drop_histograms(run, before)
        return [self._rows[run][-1] if run in writing else None for run in range(runs)]

    def _drop_histograms(self, run: int, epoch: int) -> None:
        """Take them from a row of a run that will not be reported; the health that is kept beside it has them still."""
        row = self._rows[run][epoch]
        row["layers"] = [
            {key: value for key, value in layer.items() if key not in HISTOGRAMS} for layer in row["layers"]
        ]

    def _of_run(self, run: int, found: dict[str, Any], norms: Mapping[str, Tensor]) -> dict[str, Any]:
        """Add to a run's health on the probe the units' history, the gradients' norms and learned parameters."""
        for layer in found["layers"]:
            name = layer["name"]
            # A user's own module may have called a layer on the probe, but not on the examples of the gradients.
            norm = float(norms[name][run]) if name in norms else None
            layer |= self._dynamics.of_run(name, run) | {"gradient_norm": norm}
            if self._state.revival is not None:
                layer[RECYCLED] = self._state.revival.counts[name][run]
            trained = self._state.act.learned(name, run)
            if trained:
                learned = as_options(self._state.cohort.specs[run].activation, trained)
                layer["learned"] = {option: float(values.mean()) for option, values in learned.items()}
        for count in DYNAMIC_COUNTS:
            found[count] = sum(layer[count] for layer in found["layers"])
        return found | {"gradient_ratio": first_to_last([layer["gradient_norm"] for layer in found["layers"]])}

    def _health_columns(self, run: int, found: Mapping[str, Any]) -> Row:
        """Return health's totals as columns and one entry per layer; a diverged run has no health any more.

        The share of units with numbers that are not finite has a column where there are any, also when diverged.
        """
        lost = {f"health.{NOT_FINITE_TOTAL}": found[NOT_FINITE_TOTAL]} if found[NOT_FINITE] else {}
        if run in self._diverged:
            return {f"health.{name}": None for name in HEALTH} | lost | {"layers": []}
        return {f"health.{name}": found[name] for name in HEALTH} | lost | {"layers": found["layers"]}

    def _note_diverged(self, runs: Iterable[int], *losses: Sequence[float | None]) -> None:
        """Mark the runs of which a loss or a parameter has ceased to be a number for a record in this epoch."""
        finite = self._state.stack.is_below(MAX_MAGNITUDE).tolist()
        for run in runs:
            numbers = [values[run] for values in losses]
            if not finite[run] or any(number is not None and not may_be_recorded(number) for number in numbers):
                self._diverged.setdefault(run, self._epoch)

    def _outcome(self, run: int) -> tuple[Outcome, str]:
        if run in self._diverged:
            return "diverged", self._diagnosis(run)[0]
        health = self._reported_health(run)
        if is_collapsed(health, self._state.cohort.shared.health):
            return "collapsed", collapse_in_words(health)
        return "ok", ""

    def _reported_health(self, run: int) -> dict[str, Any]:
        """Return the health of the epoch that the run reports; a diverged run's is of its last with finite numbers."""
        selected = None if run in self._diverged else self._selection.selected(run)
        return self._health.get(run, {}) if selected is None else selected[1]

    def _diagnosis(self, run: int) -> list[str]:
        spec, diverged_at = self._state.cohort.specs[run], self._diverged.get(run)
        broken_at = None if diverged_at is None else overflow(spec.activation, spec.training.dtype_name)
        rows = self._rows[run][: self.selected_epoch(run) + 1]
        return list(diagnose(spec, rows, diverged_at, overflow=broken_at))

    def _final(self, run: int, tested: Mapping[str, float | None]) -> dict[str, float | None]:
        """Return the reported epoch's metrics; a diverged run has none but its number of parameters."""
        first, reported = self._rows[run][0], self._rows[run][self.selected_epoch(run)]
        final = {**tested, **{name: reported[name] for name in reported if name.startswith(("train.", "val."))}}
        final |= {f"health.{name}": reported[f"health.{name}"] for name in HEALTH}
        final[BORN_DEAD] = first["health.dead_fraction"]
        if self._selection.is_used:
            final |= {"selected_epoch": float(reported["epoch"]), "epochs_trained": float(self._rows[run][-1]["epoch"])}
        if run in self._diverged:
            final = dict.fromkeys(final)
        return {**final, "parameters": float(self._state.stack.parameter_count(run))}
