"""Measure loss, accuracy and health of a cohort as it stands, without changing it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from actbench.health.probe_statistics import LayerReached, ObserveNorm, probe_statistics
from actbench.health.units import gradients
from actbench.health.units.probe import UnitHealth, UnitObserver
from actbench.nn.native import functions as native
from actbench.nn.parts import cut
from actbench.schema.spec import HealthSettings
from actbench.system.devices import accumulator
from actbench.training.batches import Examples, Images
from actbench.training.run_activations import Activations

BATCH = 250
"""Examples per forward pass of the probe: fixed, because a matrix product's size moves the last bits of its result."""

Forward = Callable[[Tensor], Tensor]


@dataclass
class Tally:
    """Sum losses and correct predictions over examples, one sum per run.

    Args:
        loss: (R,) summed cross-entropy.
        correct: (R,) correct predictions.
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
        """Add a batch: mean losses (R,), logits (R, B, classes), labels (R, B).

        Nothing waits for the device, and all of it can be replayed from a CUDA graph: so the caller counts
        ``examples``, which a graph would not.
        """
        self.loss.add_(losses.detach(), alpha=labels.shape[1])
        self.correct += (logits.detach().argmax(2) == labels).sum(1)

    def reset(self) -> None:
        """Start again from zero, at the same place in memory, which a CUDA graph knows."""
        self.loss.zero_()
        self.correct.zero_()
        self.examples = 0

    def means(self) -> tuple[list[float], list[float]]:
        """Return the mean loss and the accuracy of every run, which waits for the device."""
        return (self.loss / self.examples).tolist(), (self.correct / self.examples).tolist()


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Return each run's mean cross-entropy over its own batch: logits (R, B, classes), labels (R, B) -> (R,)."""
    runs, size, classes = logits.shape
    if logits.device.type == "cpu":
        # Run by run: by a kernel of our own, or four of torch per run, forward and backward; together they take nine.
        alone = zip(cut(logits, [1] * runs), torch.split(labels, 1), strict=True)
        mean = native.cross_entropy if native.has_cross_entropy(logits) else _cross_entropy_of_run
        means = [mean(own, targets) for own, targets in alone]
        return torch.cat(means) if runs > 1 else means[0]
    losses = F.cross_entropy(logits.reshape(-1, classes), labels.reshape(-1), reduction="none")
    return losses.view(runs, size).mean(1)


def _cross_entropy_of_run(logits: Tensor, labels: Tensor) -> Tensor:
    return F.cross_entropy(logits.squeeze(0), labels.squeeze(0)).unsqueeze(0)


@torch.no_grad()
def evaluate(
    forward: Forward, images: Images, examples: Examples, runs: int, size: int
) -> tuple[list[float], list[float]]:
    """Return the mean loss and the accuracy of every run over all the examples, ``size`` of them at a time."""
    tally = Tally.of(runs, examples.labels.device)
    for x, labels in images.in_order(examples, size):
        _add(tally, forward(x.expand(runs, *x.shape[1:])), labels)
    return tally.means()


def _add(tally: Tally, logits: Tensor, labels: Tensor) -> None:
    """Add a batch that all runs have seen: logits (R, B, classes), labels (B,)."""
    expanded = labels.expand(len(logits), -1)
    tally.add(cross_entropy(logits, expanded), logits, expanded)
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
) -> UnitHealth:
    """Measure every hidden unit's health on the first ``probe_size`` training examples, and count histograms.

    The losses and correct predictions on them, which the same pass gives, are added to ``tally``.
    """
    observer = UnitObserver(act.with_slope, health, histograms=histograms, codes=act.codes)

    def observe(layer: str, z: Tensor) -> None:
        z = z if z.dtype.itemsize >= 4 else z.float()  # means of bfloat16 numbers would be rounded to three digits
        layout = act.layouts.get(layer)
        if layout is None:
            observer.observe(layer, z)
        else:  # of a user's module, which trains as a cohort of one
            observer.observe(layer, z, lambda values: layout.to_units(values[0]), layout.order)

    chosen = images.train.first(health.probe_size)
    with act.observed(observe):
        for x, labels in images.in_order(chosen, BATCH):
            logits = forward(x.expand(runs, *x.shape[1:]))
            if tally is not None:
                _add(tally, logits, labels)
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


def measure_gradients(forward: Forward, act: Activations, images: Images, runs: int) -> dict[str, Tensor]:
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
        losses = cross_entropy(forward(x.expand(runs, *x.shape[1:])), labels.expand(runs, -1))
    return gradients.norms(losses, inputs) if inputs else {}
