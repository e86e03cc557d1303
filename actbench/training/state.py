"""Hold a cohort in training: its data, its networks, its optimizers, and how far it is."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from actbench import datasets
from actbench.datasets._handover import read
from actbench.errors import DatasetError, DeviceError, ModelError
from actbench.nn.chosen_activations import check_slope
from actbench.nn.models import Model, build
from actbench.nn.models._module import UserModule
from actbench.nn.optimizers import Optimizer, OptimizerOptions, build_plain
from actbench.nn.schedules import Schedule
from actbench.schema.components import Component, resolve
from actbench.schema.runtime import Cohort, Runtime
from actbench.schema.spec import RunSpec, canonical_json
from actbench.schema.unit_groups import group_of
from actbench.system import cancellation, devices
from actbench.training.batches import EpochPosition, Images, Shuffled, to_device
from actbench.training.evaluation import Tally
from actbench.training.initial_tensors import initial_tensors
from actbench.training.losses import Loss, loss_of
from actbench.training.parameters import WEIGHTS, Stack, stack
from actbench.training.revival import EXAMPLES, Revival, check_revival
from actbench.training.run_activations import Activations


@dataclass
class TrainState:
    """Hold all that training steps read, and all that they change.

    Args:
        cohort: The runs.
        device: Where they train.
        images: The dataset on the device.
        model: The network, for any number of runs.
        stack: The runs' tensors and gradients; changed by steps.
        act: Each run's activation; its random streams are changed by steps.
        batches: The training batches; their random streams are changed by steps.
        optimizers: One per run on a CPU, elsewhere one for all runs; changed by steps.
        schedule: The learning rate over the steps.
        tally: Losses and correct predictions of the epoch so far; changed by steps.
        position: How far the epoch is; kept by the loop.
        revival: Lets dormant units begin anew between steps; None where that was not asked for.
        taken: Steps since the beginning, which the schedule counts.
        seconds: Seconds that those steps took.
        resting: Runs that have stopped, whose steps may be left out where runs take theirs one by one: nobody reads
            their tensors any more.
    """

    cohort: Cohort
    device: torch.device
    images: Images
    model: Model
    stack: Stack
    act: Activations
    batches: Shuffled
    optimizers: Sequence[Optimizer]
    schedule: Schedule
    tally: Tally
    position: EpochPosition
    taken: int = 0
    seconds: float = 0.0
    resting: set[int] = field(default_factory=set)
    revival: Revival | None = None

    @classmethod
    def open(cls, cohort: Cohort, runtime: Runtime) -> TrainState:
        """Load the data, initialise every run from its own seed, stack the runs.

        Raises:
            UsageError: The device, the dataset or the model is not available as asked for.
        """
        training, specs = cohort.shared.training, cohort.specs
        device = torch.device(devices.of_this_worker(devices.choose(runtime.device)))
        if device.type == "cuda" and device.index is not None:
            torch.cuda.set_device(device)  # streams, graphs and generators are made on the current device
        _check_precision(training.precision, device)
        images = _images(cohort.shared.dataset, training.dtype_name, device, runtime)
        _check_targets(cohort.shared, images)
        # Reset the worker timeout here: a download may take as long as it likes.
        cancellation.between_steps(may_stop=False)
        for activation in dict.fromkeys(spec.activation for spec in specs):
            check_slope(activation)
        model = build(cohort.shared.model)
        _check_width(cohort.shared, model)
        tensors, draws = initial_tensors(specs, model, images, device)
        runs = stack(tensors, device)
        _check_batches(cohort.shared, model, images)
        hidden = model.hidden_layers(images.shape, images.classes)
        if training.revive.name != "none":
            check_revival(cohort.shared, hidden, tensors[0])
        seeds = [spec.seed_of_batches for spec in specs]
        batches = Shuffled(
            images, seeds, training.batch_size, training.augment, drop_last=training.drop_last, draws=draws
        )
        state = cls(
            cohort=cohort,
            device=device,
            images=images,
            model=model,
            stack=runs,
            act=Activations(specs, runs.tensors, draws),
            batches=batches,
            optimizers=_optimizers(cohort, runs, device),
            schedule=training.schedule.build(),
            tally=Tally.of(len(specs), device),
            position=EpochPosition(batches.state()["order"]),
        )
        if training.revive.name != "none":
            state.revival = Revival(
                training.revive.build(),
                hidden,
                steps=len(batches),
                stack=runs,
                optimizers=state.optimizers,
                act=state.act,
            )
        if state.capturable:
            for optimizer in state.optimizers:
                optimizer.make_capturable(device)
        return state

    def advance_epoch(self) -> None:
        """Move the position to the start of the next epoch, after the last step of this one."""
        self.batches.close_epoch()
        self.position = EpochPosition(self.batches.state()["order"])

    def state(self) -> dict[str, Any]:
        """Return all that training changes, as tensors and plain containers, for a checkpoint.

        The keys are part of the checkpoint's format; ``training.checkpoint`` says what renaming one would cost.
        """
        saved = {
            **self.stack.state(),
            "optimizers": [optimizer.state() for optimizer in self.optimizers],
            # "session" and "place" are old names of the train state and the position, kept for the file format.
            "session": {"steps": self.taken, "seconds": self.seconds, "examples": self.tally.examples},
            "tally": {"loss": self.tally.loss, "correct": self.tally.correct},
            "streams": {"augment": self.batches.state()["augment"], **self.act.state()},
            "place": {"order": self.position.order, "steps": self.position.steps},
        }
        if isinstance(self.model, UserModule):
            saved["module"] = self.model.state()
        if self.revival is not None:
            saved["revival"] = self.revival.state()
        return saved

    def restore(self, saved: Mapping[str, Any]) -> None:
        """Load a checkpoint's content, as ``state`` returned it, into a newly opened state.

        Raises:
            UnusableCheckpoint: When the tensors are laid out differently in memory.
        """
        self.stack.restore(saved)
        for optimizer, own in zip(self.optimizers, saved["optimizers"], strict=True):
            optimizer.restore(own)
        self.taken, self.seconds = saved["session"]["steps"], saved["session"]["seconds"]
        self.tally.examples = saved["session"]["examples"]
        self.tally.loss.copy_(saved["tally"]["loss"])  # in place: a CUDA graph knows where the tally lies
        self.tally.correct.copy_(saved["tally"]["correct"])
        order = [stream.cpu() for stream in saved["place"]["order"]]
        self.position = EpochPosition(order, saved["place"]["steps"])
        # The order's streams go back to the epoch's start, where the order is drawn again.
        self.batches.restore({"order": order, "augment": saved["streams"]["augment"]})
        self.act.restore(saved["streams"])
        if isinstance(self.model, UserModule):
            self.model.restore(saved["module"])
        if self.revival is not None:
            self.revival.restore(saved["revival"])

    def revive(self) -> None:
        """Let the dormant units begin anew if it is time, before the next step."""
        if self.revival is None or not self.revival.is_due(self.taken):
            return
        step = self.taken

        def pass_forward() -> None:
            self.forward_in_training(self.batches.sample(EXAMPLES, step))

        def fresh(run: int) -> Mapping[str, Tensor]:
            spec = self.cohort.specs[run]
            (tensors,), _ = initial_tensors([spec], self.model, self.images, self.device, revived_at=step)
            return tensors

        self.revival.revive(pass_forward, fresh)

    def part(self, run: int) -> TrainState:
        """Return one of the runs as a cohort of its own, in the same memory.

        For forward and backward only; the optimizers and the tally are still the whole cohort's.
        """
        spec, own = self.cohort.specs[run], self.stack.only(run)
        act = Activations((spec,), own.tensors)
        act.training = self.act.training
        return replace(self, cohort=Cohort((spec,)), stack=own, act=act)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (R, B, classes) for x (R, B, C, H, W), in the parameters' precision."""
        return self.model.apply(self.stack.tensors, x, self.act)

    def forward_with_fixed_parameters(self, x: Tensor) -> Tensor:
        """Pass forward in the training's precision without preparing the parameters' gradients.

        A dense layer computes that of its weights with that of its input, asked for or not: half of a backward pass.
        A user's module may do anything with its parameters, so it is left alone.
        """
        if self.cohort.shared.model.path is not None:
            return self.forward_in_training(x)
        fixed = {name: tensor.detach() for name, tensor in self.stack.tensors.items()}
        fixed_state = replace(self, stack=replace(self.stack, tensors=fixed))
        return fixed_state.forward_in_training(x)

    def forward_in_training(self, x: Tensor) -> Tensor:
        """Return logits (R, B, classes) for x (R, B, C, H, W), in the training's precision.

        For bfloat16 x is cast, and each dense layer and convolution casts its parameters to the type of its input;
        normalisation keeps its own, whose running statistics are updated in place and would be lost with a copy. In a
        user's own module torch's autocast decides what is cast.
        """
        if self.cohort.shared.training.precision == "bfloat16" and not self._casts:
            with torch.autocast(self.device.type, dtype=torch.bfloat16):
                return self.forward(x).float()
        logits = self.forward(x.to(self.step_dtype))
        return logits.float() if self._casts else logits

    @cached_property
    def loss(self) -> Loss:
        """The loss that training steps make smaller."""
        return loss_of(self.cohort.shared.training, smoothed=True)

    @property
    def step_dtype(self) -> torch.dtype:
        """The type in which a training step computes."""
        return torch.bfloat16 if self._casts else self.images.scale.dtype

    @property
    def _casts(self) -> bool:
        """Whether a step casts x and the parameters itself; a user's own module is left to torch's autocast."""
        shared = self.cohort.shared
        return shared.training.precision == "bfloat16" and shared.model.path is None

    def next_rate(self) -> float:
        """Return the schedule's learning rate for the next step, and count that step as taken."""
        epochs = self.cohort.shared.training.epochs
        factor = self.schedule.factor(self.taken, epochs * len(self.batches), len(self.batches))
        self.taken += 1
        return self.learning_rate * factor

    def set_rate(self, rate: float) -> None:
        """Set the learning rate of all the optimizers."""
        for optimizer in self.optimizers:
            optimizer.set_rate(rate)

    @cached_property
    def has_own_code(self) -> bool:
        """Whether a module or an activation of the user's own runs in each step."""
        specs = self.cohort.specs
        return specs[0].model.path is not None or any(spec.activation.path is not None for spec in specs)

    @property
    def capturable(self) -> bool:
        """Whether a CUDA graph can hold a step; in float64 the rate is a plain number, which a graph would bake in."""
        return self.device.type == "cuda" and self.cohort.shared.training.precision != "float64"

    @property
    def learning_rate(self) -> float:
        """The optimizer's learning rate, before the schedule's factor."""
        rate: float = self.cohort.shared.training.optimizer.options["lr"]
        return rate


