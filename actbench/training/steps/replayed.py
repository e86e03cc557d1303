"""Take training steps on a CPU from a trace that is made once and replayed run by run.

Run by run, and several steps of a run at a time: then its weights, gradients and momentum stay in the cache instead of
making room for its neighbours' at every step. The runs share only their batches, so the order changes no number.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import nullcontext
from itertools import groupby
from math import prod

import torch
from torch import Tensor

from actbench.nn.alignment import whole_steps
from actbench.system import cancellation
from actbench.training.batches import Batch
from actbench.training.state import TrainState
from actbench.training.steps.arena import Arena, memory_of
from actbench.training.steps.eager import compute_gradients, train_step, update
from actbench.training.steps.op_trace import OpTracer, Replay

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
            for start in range(0, len(left), self._steps_per_run):
                self._traced[size](state, left[start : start + self._steps_per_run])

    def _trace(self, state: TrainState, batch: Batch) -> None:
        """Take a step and trace it."""
        state.set_rate(state.next_rate())
        step = _TracedStep(state, batch, self._steps_per_run)
        if step.trace(state, batch, self._arena):
            self._traced[batch[1].shape[1]] = step
        else:  # tracing failed: run the rest eagerly
            self._untraceable = True
            self._traced, self._arena = {}, Arena()
        update(state, *step.results, batch[1])


class _TracedStep:
    """Trace the step with batches of one size while it is taken, then replay it for every run and batch.

    The calls of a trace know tensors by their memory. So the batches lie in a few fixed places, as many as are taken of
    a run at a time, each beside a place for every run's loss and logits; and the calls are bound to each of them once.

    Args:
        state: The cohort.
        batch: One of its batches, which says their size.
        places: How many batches are taken of a run before the next run's.
    """

    def __init__(self, state: TrainState, batch: Batch, places: int) -> None:
        x, labels = batch
        runs, alike = len(labels), x.stride(0) == 0  # one batch in memory for all the runs of a seed
        self._seed_of_run = [0] * runs if alike else list(range(runs))
        seeds = 1 if alike else runs
        self._x = _places(places, seeds, x[0], state.step_dtype)
        self._labels = _places(places, seeds, labels[0], labels.dtype)
        self._losses = state.tally.loss.new_empty(places, runs, dtype=x.dtype)
        self._logits = x.new_empty(places, runs, labels.shape[1], state.images.classes)
        self._replays: list[list[Replay]] = []

    @property
    def results(self) -> tuple[Tensor, Tensor]:
        """The losses (R,) and logits (R, B, classes) of the traced step."""
        return self._losses[0], self._logits[0]

    def trace(self, state: TrainState, batch: Batch, arena: Arena) -> bool:
        """Compute the gradients of the batch, run by run, and trace that; return whether it can be replayed."""
        traceable = True
        self._put(0, batch)
        moving = (self._x, self._labels, self._losses, self._logits)
        shifts = [{memory_of(one): place * _stride_in_bytes(one) for one in moving} for place in range(len(self._x))]
        for run, seed in enumerate(self._seed_of_run):
            part, tracer = state.part(run), OpTracer()
            x, labels = self._x[0, seed].unsqueeze(0), self._labels[0, seed].unsqueeze(0)
            with tracer if traceable else nullcontext():  # after one run that isn't, the others need no trace
                loss, logits = compute_gradients(part, x, labels)
                self._losses[0, run : run + 1].copy_(loss)
                self._logits[0, run : run + 1].copy_(logits)
            self._replays.append(tracer.build_replays(arena, shifts))
            traceable = traceable and not tracer.untraceable
        return traceable

    @torch.no_grad()
    def __call__(self, state: TrainState, batches: Sequence[Batch]) -> None:
        """Take all the steps of one run, then those of the next."""
        rates = [state.next_rate() for _ in batches]
        for place, batch in enumerate(batches):
            self._put(place, batch)
        for run, (replays, optimizer) in enumerate(zip(self._replays, state.optimizers, strict=True)):
            if run in state.resting:
                continue
            for rate, replay in zip(rates, replays, strict=False):  # an epoch's last batches may be fewer
                for call in replay:
                    call()
                # Not part of the trace, which would bake in the learning rate, a Python number: one fused kernel over
                # the run's rows of the two blocks.
                optimizer.set_rate(rate)
                optimizer.step()
            cancellation.between_steps(may_stop=False)
        for (_, labels), losses, logits in zip(batches, self._losses, self._logits, strict=False):
            state.tally.add(losses, logits, labels)

    def _put(self, place: int, batch: Batch) -> None:
        """Copy a batch to one of the places, in the type in which steps compute."""
        for target, given in zip((self._x, self._labels), batch, strict=True):
            target[place].copy_(given[: target.shape[1]])


def _places(count: int, seeds: int, like: Tensor, dtype: torch.dtype) -> Tensor:
    """Allocate room for so many batches of each seed, each of which begins where torch's own memory would."""
    numbers = whole_steps(like.numel() * dtype.itemsize) // dtype.itemsize
    room = like.new_empty(count, seeds, numbers, dtype=dtype)
    return torch.unflatten(room[..., : like.numel()], 2, like.shape)


def _stride_in_bytes(tensor: Tensor) -> int:
    return tensor.stride(0) * tensor.element_size()
