"""A cohort in training: its data, its networks, its optimizer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor

from actbench import datasets
from actbench.errors import DeviceError, ModelError
from actbench.nn.initializers import Initializer
from actbench.nn.models import Model, build
from actbench.nn.optimizers import make_capturable, set_rate
from actbench.nn.schedules import Constant
from actbench.schema.components import Component, resolve
from actbench.schema.runtime import Cohort, Runtime
from actbench.schema.spec import RunSpec, canonical_json
from actbench.system import cancellation, devices
from actbench.training.batches import Images, Shuffled, to_device
from actbench.training.evaluation import Tally
from actbench.training.parameters import WEIGHTS, Stack, stack
from actbench.training.run_activations import Activations, activation_tensors


@dataclass
class TrainState:
    """What training changes (``stack``, ``optimizers``, ``tally``, ``taken``, ``seconds``) and reads (the rest).

    On a CPU each run has an optimizer of its own, elsewhere one updates all runs at once. ``taken`` counts steps, which
    took ``seconds``.
    """

    cohort: Cohort
    device: torch.device
    images: Images
    model: Model
    stack: Stack
    act: Activations
    batches: Shuffled
    optimizers: Sequence[torch.optim.Optimizer]
    schedule: Constant
    tally: Tally
    taken: int = 0
    seconds: float = 0.0

    @classmethod
    def open(cls, cohort: Cohort, runtime: Runtime) -> TrainState:
        """Load the data, initialise every run from its own seed, stack the runs.

        Raises:
            UsageError: The device, the dataset or the model can't be had as asked for.
        """
        training, specs = cohort.shared.training, cohort.specs
        device = torch.device(devices.of_this_worker(devices.choose(runtime.device)))
        if device.type == "cuda" and device.index is not None:
            torch.cuda.set_device(device)  # streams, graphs and generators are made on the current device
        _check_precision(training.precision, device)
        images = _images(cohort.shared.dataset, training.dtype_name, device, runtime.data_folder)
        cancellation.between_steps(
            may_stop=False
        )  # from here on silence counts; a download may take as long as it likes
        model = build(cohort.shared.model)
        runs = stack([_initial(spec, model, images) for spec in specs], device)
        _check_batches(cohort.shared, model, images)
        state = cls(
            cohort=cohort,
            device=device,
            images=images,
            model=model,
            stack=runs,
            act=Activations(specs, runs.tensors),
            batches=Shuffled(images, [spec.seed for spec in specs], training.batch_size, training.augment),
            optimizers=_optimizers(cohort, runs, device),
            schedule=training.schedule.build(),
            tally=Tally.of(len(specs), device),
        )
        if state.capturable:
            make_capturable(state.optimizers, device)
        return state

    def part(self, run: int) -> TrainState:
        """One of the runs as a cohort of its own, in the same memory; to compute with, not to take steps."""
        spec, own = self.cohort.specs[run], self.stack.only(run)
        act = Activations((spec,), own.tensors)
        act.training = self.act.training
        return replace(self, cohort=Cohort((spec,)), stack=own, act=act)

    def forward(self, x: Tensor) -> Tensor:
        """X (R, B, C, H, W) -> logits (R, B, classes)."""
        return self.model.apply(self.stack.tensors, x, self.act)

    def forward_in_training(self, x: Tensor) -> Tensor:
        """The same in the training's precision; bfloat16 casts x and all but normalisation's tensors on the way.

        In a user's own module torch's autocast decides what is cast.
        """
        if self.cohort.shared.training.precision != "bfloat16":
            return self.forward(x)
        if self.cohort.shared.model.path is not None:
            with torch.autocast(self.device.type, dtype=torch.bfloat16):
                return self.forward(x).float()
        half = {name: t if ".norm." in name else t.to(torch.bfloat16) for name, t in self.stack.tensors.items()}
        return self.model.apply(half, x.to(torch.bfloat16), self.act).float()

    def next_rate(self) -> float:
        """The schedule's learning rate for the next step, which counts as taken from then on."""
        epochs = self.cohort.shared.training.epochs
        factor = self.schedule.factor(self.taken, epochs * len(self.batches), len(self.batches))
        self.taken += 1
        return self.learning_rate * factor

    def set_rate(self, rate: float) -> None:
        """Of all the optimizers."""
        for optimizer in self.optimizers:
            set_rate(optimizer, rate)

    @property
    def capturable(self) -> bool:
        """Whether a CUDA graph can hold a step; in float64 the rate is a plain number, which a graph would bake in."""
        return self.device.type == "cuda" and self.cohort.shared.training.precision != "float64"

    @property
    def learning_rate(self) -> float:
        """The optimizer's, before the schedule's factor."""
        rate: float = self.cohort.shared.training.optimizer.options["lr"]
        return rate


def _check_precision(precision: str, device: torch.device) -> None:
    if device.type == "mps" and precision == "float64":
        raise DeviceError("device 'mps' has no float64: choose precision: float32, or --device cpu")
    if device.type != "cuda" and precision == "tf32":
        raise DeviceError(f"device '{device.type}' has no TF32: choose precision: float32, or --device cuda")


def _images(component: Component, dtype_name: str, device: torch.device, folder: Path | None) -> Images:
    data = _load(canonical_json(component.to_json()), datasets.data_folder(folder))
    return to_device(data, device, getattr(torch, dtype_name))


@lru_cache(maxsize=2)
def _load(component: str, folder: Path) -> datasets.Data:
    """A worker meets the same dataset many times and decodes it once."""
    import json

    return datasets.load(resolve("datasets", json.loads(component)), folder)


def _initial(spec: RunSpec, model: Model, images: Images) -> Mapping[str, Tensor]:
    """One run's tensors, its activation's learned parameters included."""
    dtype = getattr(torch, spec.training.dtype_name)
    tensors = model.init(Initializer(spec, dtype), images.shape, images.classes)
    hidden = model.hidden_layers(images.shape, images.classes)
    return {**tensors, **activation_tensors(spec.activation, hidden, dtype)}


def _optimizers(cohort: Cohort, runs: Stack, device: torch.device) -> list[torch.optim.Optimizer]:
    """One a run on a CPU, so that a run's steps need not wait for its neighbours'; elsewhere one for all."""
    training = cohort.shared.training
    choice = training.optimizer.build()
    decayed = list(runs.blocks) if training.decay == "all" else [WEIGHTS]
    if device.type != "cpu":
        return [choice.build(runs.blocks, decayed)]
    return [choice.build(runs.rows(run), decayed) for run in range(len(cohort.specs))]


def _check_batches(spec: RunSpec, model: Model, images: Images) -> None:
    """A batch of one example has no spread for batch norm to divide by; say so before an epoch is spent."""
    examples, size = len(images.train), spec.training.batch_size
    last = examples % size or min(size, examples)
    if last == 1 and model.batch_norm:
        raise ModelError(
            f"batch_norm needs two examples a step, but the last of the batches of {size} out of {examples} training "
            "examples holds one; choose another training.batch_size or dataset.train_size"
        )
