"""The workloads' networks as plain torch modules, for all peers that use torch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.peers.examples import Arrays
from benchmarks.workloads import Run, Workload

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "selu": nn.SELU,
    "silu": nn.SiLU,
    "gelu": nn.GELU,
}


def build(workload: Workload, run: Run) -> nn.Sequential:
    """The run's network with He-normal weights (variance 2 / fan_in), hidden biases at ``run.bias``, the last at 0."""
    torch.manual_seed(run.seed)  # noqa: TID251  as tutorials do; no stream of actbench's is needed here
    activation = ACTIVATIONS[run.activation]
    layers: list[nn.Module] = []
    inputs = workload.shape[0]
    for block in workload.blocks:
        for channels in block:
            layers += [nn.Conv2d(inputs, channels, 3, padding=1), activation()]
            inputs = channels
        layers.append(nn.MaxPool2d(2))
    layers.append(nn.Flatten())
    for units, outputs in pairwise((workload.flat, *workload.dense)):
        layers += [nn.Linear(units, outputs), activation()]
    layers.append(nn.Linear(workload.dense[-1], workload.classes))
    network = nn.Sequential(*layers)
    _initialise(network, run.bias)
    return network


def _initialise(network: nn.Sequential, bias: float) -> None:
    *hidden, output = (layer for layer in network if isinstance(layer, (nn.Linear, nn.Conv2d)))
    for layer, start in (*((layer, bias) for layer in hidden), (output, 0.0)):
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        assert layer.bias is not None
        nn.init.constant_(layer.bias, start)


@contextmanager
def computing_in(precision: str, device: str) -> Iterator[None]:
    """Compute products and convolutions in the precision meanwhile; parameters stay in float32."""
    backends: Any = torch.backends
    settings = backends.cuda.matmul, backends.cudnn.conv
    before = [one.fp32_precision for one in settings]
    for one in settings:
        one.fp32_precision = "tf32" if precision == "tf32" else "ieee"
    try:
        # Without autocast's cache of cast weights, which would outlive the step that is captured in a graph.
        with torch.autocast(device, torch.bfloat16, enabled=precision == "bfloat16", cache_enabled=False):
            yield
    finally:
        for one, setting in zip(settings, before, strict=True):
            one.fp32_precision = setting


def test_batches(data: Arrays) -> list[tuple[Tensor, Tensor]]:
    """The test images and labels, 1000 at a time: all at once, a convolution's outputs would fill gigabytes."""
    images, labels = torch.from_numpy(data.test_images), torch.from_numpy(data.test_labels)
    return list(zip(images.split(1000), labels.split(1000), strict=True))


@torch.no_grad()
def accuracy(network: nn.Module, batches: Iterable[tuple[Tensor, Tensor]], device: str) -> float:
    """Share of correct predictions."""
    network.to(device).eval()
    correct = total = 0
    for images, labels in batches:
        predicted = network(images.to(device)).argmax(1)
        correct += int((predicted == labels.to(device)).sum())
        total += len(labels)
    return correct / total
