"""Measure loss, accuracy and health of a cohort as it stands, without changing it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import torch
from torch import Tensor

from actbench.health.probe_statistics import LayerReached, ObserveNorm, probe_statistics
from actbench.health.units import gradients
from actbench.health.units.probe import UnitHealth, UnitObserver
from actbench.schema.spec import HealthSettings
from actbench.system.devices import accumulator
from actbench.training.batches import Examples, Images
from actbench.training.losses import Loss, cross_entropy
from actbench.training.run_activations import Activations

BATCH = 250
"""Examples per forward pass of the probe: fixed, because a matrix product's size moves the last bits of its result."""

Forward = Callable[[Tensor], Tensor]


@dataclass
class Tally:
    """Sum losses and correct predictions over examples, one sum per run.

    Args:
        loss: (R,) summed losses.
        correct: (R,) correct predictions; 0 where the targets are numbers.
        examples: How many were seen.
    """

    loss: Tensor
    correct: Tensor
    examples: int = 0

    @classmethod
    def of(cls, runs: int, device: torch.device) -> Tally:
        """Return sums over no examples yet."""
        loss, correct = torch.zeros(2, runs, dtype=accumulator(device), device=device)
        return cls(loss, correct)

    def add(self, losses: Tensor, logits: Tensor, labels: Tensor) -> None:
        """Add a batch: mean losses (R,), logits (R, B, classes), labels (R, B) or the numbers to be learned.

        Nothing waits for the device, and all of it can be replayed from a CUDA graph: so the caller counts
        ``examples``, which a graph would not.
        """
        self.loss.add_(losses.detach(), alpha=labels.shape[1])
        if not labels.is_floating_point():
            self.correct += (logits.detach().argmax(2) == labels).sum(1)

    def reset(self) -> None:
        """Start again from zero, at the same place in memory, which a CUDA graph knows."""
        self.loss.zero_()
        self.correct.zero_()
        self.examples = 0

    def means(self) -> tuple[list[float], list[float]]:
        """Return the mean loss and the accuracy of every run, which waits for the device."""
        return (self.loss / self.examples).tolist(), (self.correct / self.examples).tolist()


@torch.no_grad()
def evaluate(
    forward: Forward, images: Images, examples: Examples, runs: int, size: int, *, loss: Loss = cross_entropy
) -> tuple[list[float], list[float]]:
    """Return the mean loss and the accuracy of every run over all the examples, ``size`` of them at a time."""
    tally = Tally.of(runs, examples.labels.device)
    for x, labels in images.in_order(examples, size):
        _add(tally, forward(x.expand(runs, *x.shape[1:])), labels, loss)
    return tally.means()


def _add(tally: Tally, logits: Tensor, labels: Tensor, loss: Loss) -> None:
    """Add a batch that all runs have seen: logits (R, B, classes), targets (B, …)."""
    expanded = labels.expand(len(logits), *labels.shape)
    tally.add(loss(logits, expanded), logits, expanded)
    tally.examples += len(labels)


@torch.no_grad()
def measure_unit_health(
    forward: Forward,
    act: Activations,
    images: Images,
    health: HealthSettings,
    runs: int,
    *,
    histograms: bool,
    tally: Tally | None = None,
    loss: Loss = cross_entropy,
) -> UnitHealth:
    """Measure every hidden unit's health on the first ``probe_size`` training examples, and count histograms.

    The losses and correct predictions on them, which the same pass gives, are added to ``tally``.
    """
    observer = UnitObserver(act.with_slope, health, histograms=histograms, codes=act.codes)

    def observe(layer: str, z: Tensor) -> None:
        z = z if z.dtype.itemsize >= 4 else z.float()  # means of bfloat16 numbers would be rounded to three digits
        layout = act.layouts.get(layer)
        if layout is None:
            observer.observe(layer, z, group=act.group)
        else:  # of a user's module, which trains as a cohort of one
            observer.observe(layer, z, lambda values: layout.to_units(values[0]), layout.order)

    chosen = images.train.first(health.probe_size)
    with act.observed(observe):
        for x, labels in images.in_order(chosen, BATCH):
            logits = forward(x.expand(runs, *x.shape[1:]))
            if tally is not None:
                _add(tally, logits, labels, loss)
    return observer.finish(len(chosen))


@contextmanager
def initial_statistics(
    forward: Forward, act: Activations, images: Images, health: HealthSettings, runs: int
) -> Iterator[None]:
    """Let batch norm use the statistics of the probe, the first ``probe_size`` training examples, for a while.

    For the network at initialisation, whose running statistics stand for no data yet.
    """
    chosen = images.train.first(health.probe_size)

    @torch.no_grad()
    def pass_probe(observe: ObserveNorm) -> None:
        with act.norms_observed(observe):
            for x, _ in images.in_order(chosen, BATCH):
                with suppress(LayerReached):
                    forward(x.expand(runs, *x.shape[1:]))

    with probe_statistics(pass_probe):
        yield


def measure_gradients(
    forward: Forward, act: Activations, images: Images, runs: int, *, loss: Loss = cross_entropy
) -> dict[str, Tensor]:
    """Return each hidden layer's gradient norm (R,) on the first ``BATCH`` examples; parameters' gradients stay.

    ``forward`` may leave out the gradients of the parameters.
    """
    chosen = images.train.first(BATCH)
    inputs: dict[str, Tensor] = {}
    ((x, labels),) = images.in_order(chosen, BATCH)

    def observe(layer: str, z: Tensor) -> None:
        # Nothing below the first layer requires a gradient where the parameters don't, nor behind a step function.
        inputs[layer] = z if z.requires_grad else z.requires_grad_()

    with act.observed(observe):
        losses = loss(forward(x.expand(runs, *x.shape[1:])), labels.expand(runs, *labels.shape))
    return gradients.norms(losses, inputs) if inputs else {}
