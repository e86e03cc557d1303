"""Pass forward in evaluation on a CPU from a trace that is made once for each run: what ``replayed`` is for steps.

The parameters stay where they are all the time, so a trace serves from the first evaluation to the last. Intermediate
results lie in one small memory for all runs, which stays in the cache; fresh memory for every layer of every run took
a third of an evaluation's time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container

import torch
from torch import Tensor

from actbench.training.state import TrainState
from actbench.training.steps.arena import Arena
from actbench.training.steps.op_trace import OpTracer, Replay

EAGER_PASSES = 2
"""Passes before one is traced, for each size of batch: in a few batches a trace does not pay."""


class ReplayedForward:
    """Return logits (R, B, classes) for x (R, B, C, H, W), as ``TrainState.forward_in_training`` does, to the last bit.

    Passes that something observes (health, gradients, statistics for batch norm) are eager.

    Args:
        state: The cohort. It is kept: the evaluation lasts as long as the training.
    """

    def __init__(self, state: TrainState) -> None:
        self._state = state
        self._passed: Counter[int] = Counter()
        self._traced: dict[int, _TracedForward] = {}
        self._arena = Arena()
        self._untraceable = False

    @property
    def traced_sizes(self) -> frozenset[int]:
        """The sizes of batch whose passes have been traced; read by tests only."""
        return frozenset(self._traced)

    def __call__(self, x: Tensor) -> Tensor:
        """Return the logits; those of a replay are overwritten by the next pass, and those of resting runs are old."""
        state, size = self._state, x.shape[1]
        alike = x.stride(0) == 0 or len(x) == 1  # one batch in memory for all runs
        if torch.is_grad_enabled() or state.act.is_observed or self._untraceable or not alike:
            return state.forward_in_training(x)
        self._passed[size] += 1
        if self._passed[size] <= EAGER_PASSES:
            return state.forward_in_training(x)
        if size not in self._traced:
            traced = _TracedForward(state, x, self._arena)
            self._untraceable = traced.untraceable
            if not self._untraceable:
                self._traced[size] = traced
            return traced.logits
        return self._traced[size](x, state.resting)


class _TracedForward:
    """Pass forward run by run and trace that; then replay it for other batches of the same size.

    Attributes:
        logits: (R, B, classes), of the last batch.
        untraceable: Whether the pass can't be replayed.
    """

    def __init__(self, state: TrainState, x: Tensor, arena: Arena) -> None:
        runs = len(state.cohort.specs)
        self._x = x[:1].to(state.step_dtype, copy=True)
        self.logits = x.new_empty(runs, x.shape[1], state.images.classes)
        self._replays: list[Replay] = []
        self.untraceable = False
        for run in range(runs):
            part, tracer = state.part(run), OpTracer()
            with tracer:
                self.logits[run : run + 1].copy_(part.forward_in_training(self._x))
            self.untraceable = self.untraceable or bool(tracer.untraceable)
            self._replays.append(tracer.build_replay(arena))

    def __call__(self, x: Tensor, resting: Container[int]) -> Tensor:
        self._x.copy_(x[:1])
        for run, replay in enumerate(self._replays):
            if run in resting:
                continue
            for call in replay:
                call()
        return self.logits
