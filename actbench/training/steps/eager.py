"""Take training steps one operation after another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from actbench.nn import cpu_linear
from actbench.nn.optimizers import clip_gradients
from actbench.system import user_code
from actbench.training.batches import Batch
from actbench.training.state import TrainState


class EagerStepper:
    """Take steps by calling each operation, as a plain PyTorch loop does."""

    batches_per_call: ClassVar[int] = 1

    def __call__(self, state: TrainState, batches: Sequence[Batch]) -> None:
        """Take a step with each of the batches."""
        for x, labels in batches:
            state.set_rate(state.next_rate())
            train_step(state, x, labels)


def train_step(state: TrainState, x: Tensor, labels: Tensor) -> None:
    """Take one step at the rate that is set: forward, backward, clip, update, tally. Nothing waits for the device.

    Args:
        state: The cohort.
        x: (R, B, C, H, W).
        labels: (R, B).
    """
    update(state, *compute_gradients(state, x, labels), labels)


def update(state: TrainState, losses: Tensor, logits: Tensor, labels: Tensor) -> None:
    """Take every optimizer's step, and add what ``compute_gradients`` returned to the tally."""
    for optimizer in state.optimizers:
        optimizer.step()
    state.tally.add(losses, logits, labels)


def compute_gradients(state: TrainState, x: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Pass forward and backward and clip: return every run's loss (R,) and logits (R, B, classes).

    The losses are summed over the runs, never averaged: each run's gradient is its own, whatever the cohort's size.

    Args:
        state: The cohort; the gradients lie in ``state.stack.gradients`` afterwards.
        x: (R, B, C, H, W).
        labels: (R, B).
    """
    stack, clip_norm = state.stack, state.cohort.shared.training.clip_norm
    stack.offer_gradients()
    try:
        logits = state.forward_in_training(x)
        losses = state.loss(logits, labels)
        # Gradient of the summed losses; a NaN run affects only its own gradients, since no operation mixes two runs.
        pass_backward = user_code.backward if state.has_own_code else torch.autograd.backward
        pass_backward(_total(losses))
    finally:
        cpu_linear.withdraw_slots()  # a failed step leaves some, which another tensor of the same id would use
    stack.collect_gradients()
    if clip_norm is not None:
        clip_gradients(stack.trained.values(), clip_norm)
    return losses.detach(), logits.detach()


def _total(losses: Tensor) -> Tensor:
    """Return the sum of the losses (R,), one number, which autograd takes without a gradient of its own.

    Given a tensor of ones as the gradient, torch would import sympy at the first step, which takes half a second.
    The product with ones lays them out as such a tensor all the same: the gradient of a bare sum is a single 1, for
    which kernels may take another path.
    """
    return losses if len(losses) == 1 else (losses * torch.ones_like(losses)).sum()
