"""Compute each run's loss over its own batch: what a training step makes smaller, and what an evaluation reports."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial

import torch
import torch.nn.functional as F
from torch import Tensor

from actbench.nn.native import functions as native
from actbench.nn.parts import cut
from actbench.schema.spec import Training

Loss = Callable[[Tensor, Tensor], Tensor]
"""Outputs (R, B, C) and targets (R, B, …) -> each run's mean loss (R,)."""


def loss_of(training: Training, *, smoothed: bool) -> Loss:
    """Return the loss that a run is trained with.

    Args:
        training: The run's settings.
        smoothed: Whether ``label_smoothing`` applies, as it does in training; an evaluation does without.
    """
    if training.loss == "mse":
        return mean_squared_error
    if smoothed and training.label_smoothing:
        return partial(cross_entropy, smoothing=training.label_smoothing)
    return cross_entropy


def cross_entropy(logits: Tensor, labels: Tensor, smoothing: float = 0.0) -> Tensor:
    """Return each run's mean cross-entropy over its own batch.

    With smoothing s of C classes the right one's target is 1 - s + s / C and that of the others s / C, as torch has it.

    Args:
        logits: (R, B, classes).
        labels: (R, B).
        smoothing: Share of each target that is spread over all classes.

    Returns:
        (R,).

    Reference: Szegedy et al., "Rethinking the Inception architecture for computer vision", 2016.
    """
    runs, size, classes = logits.shape
    if logits.device.type == "cpu":
        # Run by run: by a kernel of our own, or four of torch per run, forward and backward; together they take nine.
        alone = zip(cut(logits, [1] * runs), torch.split(labels, 1), strict=True)
        if not smoothing and native.has_cross_entropy(logits):
            means = [native.cross_entropy(own, targets) for own, targets in alone]
        else:
            means = [_cross_entropy_of_run(own, targets, smoothing) for own, targets in alone]
        return torch.cat(means) if runs > 1 else means[0]
    losses = F.cross_entropy(
        logits.reshape(-1, classes), labels.reshape(-1), reduction="none", label_smoothing=smoothing
    )
    return losses.view(runs, size).mean(1)


def mean_squared_error(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return each run's mean of (output - target)² over its batch and its outputs.

    Args:
        outputs: (R, B, C).
        targets: (R, B, C); or classes (R, B), of which the right one's target is 1 and that of the others 0.

    Returns:
        (R,).
    """
    runs, size, count = outputs.shape
    if not targets.is_floating_point():
        rows = _one_hot_rows(count, outputs.dtype, outputs.device)
        targets = rows.index_select(0, targets.reshape(-1)).view(runs, size, count)
    if outputs.device.type == "cpu":
        alone = zip(cut(outputs, [1] * runs), torch.split(targets, 1), strict=True)
        # Not F.mse_loss, whose kernel resizes the memory that a replay gives it, and warns at each step.
        means = [_mean_square(own - wanted) for own, wanted in alone]
        return torch.cat(means) if runs > 1 else means[0]
    return _mean_square(outputs - targets)


def _mean_square(errors: Tensor) -> Tensor:
    return (errors * errors).mean((1, 2))


def _cross_entropy_of_run(logits: Tensor, labels: Tensor, smoothing: float) -> Tensor:
    return F.cross_entropy(logits.squeeze(0), labels.squeeze(0), label_smoothing=smoothing).unsqueeze(0)


@cache
def _one_hot_rows(classes: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return the target of each class (classes, classes): made once, so that a replayed step only reads it."""
    return torch.eye(classes, dtype=dtype, device=device)
