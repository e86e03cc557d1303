"""A cohort on a GPU: batched layers, captured steps, precisions, neighbours, a lack of memory. Skipped without one."""

from __future__ import annotations

import gc
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from actbench import Study, measure_health
from actbench.execution import runner
from actbench.nn import layers
from actbench.nn.activations import ELEMENTWISE
from actbench.schema.events import Failed, Finished, Saved
from actbench.schema.record import RunRecord
from actbench.schema.runtime import Cadence, Cohort, Runtime
from actbench.schema.spec import RunSpec
from actbench.training import numerics
from actbench.training.loop import run_cohort, train_epoch
from actbench.training.state import TrainState
from actbench.training.steps.choice import Stepper, choose_stepper
from actbench.training.steps.cuda_graph import GraphStepper

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no CUDA device here")

DEVICE = "cuda"
GPU = Runtime(device=DEVICE, engine="inline")
CPU = Runtime(device="cpu", engine="inline")
DIGITS = {"name": "digits", "train_size": 200, "test_size": 100}
MLP = {"name": "mlp", "hidden": [24, 16]}
PRECISIONS = ["float32", "tf32", "bfloat16"]


def spec(**changes: Any) -> RunSpec:
    training = {"epochs": 2, "batch_size": 32, "precision": "float32"} | changes.pop("training", {})
    return RunSpec.model_validate({"dataset": DIGITS, "model": MLP, "training": training} | changes)


OPTIONS: dict[str, dict[str, Any]] = {
    "expression": {"formula": "x * sigmoid(1.702 * x)"},
    "xielu": {"alpha_p": 0.05},
    "star_relu": {"scale": 0.05},
}
"""Of activations that need some, and of those that grow as a square and would diverge with their defaults."""


def every_activation(**changes: Any) -> Iterator[RunSpec]:
    for name in ELEMENTWISE:
        yield spec(activation={"name": name, **OPTIONS.get(name, {})}, **changes)
    yield spec(activation={"name": "prelu", "per": "unit"}, **changes)
    yield spec(activation={"name": "swish", "learned": True}, **changes)


@dataclass
class Trained:
    """A cohort after some epochs, and how it took its steps."""

    state: TrainState
    stepper: Stepper

    @property
    def tensors(self) -> Mapping[str, Tensor]:
        return self.state.stack.tensors

    @property
    def was_captured(self) -> bool:
        return isinstance(self.stepper, GraphStepper) and self.stepper.is_captured


def trained(runs: Sequence[RunSpec], runtime: Runtime, epochs: int = 2) -> Trained:
    state = TrainState.open(Cohort(tuple(runs)), runtime)
    found = Trained(state, choose_stepper(state, capture=runtime.capture))
    with numerics.deterministic_numerics("default", "torch"):
        for _ in range(epochs):
            train_epoch(state, found.stepper)
    return found


def records(runs: Sequence[RunSpec], runtime: Runtime) -> list[RunRecord]:
    events = list(run_cohort(Cohort(tuple(runs)), runtime))
    failures = [event.traceback for event in events if isinstance(event, Failed)]
    assert not failures, failures[0]
    return [event.record for event in events if isinstance(event, Finished)]


def bits(tensor: Tensor) -> Tensor:
    """NaN equals NaN only bit by bit."""
    return tensor.detach().contiguous().view(torch.uint8)


def assert_same(one: Trained, other: Trained) -> None:
    for name, tensor in one.tensors.items():
        assert torch.equal(bits(tensor), bits(other.tensors[name])), name
    assert torch.equal(bits(one.state.tally.loss), bits(other.state.tally.loss))
    assert torch.equal(one.state.tally.correct, other.state.tally.correct)


def assert_near(one: Tensor, other: Tensor, most: float, told: object) -> None:
    """Numbers of a network that diverges are not finite in both; the finite ones are near each other."""
    is_finite = one.isfinite()
    assert torch.equal(is_finite, other.isfinite()), told
    kept, wanted = one[is_finite], other[is_finite]
    if wanted.any():
        largest = wanted.abs().max()  # the squares of what is about to overflow are not finite
        assert apart(kept / largest, wanted / largest) < most, told