def _check_precision(precision: str, device: torch.device) -> None:
    if device.type == "mps" and precision == "float64":
        raise DeviceError("device 'mps' has no float64: choose precision: float32, or --device cpu")
    if device.type != "cuda" and precision == "tf32":
        raise DeviceError(f"device '{device.type}' has no TF32: choose precision: float32, or --device cuda")


def _check_targets(spec: RunSpec, images: Images) -> None:
    """Refuse a loss that the targets can't have, and changes to images where there are none."""
    name = spec.dataset.name
    if not images.has_classes and spec.training.loss != "mse":
        raise DatasetError(
            f"dataset '{name}' has numbers as targets, not classes: set training.loss to mse, the mean squared error"
        )
    if spec.training.augment is not None and images.train.pixels.is_floating_point():
        raise DatasetError(
            f"dataset '{name}' holds no images, so none can be cropped or flipped: leave out training.augment"
        )


def _images(component: Component, dtype_name: str, device: torch.device, runtime: Runtime) -> Images:
    text = canonical_json(component.to_json())
    file = runtime.handed_over.get(text)
    data = _load(text, datasets.data_folder(runtime.data_folder)) if file is None else _read(text, file)
    return to_device(data, device, getattr(torch, dtype_name))


@lru_cache(maxsize=2)
def _read(component: str, path: Path) -> datasets.Data:
    """Map a dataset that another machine has loaded: once per process, as ``_load`` does."""
    try:
        return read(path)
    except OSError as error:
        raise DatasetError(f"dataset {component} was handed over and can't be read: {error.strerror}") from error


