"""One training step of a cohort, and its capture in a CUDA graph.

On a GPU the kernels of a small network end sooner than the next can be launched. A captured step is launched as a
whole: the same kernels on the same memory in the same order, so its numbers are those of the step that was captured.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from actbench.evaluation import cross_entropy
from actbench.optimizers import clip_gradients

if TYPE_CHECKING:
    from actbench.session import Session

Step = Callable[[Tensor, Tensor], None]

WARM_UP = 3
"""Ordinary steps before the capture: libraries set up and choose kernels in their first calls, on a side stream."""


def step_of(session: Session, *, capture: bool) -> Step:
    """How the session takes its steps: captured on CUDA where that is wanted and possible, else one call after another.

    A user's own module may do what can't be captured, such as waiting for a result.
    """
    if capture and session.device.type == "cuda" and session.cohort.shared.model.path is None:
        return CapturedStep(session)
    return lambda x, labels: take(session, x, labels)


def take(session: Session, x: Tensor, labels: Tensor) -> None:
    """Forward, backward, clip, update: x (R, B, C, H, W), labels (R, B).

    The losses are summed over the runs, never averaged: each run's gradient is its own, whatever the cohort's size.
    Nothing here asks the device for a result.
    """
    stack, clip_norm = session.stack, session.cohort.shared.training.clip_norm
    stack.offer_gradients()
    logits = session.forward_in_training(x)
    losses = cross_entropy(logits, labels)
    torch.autograd.backward(losses.sum())
    stack.collect_gradients()
    if clip_norm is not None:
        clip_gradients(stack.trained.values(), clip_norm)
    session.optimizer.step()
    session.tally.add(losses, logits, labels)


class CapturedStep:
    """Steps of the full batch size, replayed from a CUDA graph after a few ordinary ones.

    Batches of another size (an epoch's last) and cohorts that draw random numbers in their steps, which happens on the
    CPU, are done the ordinary way.

    Args:
        session: Its optimizer has been made ``capturable``.
    """

    def __init__(self, session: Session) -> None:
        """Nothing is captured yet."""
        self._session, self._side = session, _stream(session.device)
        self._taken = 0
        self._graph: torch.cuda.CUDAGraph | None = None
        self._x = self._labels = torch.empty(0)

    def __call__(self, x: Tensor, labels: Tensor) -> None:
        """Take one step."""
        full = x.shape[1] == self._session.cohort.shared.training.batch_size
        if not full or self._session.act.draws:
            take(self._session, x, labels)
        elif self._taken < WARM_UP:
            self._taken += 1
            self._aside(x, labels)
        else:
            self._replay(x, labels)

    def _aside(self, x: Tensor, labels: Tensor) -> None:
        current = torch.cuda.current_stream(self._session.device)
        self._side.wait_stream(current)
        with torch.cuda.stream(self._side):
            take(self._session, x, labels)
        current.wait_stream(self._side)

    def _replay(self, x: Tensor, labels: Tensor) -> None:
        if self._graph is None:
            self._x, self._labels = torch.empty_like(x), torch.empty_like(labels)
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                take(self._session, self._x, self._labels)
            self._graph = graph
        self._x.copy_(x)
        self._labels.copy_(labels)
        self._graph.replay()


def _stream(device: torch.device) -> torch.cuda.Stream:
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]


def make_capturable(optimizer: torch.optim.Optimizer, device: torch.device) -> None:
    """Keep the learning rate and the step counts on the device, before the first step: a graph bakes in all else."""
    for group in optimizer.param_groups:
        group["lr"] = torch.tensor(group["lr"], device=device)
        if "capturable" in group:
            group["capturable"] = True


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """The rate of the next step, in place where it lies on the device."""
    for group in optimizer.param_groups:
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(rate)
        else:
            group["lr"] = rate