def apart(one: Tensor, other: Tensor) -> float:
    """Relative distance; NaN counts as infinitely far."""
    distance = (
        (one.detach().double().cpu() - other.detach().double().cpu()).norm() / other.double().cpu().norm()
    ).item()
    return math.inf if math.isnan(distance) else distance


def leaves(dtype: torch.dtype, *shapes: tuple[int, ...]) -> tuple[list[Tensor], list[Tensor]]:
    """Random tensors on the device, and the same numbers in float64 on the CPU."""
    generator = torch.Generator().manual_seed(1)
    there = [torch.randn(shape, generator=generator).to(DEVICE, dtype).requires_grad_() for shape in shapes]
    return there, [one.detach().cpu().double().requires_grad_() for one in there]


def linear(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return layers.linear(x, weight, bias)


def convolution(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return layers.conv2d(x, weight, bias, padding=1)


def convolution_and_pooling(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return layers.avg_pool2d(layers.conv2d(x, weight, bias, padding=1), 2)


DENSE = ((5, 128, 784), (5, 256, 784), (5, 256))  # large enough for cuBLAS to take its TF32 kernels
IMAGES = ((5, 9, 3, 12, 10), (5, 8, 3, 3, 3), (5, 8))
FORMS = [(linear, DENSE), (convolution, IMAGES), (convolution_and_pooling, IMAGES)]


@pytest.mark.parametrize(("form", "shapes"), FORMS, ids=lambda value: getattr(value, "__name__", ""))
@pytest.mark.parametrize(
    ("dtype", "tf32", "least", "most"),
    [
        (torch.float64, False, 0, 1e-13),
        (torch.float32, False, 1e-9, 2e-6),
        (torch.float32, True, 1e-5, 3e-3),
        (torch.bfloat16, False, 1e-4, 2e-2),
    ],
    ids=["float64", "float32", "tf32", "bfloat16"],
)
def test_batched_layers_are_as_near_to_the_exact_ones_as_their_precision_allows(
    form: Callable[..., Tensor], shapes: Any, dtype: torch.dtype, tf32: bool, least: float, most: float
) -> None:
    there, exact = leaves(dtype, *shapes)
    with numerics.deterministic_numerics("default", "torch"), numerics.tf32(allowed=tf32):
        y = form(*there)
        found = torch.autograd.grad((y * torch.linspace(-1, 2, y.numel(), device=DEVICE).view(y.shape)).sum(), there)
    expected = form(*exact)
    slope = torch.linspace(-1, 2, y.numel()).view(y.shape).double()
    wanted = torch.autograd.grad((expected * slope).sum(), exact)
    assert least <= apart(y, expected) <= most
    for mine, theirs in zip(found, wanted, strict=True):
        assert apart(mine, theirs) <= max(most, 1e-6)  # the slope itself is float32


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("shape", [(3, 40, 5), (3, 8, 5, 6, 6)])
def test_batch_norm_on_the_device_is_the_exact_one(training: bool, shape: tuple[int, ...]) -> None:
    there, exact = leaves(torch.float64, shape, (3, 5), (3, 5), (3, 5), (3, 5))
    parts = ("weight", "bias", "running_mean", "running_var")
    outputs, running = [], []
    for x, *tensors in (there, exact):
        params = {f"n.{name}": tensor for name, tensor in zip(parts, tensors, strict=True)}
        params |= {name: params[name].detach().square().clone() for name in ("n.running_mean", "n.running_var")}
        outputs.append(layers.batch_norm(x, params, "n", SimpleNamespace(training=training, watches_norms=False)))
        running.append(params["n.running_var"])
    assert apart(*outputs) < 1e-12
    assert apart(*running) < 1e-12


@pytest.mark.parametrize("shape", [(3, 40, 5), (3, 8, 5, 6, 6)])
def test_norms_of_single_examples_on_the_device_are_the_exact_ones(shape: tuple[int, ...]) -> None:
    there, exact = leaves(torch.float64, shape, (3, 5), (3, 5), (3,), (3,))
    for compute in (
        lambda x, scale, shift, *_: layers.layer_norm(x, scale, shift),
        lambda x, scale, shift, alpha, _: layers.elementwise_norm(layers.dyt, x, scale, shift, alpha),
        lambda *tensors: layers.elementwise_norm(layers.derf, *tensors),
    ):
        assert apart(*(compute(*tensors) for tensors in (there, exact))) < 1e-12


@pytest.mark.parametrize("model", [MLP, {"name": "cnn", "channels": [4, 6], "dense": [16], "norm": "batch"}], ids=str)
def test_every_activation_trains_in_float64_as_on_a_cpu(model: dict[str, Any]) -> None:
    """Dropout and random slopes too: their numbers are drawn on the CPU."""
    changes = {"model": model, "training": {"precision": "float64"}}
    runs = list(every_activation(**changes))
    for one, here, there in zip(runs, records(runs, CPU), records(runs, GPU), strict=True):
        for name in ("test.loss", "test.accuracy", "health.dead_fraction", "health.sparsity"):
            assert there.final[name] == pytest.approx(here.final[name], rel=1e-7, abs=1e-9, nan_ok=True), (
                one.run_id,
                name,
            )
        assert [row["train.loss"] for row in there.curves] == pytest.approx(
            [row["train.loss"] for row in here.curves], rel=1e-7, nan_ok=True
        ), one.run_id


CHANGES: list[dict[str, Any]] = [
    {},
    {"model": {**MLP, "norm": "batch"}},
    {"model": {"name": "cnn", "channels": [[4, 4], [6]], "dense": [16], "norm": "batch"}},
    {"model": {**MLP, "norm": "derf"}},
    {"model": {"name": "cnn", "channels": [[4, 4], [6]], "dense": [16], "norm": "layer"}},
    {"model": {"name": "cnn", "channels": [4], "dense": [], "pool": "avg"}},
    {"training": {"optimizer": "adam", "clip_norm": 0.5, "schedule": "cosine"}},
    {"training": {"optimizer": {"name": "adamw", "weight_decay": 0.1}, "augment": {"crop": 1, "flip": True}}},
    {"training": {"optimizer": {"name": "sgd", "lr": 0.05, "nesterov": True, "weight_decay": 0.1}, "decay": "weights"}},
    {"training": {"optimizer": {"name": "rmsprop", "lr": 0.001}}},
]


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("changes", CHANGES, ids=str)
def test_captured_steps_give_the_numbers_of_ordinary_ones(changes: dict[str, Any], precision: str) -> None:
    """Each epoch ends with a smaller batch, which is taken the ordinary way between captured ones."""
    changes = changes | {"training": changes.get("training", {}) | {"precision": precision}}
    runs = [
        spec(activation=activation, bias_init=bias, seed=seed, **changes)
        for activation in ("relu", {"name": "prelu", "per": "unit"}, "tanh")
        for bias in (0.0, None)
        for seed in (0, 3)
    ]
    captured, ordinary = (trained(runs, replace(GPU, capture=capture)) for capture in (True, False))
    assert captured.was_captured
    assert_same(captured, ordinary)


def test_every_activation_without_random_numbers_can_be_captured() -> None:
    runs = [run for run in every_activation() if run.activation.name != "rrelu"]
    captured, ordinary = (trained(runs, replace(GPU, capture=capture)) for capture in (True, False))
    assert captured.was_captured
    assert_same(captured, ordinary)


@pytest.mark.parametrize("model", [MLP, {"name": "cnn", "channels": [4, 6], "dense": [16]}], ids=str)
def test_units_that_begin_anew_between_captured_steps_do_so_between_ordinary_ones(model: dict[str, Any]) -> None:
    training = {"optimizer": {"name": "adam", "lr": 0.02}, "revive": {"name": "redo", "every": 5, "tau": 0.4}}
    runs = [spec(activation="relu", seed=seed, model=model, training=training) for seed in (0, 3)]
    captured, ordinary = (trained(runs, replace(GPU, capture=capture)) for capture in (True, False))
    assert captured.was_captured
    assert_same(captured, ordinary)
    assert captured.state.revival is not None
    assert sum(map(sum, captured.state.revival.counts.values())) > 0


@pytest.mark.parametrize("changes", [{"activation": "rrelu"}, {"model": {**MLP, "dropout": 0.3}}], ids=str)
def test_steps_that_draw_random_numbers_are_not_captured(changes: dict[str, Any]) -> None:
    captured, ordinary = (trained([spec(**changes)], replace(GPU, capture=capture)) for capture in (True, False))
    assert isinstance(captured.stepper, GraphStepper)
    assert not captured.was_captured
    assert_same(captured, ordinary)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("model", [MLP, {"name": "cnn", "channels": [4, 6], "dense": [16]}], ids=str)
def test_the_same_cohort_gives_the_same_numbers_again(model: dict[str, Any], precision: str) -> None:
    runs = list(every_activation(model=model, training={"precision": precision}))
    assert_same(trained(runs, GPU), trained(runs, GPU))


@pytest.mark.parametrize("model", [MLP, {"name": "cnn", "channels": [4, 6], "dense": [16]}], ids=str)
def test_a_run_among_others_differs_from_the_same_run_alone_by_rounding_only(model: dict[str, Any]) -> None:
    runs = list(every_activation(model=model, training={"precision": "float64"}))
    together = trained(runs, GPU)
    for index, run in enumerate(runs):
        alone = trained([run], GPU)
        for name, tensor in alone.tensors.items():
            assert_near(together.tensors[name][index], tensor[0], 1e-9, (run.activation.label, name))


@pytest.mark.parametrize("capture", [True, False])
@pytest.mark.parametrize("model", [MLP, {"name": "cnn", "channels": [4, 6], "dense": [16]}], ids=str)
def test_a_neighbour_whose_numbers_are_nan_changes_no_bit(model: dict[str, Any], capture: bool) -> None:
    wild = spec(activation={"name": "expression", "formula": "exp(x) * 1e30 * x"}, model=model)
    tame = spec(activation={"name": "expression", "formula": "0.5 * x"}, model=model)
    calm = [spec(activation="relu", model=model), spec(activation="tanh", model=model)]
    beside_wild, beside_tame = (trained([one, *calm], replace(GPU, capture=capture)) for one in (wild, tame))
    assert beside_wild.state.stack.is_below(math.inf).tolist() == [False, True, True]
    for name, tensor in beside_tame.tensors.items():
        assert torch.equal(tensor[1:], beside_wild.tensors[name][1:]), name
    assert torch.equal(beside_tame.state.tally.loss[1:], beside_wild.state.tally.loss[1:])


def test_tf32_and_bfloat16_round_the_steps_and_leave_evaluation_exact() -> None:
    wide = {"name": "mlp", "hidden": [256, 256]}
    runs = {name: spec(model=wide, training={"precision": name, "batch_size": 64}) for name in PRECISIONS}
    cohorts = {precision: trained([run], GPU, 0) for precision, run in runs.items()}
    x = torch.randn(1, 50, 1, 8, 8, generator=torch.Generator().manual_seed(0)).to(DEVICE)
    with numerics.deterministic_numerics("default", "torch"):
        with torch.no_grad():
            evaluated = [one.state.forward(x) for one in cohorts.values()]
        for one in cohorts.values():
            train_epoch(one.state, one.stepper)
    assert all(torch.equal(evaluated[0], one) for one in evaluated)
    exact = cohorts["float32"].tensors["hidden.1.weight"]
    for precision, least in (("tf32", 1e-6), ("bfloat16", 1e-5)):
        rounded = cohorts[precision].tensors["hidden.1.weight"]
        assert rounded.dtype == torch.float32
        assert least < apart(rounded, exact) < 0.05


@pytest.fixture
def limited() -> Iterator[Callable[[int], None]]:
    """Lets the process use so many bytes of the device; a test's own memory is freed before and after."""
    _free()
    total = torch.cuda.get_device_properties(0).total_memory

    def to(size: int) -> None:
        torch.cuda.set_per_process_memory_fraction(size / total)

    yield to
    torch.cuda.set_per_process_memory_fraction(1.0)
    _free()


def _free() -> None:
    gc.collect()
    torch.cuda.synchronize()
    torch.cuda.empty_cache()


@pytest.mark.parametrize("capture", [True, False])
def test_a_cohort_that_does_not_fit_is_halved_until_it_does(limited: Callable[[int], None], capture: bool) -> None:
    wide = {"name": "mlp", "hidden": [2048, 2048]}
    runs = [spec(model=wide, bias_init=0.01 * index, training={"epochs": 1}) for index in range(8)]
    runtime = replace(GPU, capture=capture)
    torch.cuda.reset_peak_memory_stats()
    quarter = records(runs[:2], runtime)
    two = torch.cuda.max_memory_reserved()
    _free()
    limited(int(2.2 * two))
    found = records(runs, runtime)
    assert [record.timing["cohort_runs"] for record in found] != [8] * 8
    assert [record.outcome for record in found] == ["ok"] * 8
    assert {record.spec.digest for record in found} == {run.digest for run in runs}
    assert found[0].final["test.loss"] == pytest.approx(quarter[0].final["test.loss"], rel=1e-3)


def test_a_cohort_gives_back_its_memory_when_nobody_holds_it() -> None:
    """Nor does cuBLAS, which keeps a workspace for each stream it was used on: one a cohort would fill gigabytes."""
    trained(list(every_activation()), GPU)
    _free()
    before = torch.cuda.memory_allocated()
    gc.disable()
    try:
        for _ in range(3):
            trained(list(every_activation()), GPU)
            torch.cuda.synchronize()
            assert torch.cuda.memory_allocated() <= before
    finally:
        gc.enable()


def test_a_cohort_goes_on_from_a_checkpoint_with_the_same_numbers() -> None:
    runs = (
        spec(activation="relu", training={"epochs": 3, "optimizer": "adam"}),
        spec(activation="prelu", training={"epochs": 3, "optimizer": "adam"}),
    )
    events = list(run_cohort(Cohort(runs), replace(GPU, checkpoint_every=Cadence(epochs=1))))
    saved = [event.state for event in events if isinstance(event, Saved)]
    whole = [event.record for event in events if isinstance(event, Finished)]
    resumed = [event.record for event in run_cohort(Cohort(runs, saved[0]), GPU) if isinstance(event, Finished)]
    for one, other in zip(whole, resumed, strict=True):
        assert [row["train.loss"] for row in one.curves] == [row["train.loss"] for row in other.curves]
        assert one.final["test.loss"] == other.final["test.loss"]


def test_a_user_s_module_with_dropout_trains_and_leaves_the_global_streams_alone() -> None:
    run = spec(model={"name": "own", "path": "user_parts:net"})
    before = torch.cuda.get_rng_state().clone(), torch.get_rng_state().clone()
    first, again = (records([run], GPU)[0] for _ in range(2))
    assert first.final["test.loss"] == again.final["test.loss"]
    assert torch.equal(before[0], torch.cuda.get_rng_state())
    assert torch.equal(before[1], torch.get_rng_state())


@pytest.mark.parametrize("scale", ["unit", "symmetric"])
def test_scaled_pixels_have_the_bits_that_a_cpu_gives(scale: str) -> None:
    """CUDA turns a division by a plain number into a product with its inverse, which has other last bits."""
    levels = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)
    on = [TrainState.open(Cohort((spec(dataset={**DIGITS, "scale": scale}),)), at).images for at in (CPU, GPU)]
    found = [images.normalise(levels.to(images.white.device)).cpu() for images in on]
    assert torch.equal(*found)


def test_a_run_that_stops_early_reports_what_a_run_of_so_many_epochs_reports() -> None:
    """The cohort goes on, and its steps with it, while runs stop one after the other."""
    training = {"epochs": 9, "optimizer": {"name": "sgd", "lr": 0.3}}
    runs = [spec(activation=name, training=training | {"patience": 1, "select": "best"}) for name in WILD]
    found = trained_records(runs)
    whole = trained_records([spec(activation=name, training=training) for name in WILD])
    assert len({one.final["epochs_trained"] for one in found}) > 1
    for one, other in zip(found, whole, strict=True):
        last, selected = int(one.final["epochs_trained"] or 0), int(one.final["selected_epoch"] or 0)
        assert [row["val.loss"] for row in one.curves] == [row["val.loss"] for row in other.curves[: last + 1]]
        short = trained_records([spec(activation=name, training=training | {"epochs": selected}) for name in WILD])
        assert one.final["test.loss"] == short[runs.index(one.spec)].final["test.loss"]


WILD = ("relu", "tanh", "sigmoid")


def trained_records(runs: Sequence[RunSpec]) -> list[RunRecord]:
    events = list(run_cohort(Cohort(tuple(runs)), GPU))
    failures = [event.traceback for event in events if isinstance(event, Failed)]
    assert not failures, failures[0]
    return [event.record for event in events if isinstance(event, Finished)]


def test_the_command_trains_a_study_in_a_worker_and_names_the_card(tmp_path: Path) -> None:
    study = Study.from_text(
        "study: gpu\ndataset: {name: digits, train_size: 200}\nmodel: {name: mlp, hidden: [16]}\n"
        "training: {epochs: 1}\nseeds: 2\nsweep: {activation: [relu, tanh]}\n"
    )
    found = runner.run(study, tmp_path / "results", device=DEVICE, data_folder=tmp_path)
    assert [record.outcome for record in found] == ["ok"] * 4
    assert [record.timing["cohort_runs"] for record in found] == [4] * 4
    assert torch.cuda.get_device_name(0) in str(found[0].environment)


class Laid(nn.Module):
    """A convolution with 6 channels of which 2 are dead, and an activation of its output as ``steps`` lays it."""

    def __init__(self, steps: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.conv, self.steps = nn.Conv2d(3, 6, 1), steps
        with torch.no_grad():
            self.conv.bias.copy_(torch.tensor([5.0, -100.0, 5.0, 5.0, -100.0, 5.0]))

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.steps(self.conv(x)))


@pytest.mark.parametrize(
    "steps",
    [lambda h: h.permute(0, 2, 3, 1), lambda h: h.flatten(1), lambda h: h.reshape(36, 1, 6, 6),
     lambda h: h[:, torch.arange(5, -1, -1, device=h.device)], lambda h: h.permute(0, 2, 3, 1)[h[:, 0] > 5.0],
     lambda h: h.flatten(2).gather(2, torch.zeros(6, 6, 4, dtype=torch.long, device=h.device)),
     lambda h: torch.cat([h.new_ones(6, 6, 6, 1), h], 3).transpose(1, 2),
     lambda h: torch.matmul(h, torch.eye(6, device=h.device)).transpose(1, 3)],
)  # fmt: skip
def test_units_are_followed_on_a_gpu_as_on_the_cpu(steps: Callable[[Tensor], Tensor]) -> None:
    x = torch.rand(6, 3, 6, 6, generator=torch.Generator().manual_seed(0))
    for device in ("cpu", DEVICE):
        report = measure_health(Laid(steps).to(device), x.to(device), exclude_last=False)
        assert (report.units, report.dead, report.uncertain) == (6, 2, ()), device
