"""One training step of a cohort, and its capture in a CUDA graph.

On a GPU the kernels of a small network end sooner than the next can be launched. A captured step is launched as a
whole: the same kernels on the same memory in the same order, so its numbers are those of the step that was captured.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from actbench import dense
from actbench.evaluation import cross_entropy
from actbench.optimizers import clip_gradients

if TYPE_CHECKING:
    from actbench.session import Session

Step = Callable[["Session", Tensor, Tensor], None]
"""Given its session at every call: one that kept it would be a cycle, and hold its memory until a collection."""

WARM_UP = 3
"""Ordinary steps before the capture: libraries set up and choose kernels in their first calls, on a side stream."""


def step_of(session: Session, *, capture: bool) -> Step:
    """How the session takes its steps: captured on CUDA where that is wanted and possible, else one call after another.

    A user's own module or activation may do what can't be captured, such as waiting for a result.
    """
    specs = session.cohort.specs
    own = specs[0].model.path is not None or any(spec.activation.path is not None for spec in specs)
    if capture and is_capturable(session) and not own:
        return CapturedStep(session.device)
    return take


def is_capturable(session: Session) -> bool:
    """Whether the device has graphs; in float64 the optimizer's rate is a plain number, which a graph would bake in."""
    return session.device.type == "cuda" and session.cohort.shared.training.precision != "float64"


def take(session: Session, x: Tensor, labels: Tensor) -> None:
    """Forward, backward, clip, update: x (R, B, C, H, W), labels (R, B).

    The losses are summed over the runs, never averaged: each run's gradient is its own, whatever the cohort's size.
    Nothing here asks the device for a result.
    """
    stack, clip_norm = session.stack, session.cohort.shared.training.clip_norm
    stack.offer_gradients()
    try:
        logits = session.forward_in_training(x)
        losses = cross_entropy(logits, labels)
        torch.autograd.backward(losses.sum())
    finally:
        dense.withdraw()  # what a failed step leaves would meet other tensors of the same id
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
        device: Where; the optimizer has been made ``capturable``.
    """

    def __init__(self, device: torch.device) -> None:
        """Nothing is captured yet."""
        self._side = _stream(device)
        self._taken = 0
        self._graph: torch.cuda.CUDAGraph | None = None
        self._x = self._labels = torch.empty(0)

    def __call__(self, session: Session, x: Tensor, labels: Tensor) -> None:
        """Take one step."""
        full = x.shape[1] == session.cohort.shared.training.batch_size
        if not full or session.act.draws:
            take(session, x, labels)
        elif self._taken < WARM_UP:
            self._taken += 1
            self._aside(session, x, labels)
        else:
            self._replay(session, x, labels)

    def _aside(self, session: Session, x: Tensor, labels: Tensor) -> None:
        current = torch.cuda.current_stream(session.device)
        self._side.wait_stream(current)
        with torch.cuda.stream(self._side):
            take(session, x, labels)
        current.wait_stream(self._side)

    def _replay(self, session: Session, x: Tensor, labels: Tensor) -> None:
        if self._graph is None:
            self._x, self._labels = torch.empty_like(x), torch.empty_like(labels)
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, stream=self._side):
                take(session, self._x, self._labels)
            self._graph = graph
        self._x.copy_(x)
        self._labels.copy_(labels)
        self._graph.replay()


def _stream(device: torch.device) -> torch.cuda.Stream:
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]


def make_capturable(optimizer: torch.optim.Optimizer, device: torch.device) -> None:
    """Keep the learning rate and the step counts on the device, before the first step: a graph bakes in all else."""
    for group in optimizer.param_groups:
        group["lr"] = torch.tensor(group["lr"], dtype=torch.float32, device=device)
        if "capturable" in group:
            group["capturable"] = True


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """The rate of the next step, in place where it lies on the device."""
    for group in optimizer.param_groups:
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(rate)
        else:
            group["lr"] = rate
