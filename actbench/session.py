"""A cohort in training: its data, its networks, its optimizer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor

from actbench import datasets, devices
from actbench.batches import Images, Shuffled, to_device
from actbench.cohort import Activations, Stack, activation_tensors, stack
from actbench.components import Component, resolve
from actbench.errors import DeviceError, ModelError
from actbench.initializers import Initializer
from actbench.models import Model, build
from actbench.schedules import Constant
from actbench.spec import Cohort, RunSpec, Runtime, canonical_json


@dataclass
class Session:
    """What training changes (``stack``, ``optimizer``, ``step``) and what it reads (the rest)."""

    cohort: Cohort
    device: torch.device
    images: Images
    model: Model
    stack: Stack
    act: Activations
    batches: Shuffled
    optimizer: torch.optim.Optimizer
    schedule: Constant
    step: int = 0

    @classmethod
    def open(cls, cohort: Cohort, runtime: Runtime) -> Session:
        """Load the data, initialise every run from its own seed, stack the runs.

        Raises:
            UsageError: The device, the dataset or the model can't be had as asked for.
        """
        training, specs = cohort.shared.training, cohort.specs
        device = torch.device(devices.choose(runtime.device))
        if device.type == "mps" and training.precision == "float64":
            raise DeviceError("device 'mps' has no float64: choose precision: float32, or --device cpu")
        images = _images(cohort.shared.dataset, training.precision, device, runtime.data_folder)
        model = build(cohort.shared.model)
        runs = stack([_initial(spec, model, images) for spec in specs], device)
        _check_batches(cohort.shared, model, images)
        return cls(
            cohort=cohort,
            device=device,
            images=images,
            model=model,
            stack=runs,
            act=Activations(specs, runs.tensors),
            batches=Shuffled(images, [spec.seed for spec in specs], training.batch_size, training.augment),
            optimizer=training.optimizer.build().build(runs.trained, _decayed(runs, training.decay)),
            schedule=training.schedule.build(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """X (R, B, C, H, W) -> logits (R, B, classes)."""
        return self.model.apply(self.stack.tensors, x, self.act)

    def set_learning_rate(self) -> None:
        """The schedule's rate for the step about to be taken."""
        epochs = self.cohort.shared.training.epochs
        factor = self.schedule.factor(self.step, epochs * len(self.batches), len(self.batches))
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate * factor
        self.step += 1

    @property
    def learning_rate(self) -> float:
        """The optimizer's, before the schedule's factor."""
        rate: float = self.cohort.shared.training.optimizer.options["lr"]
        return rate


def _images(component: Component, precision: str, device: torch.device, folder: Path | None) -> Images:
    data = _load(canonical_json(component.to_json()), datasets.data_folder(folder))
    return to_device(data, device, getattr(torch, precision))


@lru_cache(maxsize=2)
def _load(component: str, folder: Path) -> datasets.Data:
    """A worker meets the same dataset many times and decodes it once."""
    import json

    return datasets.load(resolve("datasets", json.loads(component)), folder)


def _initial(spec: RunSpec, model: Model, images: Images) -> Mapping[str, Tensor]:
    """One run's tensors, its activation's learned parameters included."""
    dtype = getattr(torch, spec.training.precision)
    tensors = model.init(Initializer(spec, dtype), images.shape, images.classes)
    hidden = model.hidden_layers(images.shape, images.classes)
    return {**tensors, **activation_tensors(spec.activation, hidden, dtype)}


def _decayed(runs: Stack, decay: str) -> list[str]:
    """Names that weight decay reaches; weights are the tensors of two or more dimensions beside the run's."""
    return [name for name, tensor in runs.trained.items() if decay == "all" or tensor.ndim > 2]


def _check_batches(spec: RunSpec, model: Model, images: Images) -> None:
    """A batch of one example has no spread for batch norm to divide by; say so before an epoch is spent."""
    examples, size = len(images.train), spec.training.batch_size
    last = examples % size or min(size, examples)
    if last == 1 and model.batch_norm:
        raise ModelError(
            f"batch_norm needs two examples a step, but the last of the batches of {size} out of {examples} training "
            "examples holds one; choose another training.batch_size or dataset.train_size"
        )
