"""Take training steps on a CPU from a trace that is made once and replayed run by run.

Run by run, and several steps of a run at a time: then its weights, gradients and momentum stay in the cache instead of
making room for its neighbours' at every step. The runs share only their batches, so the order changes no number.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from itertools import groupby
from math import prod

import torch
from torch import Tensor

from actbench.system import cancellation
from actbench.training.batches import Batch
from actbench.training.state import TrainState
from actbench.training.steps.arena import Arena
from actbench.training.steps.eager import compute_gradients, train_step, update
from actbench.training.steps.op_trace import OpTracer

EAGER_STEPS = 8
"""Eager steps before the trace of one, for each size of batch. A trace takes 2 ms per run, as much as 30 replays save
in the smallest networks: not worth beginning in runs of a few steps."""

STEPS_PER_RUN = 8
"""Steps of one run before the next run's: the first of them finds the run's memory outside the cache (180 µs of 2.1 ms
for 784-256-256-10), the others don't."""

MAX_CACHED_BYTES = 16 * 2**20
"""A run's weights, gradients and momentum, and the batches, that may stay in a cache. Runs that need more take turns at
every step, which also bounds the memory for batches and the time until a stop."""


class ReplayStepper:
    """Take steps by replaying a trace, one for each size of batch, made while a step is taken.

    The first steps are eager: they show whether random numbers are drawn, which only eager steps can do. A step that
    can't be traced leaves all later ones eager.

    Args:
        state: The one whose steps are taken; it is not kept.
    """

    def __init__(self, state: TrainState) -> None:
        training, images = state.cohort.shared.training, state.images
        of_run = 3 * sum(block[0].nbytes for block in state.stack.blocks.values())
        of_batch = training.batch_size * prod(images.shape) * images.scale.element_size()
        fits = of_run + STEPS_PER_RUN * of_batch <= MAX_CACHED_BYTES
        self._steps_per_run = STEPS_PER_RUN if len(state.cohort.specs) > 1 and fits else 1
        self._untraceable = False
        self._taken: Counter[int] = Counter()
        self._arena = Arena()
        self._traced: dict[int, _TracedStep] = {}

    @property
    def traced_sizes(self) -> frozenset[int]:
        """The sizes of batch whose steps have been traced; read by tests only."""
        return frozenset(self._traced)

    @property
    def batches_per_call(self) -> int:
        """The number of batches to hand over at a time: several as soon as there is a trace."""
        return self._steps_per_run if self._traced else 1

    def __call__(self, state: TrainState, batches: Sequence[Batch]) -> None:
        """Take a step with each of the batches; only an epoch's last may have another size."""
        for size, alike in groupby(batches, lambda batch: batch[1].shape[1]):
            left = list(alike)
            # One batch at a time until there is a trace: eager steps first, then one that is traced while it is taken.
            while left and (size not in self._traced or state.act.draws):
                if self._taken[size] < EAGER_STEPS or self._untraceable or state.act.draws:
                    self._taken[size] += 1
                    state.set_rate(state.next_rate())
                    train_step(state, *left.pop(0))
                else:
                    self._trace(state, left.pop(0))
            if left:
                self._traced[size](state, left)

    def _trace(self, state: TrainState, batch: Batch) -> None:
        """Take a step and trace it."""
        state.set_rate(state.next_rate())
        step = _TracedStep(state, batch)
        if step.trace(state, batch, self._arena):
            self._traced[batch[1].shape[1]] = step
        else:  # tracing failed: run the rest eagerly
            self._untraceable = True
            self._traced, self._arena = {}, Arena()
        update(state, step.losses, step.logits, batch[1])


class _TracedStep:
    """Trace the step with batches of one size while it is taken, then replay it for every run and batch.

    The calls of a trace know tensors by their memory. So every step of every run reads its batch from the same two
    tensors and leaves its loss and logits in the same two; they are copied in and out.

    Attributes:
        losses: (R,), of the traced step.
        logits: (R, B, classes), of the traced step.
    """

    def __init__(self, state: TrainState, batch: Batch) -> None:
        x, labels = batch
        self._x, self._labels = x[:1].clone(), labels[:1].clone()
        self._loss, self._logits = x.new_empty(1), x.new_empty(1, labels.shape[1], state.images.classes)
        self._runs: list[list[Callable[[], object]]] = []
        self.losses, self.logits = _results(self._logits, 1, len(labels))[0]

    def trace(self, state: TrainState, batch: Batch, arena: Arena) -> bool:
        """Compute the gradients of the batch, run by run, and trace that; return whether it can be replayed."""
        traceable = True
        for run in range(len(self.losses)):
            self._copy_in(batch, run)
            part, tracer = state.part(run), OpTracer()
            with tracer if traceable else nullcontext():  # after one run that isn't, the others need no trace
                loss, logits = compute_gradients(part, self._x, self._labels)
                self._loss.copy_(loss)
                self._logits.copy_(logits)
            self._copy_out(self.losses, self.logits, run)
            self._runs.append(tracer.build_replay(arena))
            traceable = traceable and not tracer.untraceable
        return traceable

    @torch.no_grad()
    def __call__(self, state: TrainState, batches: Sequence[Batch]) -> None:
        """Take all the steps of one run, then those of the next."""
        rates = [state.next_rate() for _ in batches]
        results = _results(self._logits, len(batches), len(self._runs))
        for run, (calls, optimizer) in enumerate(zip(self._runs, state.optimizers, strict=True)):
            for batch, rate, (losses, logits) in zip(batches, rates, results, strict=True):
                self._copy_in(batch, run)
                for call in calls:
                    call()
                self._copy_out(losses, logits, run)
                # Not part of the trace, which would bake in the learning rate, a Python number: one fused kernel over
                # the run's rows of the two blocks.
                optimizer.set_rate(rate)
                optimizer.step()
            cancellation.between_steps(may_stop=False)
        for (_, labels), (losses, logits) in zip(batches, results, strict=True):
            state.tally.add(losses, logits, labels)

    def _copy_in(self, batch: Batch, run: int) -> None:
        x, labels = batch
        self._x.copy_(x[run : run + 1])
        self._labels.copy_(labels[run : run + 1])

    def _copy_out(self, losses: Tensor, logits: Tensor, run: int) -> None:
        losses[run : run + 1].copy_(self._loss)
        logits[run : run + 1].copy_(self._logits)


def _results(logits: Tensor, steps: int, runs: int) -> list[tuple[Tensor, Tensor]]:
    """Allocate the losses (R,) and logits (R, B, classes) of each step."""
    losses = logits.new_empty(steps, runs)
    return list(zip(losses, logits.new_empty(steps, runs, *logits.shape[1:]), strict=True))
