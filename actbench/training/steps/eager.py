"""A training step, one operation after another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from actbench.nn import cpu_linear
from actbench.nn.optimizers import clip_gradients
from actbench.training.batches import Batch
from actbench.training.evaluation import cross_entropy
from actbench.training.state import TrainState


class EagerSteps:
    """One after another."""

    together: ClassVar[int] = 1

    def __call__(self, state: TrainState, batches: Sequence[Batch]) -> None:
        """Take them."""
        for x, labels in batches:
            state.set_rate(state.next_rate())
            take(state, x, labels)


def take(state: TrainState, x: Tensor, labels: Tensor) -> None:
    """Forward, backward, clip, update, at the rate that is set: x (R, B, C, H, W), labels (R, B).

    Nothing here asks the device for a result.
    """
    update(state, *find_gradients(state, x, labels), labels)


def update(state: TrainState, losses: Tensor, logits: Tensor, labels: Tensor) -> None:
    """What follows on the gradients: every optimizer's step, and the tally of what ``find_gradients`` returned."""
    for optimizer in state.optimizers:
        optimizer.step()
    state.tally.add(losses, logits, labels)


def find_gradients(state: TrainState, x: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Forward, backward, clip: every run's loss (R,) and logits (R, B, classes).

    The losses are summed over the runs, never averaged: each run's gradient is its own, whatever the cohort's size.
    """
    stack, clip_norm = state.stack, state.cohort.shared.training.clip_norm
    stack.offer_gradients()
    try:
        logits = state.forward_in_training(x)
        losses = cross_entropy(logits, labels)
        torch.autograd.backward(losses, torch.ones_like(losses))  # the slope of their sum
    finally:
        cpu_linear.withdraw_slots()  # what a failed step leaves would meet other tensors of the same id
    stack.collect_gradients()
    if clip_norm is not None:
        clip_gradients(stack.trained.values(), clip_norm)
    return losses.detach(), logits.detach()
