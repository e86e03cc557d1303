"""Check the cohort contract in float64: a run's numbers are the same alone, in a cohort and in a plain torch loop."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from actbench.datasets import load
from actbench.diagnostics.verification import Check, Folders
from actbench.errors import ActbenchError
from actbench.nn.initializers import Initializer
from actbench.nn.models import build
from actbench.nn.rng import stream
from actbench.schema.events import Failed, Finished
from actbench.schema.record import RunRecord
from actbench.schema.runtime import Cohort, Runtime
from actbench.schema.spec import RunSpec, canonical_json
from actbench.training.loop import run_cohort

HIDDEN, CLASSES, BATCH, EPOCHS, RATE = (24, 16), 10, 32, 3, 0.05
MODULES: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "prelu": nn.PReLU, "selu": nn.SELU, "tanh": nn.Tanh}
PROMISE = "docs/architecture.md"


def checks(folders: Folders) -> Iterator[Check]:
    """Train runs with mixed activations, biases and seeds together and alone, and the same with plain ``torch.nn``."""
    runs = [_spec(name, bias, seed) for name in MODULES for bias in (0.01, "pytorch") for seed in (0, 3)]
    together = _records(runs, folders)
    alone = [_records([run], folders)[0] for run in runs]
    unequal = sum(_numbers(one) != _numbers(other) for one, other in zip(together, alone, strict=True))
    yield Check(f"of {len(runs)} runs, not as when alone", (0.0,), (float(unequal),), 0, PROMISE)
    for run, record in zip(runs, together, strict=True):
        if run.bias_init.value == 0.01 and run.seed == 0:
            measured = tuple(row["train.loss"] for row in record.curves[1:])
            name = f"epochs' losses, plain loop: {run.activation.label}"
            yield Check(name, tuple(_plain_losses(run, folders)), measured, 1e-10, PROMISE)


def _spec(activation: str, bias: float | str, seed: int) -> RunSpec:
    training = {
        "epochs": EPOCHS,
        "batch_size": BATCH,
        "precision": "float64",
        "optimizer": {"name": "sgd", "lr": RATE, "momentum": 0.9},
    }
    return RunSpec.model_validate(
        {
            "dataset": {"name": "digits", "train_size": 200, "test_size": 100},
            "model": {"name": "mlp", "hidden": HIDDEN},
            "activation": activation,
            "bias_init": bias,
            "training": training,
            "seed": seed,
        }
    )


def _records(runs: list[RunSpec], folders: Folders) -> list[RunRecord]:
    """Return the records of runs that were trained as one cohort, in their order.

    Raises:
        ActbenchError: When a run fails.
    """
    events = list(run_cohort(Cohort(tuple(runs)), Runtime(device="cpu", data_folder=folders.data)))
    for event in events:
        if isinstance(event, Failed):
            raise ActbenchError(f"verify: a run of the cohort check failed: {event.message}\n{event.traceback}")
    found = {event.record.spec.digest: event.record for event in events if isinstance(event, Finished)}
    return [found[run.digest] for run in runs]


def _numbers(record: RunRecord) -> str:
    """Return all that a run reports, digit by digit, but for the seconds, which differ from time to time."""
    parts: list[Any] = [*record.curves, record.final]
    timeless = [{key: value for key, value in part.items() if key != "seconds"} for part in parts]
    return canonical_json([record.outcome, timeless, record.health])


def _plain_losses(run: RunSpec, folders: Folders) -> list[float]:
    """Return the mean training loss of each epoch of an ordinary network in an ordinary loop.

    The loop shares with actbench the data, the initial weights and the order of the examples, which are inputs to both.
    """
    data = load(run.dataset, folders.data)
    mean, std = (torch.tensor(value, dtype=torch.float64).view(-1, 1, 1) for value in (data.mean, data.std))
    x = (torch.from_numpy(data.train_images).double() / 255 - mean) / std
    labels = torch.from_numpy(data.train_labels)
    network = _plain_network(run, data.shape)
    optimizer = torch.optim.SGD(network.parameters(), lr=RATE, momentum=0.9)
    order = stream(run.seed, "data.order")
    return [_plain_epoch(network, optimizer, x, labels, torch.randperm(len(x), generator=order)) for _ in range(EPOCHS)]


def _plain_network(run: RunSpec, shape: tuple[int, int, int]) -> nn.Sequential:
    activation = MODULES[run.activation.name]
    layers: list[nn.Module] = [nn.Flatten()]
    for inputs, units in zip((shape[0] * shape[1] * shape[2], *HIDDEN), HIDDEN, strict=False):
        layers += [nn.Linear(inputs, units), activation()]
    network = nn.Sequential(*layers, nn.Linear(HIDDEN[-1], CLASSES)).double()
    starts = build(run.model).init(Initializer(run, torch.float64), shape, CLASSES).values()
    learned = [parameter for layer in network if isinstance(layer, nn.Linear) for parameter in layer.parameters()]
    # Both list weight and bias of each layer from the input on.
    with torch.no_grad():
        for parameter, start in zip(learned, starts, strict=True):
            parameter.copy_(start)
    return network


def _plain_epoch(
    network: nn.Module, optimizer: torch.optim.Optimizer, x: Tensor, labels: Tensor, order: Tensor
) -> float:
    total = 0.0
    for index in torch.split(order, BATCH):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(network(x[index]), labels[index])
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        total += loss.item() * len(index)
    return total / len(order)