@lru_cache(maxsize=2)
def _load(component: str, folder: Path) -> datasets.Data:
    """Decode a dataset once per process: a worker meets the same one many times.

    The key is the component's JSON, because components with the options 1, 1.0 and True are equal to Python, and a
    user's own dataset may not treat them alike.
    """
    return datasets.load(resolve("datasets", json.loads(component)), folder)


def _optimizers(cohort: Cohort, runs: Stack, device: torch.device) -> list[Optimizer]:
    """Make one optimizer per run on a CPU, so that a run's steps need not wait for others; elsewhere one for all."""
    training = cohort.shared.training
    choice = training.optimizer.build()
    decayed = list(runs.blocks) if training.decay == "all" else [WEIGHTS]
    if device.type != "cpu":
        return [choice.build(runs.blocks, decayed)]
    if cohort.shared.draws != "actbench":  # the numbers of a plain PyTorch script
        return [_plain_optimizer(choice, training.decay, runs.trained_by(run)) for run in range(len(cohort.specs))]
    return [choice.build(runs.rows(run), decayed) for run in range(len(cohort.specs))]


def _plain_optimizer(choice: OptimizerOptions, decay: str, tensors: Mapping[str, Tensor]) -> Optimizer:
    decayed = [name for name, tensor in tensors.items() if decay == "all" or tensor.ndim > 1]
    return build_plain(choice, tensors, decayed)


def _check_width(spec: RunSpec, model: Model) -> None:
    """Refuse an activation that changes the width in a model with layers that can't follow it."""
    if not model.expands and not group_of(spec.activation).is_elementwise:
        raise ModelError(
            f"activation '{spec.activation.label}' changes the width of its layers, which model "
            f"'{spec.model.label}' has no room for: take mlp or cnn, or write it into the model (torch.nn.GLU)"
        )


def _check_batches(spec: RunSpec, model: Model, images: Images) -> None:
    """Refuse an epoch without a step, and a batch of one example, which has no spread for batch norm to divide by."""
    examples, size = len(images.train), spec.training.batch_size
    if spec.training.drop_last and size > examples:
        raise DatasetError(
            f"training.drop_last leaves nothing to train on: the only batch of {size} holds {examples} training "
            "examples, and is left out; choose a smaller training.batch_size or a larger dataset.train_size"
        )
    last = size if spec.training.drop_last else examples % size or min(size, examples)
    if last == 1 and model.normalises_over_batch:
        raise ModelError(
            f"batch norm needs two examples a step, but the last of the batches of {size} out of {examples} training "
            "examples holds one; choose another training.batch_size or dataset.train_size"
        )
