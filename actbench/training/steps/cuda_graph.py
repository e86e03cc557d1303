"""Take training steps on CUDA from a captured graph.

On a GPU the kernels of a small network end sooner than the next can be launched. A captured step is launched as a
whole: the same kernels on the same memory in the same order, so its numbers are those of the step that was captured.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import ClassVar

import torch
from torch import Tensor

from actbench.training.batches import Batch
from actbench.training.state import TrainState
from actbench.training.steps.eager import train_step

WARM_UP = 3
"""Eager steps before the capture: libraries set up and choose kernels in their first calls, on a side stream."""


class GraphStepper:
    """Take steps of the full batch size, replayed from a CUDA graph after a few eager ones.

    Batches of another size (an epoch's last) and cohorts that draw random numbers in their steps, which happens on the
    CPU, are taken eagerly.

    Args:
        device: The GPU; the optimizer has been made ``capturable``.
    """

    batches_per_call: ClassVar[int] = 1

    def __init__(self, device: torch.device) -> None:
        self._side = _stream(device)
        self._taken = 0
        self._graph: torch.cuda.CUDAGraph | None = None
        self._x = self._labels = torch.empty(0)

    @property
    def is_captured(self) -> bool:
        """Whether the graph has been captured; read by tests only."""
        return self._graph is not None

    def __call__(self, state: TrainState, batches: Sequence[Batch]) -> None:
        """Take a step with each of the batches; the rate lies on the device and is set outside of the graph."""
        for x, labels in batches:
            state.set_rate(state.next_rate())
            self._take(state, x, labels)

    def _take(self, state: TrainState, x: Tensor, labels: Tensor) -> None:
        full = x.shape[1] == state.cohort.shared.training.batch_size
        if not full or state.act.draws:
            train_step(state, x, labels)
        elif self._taken < WARM_UP:
            self._taken += 1
            self._warm_up(state, x, labels)
        else:
            self._replay(state, x, labels)

    def _warm_up(self, state: TrainState, x: Tensor, labels: Tensor) -> None:
        """Take an eager step on the side stream, each stream waiting for the other's work."""
        current = torch.cuda.current_stream(state.device)
        self._side.wait_stream(current)
        with torch.cuda.stream(self._side):
            train_step(state, x, labels)
        current.wait_stream(self._side)

    def _replay(self, state: TrainState, x: Tensor, labels: Tensor) -> None:
        """Launch the graph on this batch; capture it first, which runs nothing."""
        if self._graph is None:
            self._x, self._labels = torch.empty_like(x), torch.empty_like(labels)
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, stream=self._side):
                train_step(state, self._x, self._labels)
            self._graph = graph
        self._x.copy_(x)
        self._labels.copy_(labels)
        self._graph.replay()


@cache
def _stream(device: torch.device) -> torch.cuda.Stream:
    """Return one stream per process: cuBLAS keeps a workspace, tens of megabytes, for each that it was ever used on."""
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
