"""A training step: its arithmetic, its precision, and what it leaves behind."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest
import torch
from small_runs import CPU, numbers, records, spec

from actbench.errors import DeviceError
from actbench.nn import cpu_linear
from actbench.schema.runtime import Cohort
from actbench.system.devices import WORKER, of_this_worker
from actbench.training import numerics
from actbench.training.loop import train_epoch
from actbench.training.state import TrainState
from actbench.training.steps.choice import choose_stepper
from actbench.training.steps.eager import train_step
from actbench.training.steps.replayed import ReplayStepper


def test_training_computes_on_one_thread_without_denormals_and_puts_all_back() -> None:
    tiny = torch.tensor([1e-38]) / 2
    assert tiny.item() > 0, "torch keeps denormal numbers unless set otherwise"
    threads = torch.get_num_threads()
    with numerics.deterministic_numerics("onednn", "torch"):
        assert (torch.get_num_threads(), cpu_linear.library_in_use()) == (1, "onednn")
        assert (torch.tensor([1.2e-38]) / 2).item() == 0
        with numerics.tf32(allowed=True):
            assert torch.backends.cuda.matmul.fp32_precision == "tf32"
        assert torch.backends.cuda.matmul.fp32_precision == "ieee"
    assert (torch.get_num_threads(), cpu_linear.library_in_use()) == (threads, "default")
    assert (torch.tensor([1.2e-38]) / 2).item() > 0


def test_the_momentum_of_a_unit_that_died_becomes_zero_rather_than_denormal() -> None:
    """0.9 times the smallest denormal number rounds to itself: without flushing it would stay for ever."""
    sinking = torch.full((32,), 1e-30)
    with numerics.deterministic_numerics("default", "torch"):
        for _ in range(2000):
            sinking.mul_(0.9)
    assert not sinking.any()


@pytest.mark.parametrize("model", [{"name": "mlp", "hidden": [64, 32]}, {"name": "cnn", "channels": [4], "dense": [8]}])
def test_a_step_allocates_no_new_gradients(model: dict[str, Any]) -> None:
    runs = (spec(model=model), spec(model=model, activation="prelu", bias_init=None))
    state = TrainState.open(Cohort(runs), CPU)
    stepper = choose_stepper(state, capture=True)
    train_epoch(state, stepper)
    before = {name: tensor.grad for name, tensor in state.stack.trained.items()}
    train_epoch(state, stepper)
    for name, tensor in state.stack.trained.items():
        assert tensor.grad is before[name]
        assert tensor.grad is state.stack.gradients[name]


def test_the_gradients_of_dense_layers_are_written_where_they_belong() -> None:
    """Autograd hands a gradient of its own to a hook; one that the layer has put in its place never passes there."""
    state = TrainState.open(Cohort((spec(activation="prelu"), spec(activation="tanh"))), CPU)
    handed_over = []
    for name, tensor in state.stack.trained.items():
        tensor.register_hook(lambda gradient, name=name: handed_over.append(name) if gradient is not None else None)
    train_step(state, *next(state.batches.epoch()))
    assert {name.rpartition(".")[2] for name in handed_over} == {"slope"}


def test_the_share_of_every_run_begins_on_a_vector_boundary() -> None:
    odd = {"name": "mlp", "hidden": [7, 5], "norm": "batch"}
    state = TrainState.open(Cohort((spec(model=odd), spec(model=odd, activation="prelu"))), CPU)
    for tensor in state.stack.trained.values():
        for run in tensor:
            assert (
                run.data_ptr() - state.stack.blocks["others" if tensor.ndim < 3 else "weights"].data_ptr()
            ) % 128 == 0


def test_bfloat16_trains_on_float32_parameters_and_is_evaluated_in_float32() -> None:
    fine, coarse = (
        records(spec(training={"precision": precision, "epochs": 3}))[0] for precision in ("float32", "bfloat16")
    )
    assert coarse.final["test.accuracy"] == pytest.approx(fine.final["test.accuracy"], abs=0.1)
    assert numbers(coarse) != numbers(fine)
    state = TrainState.open(Cohort((spec(training={"precision": "bfloat16"}),)), CPU)
    seen: list[torch.dtype] = []
    with state.act.observed(lambda layer, z: seen.append(z.dtype)):
        train_epoch(state, choose_stepper(state, capture=True))
        state.forward(torch.zeros(1, 2, 1, 8, 8))
    assert {tensor.dtype for tensor in state.stack.tensors.values()} == {torch.float32}
    assert seen[0] == torch.bfloat16
    assert seen[-1] == torch.float32


@pytest.mark.parametrize(
    "model", [{"name": "mlp", "hidden": [24, 16], "norm": "batch"}, {"name": "cnn", "channels": [4]}]
)
def test_a_run_in_bfloat16_is_bit_equal_alone_and_in_company(model: dict[str, Any]) -> None:
    runs = [
        spec(activation=name, model=model, training={"precision": "bfloat16"})
        for name in ("relu", "prelu", "swish", "tanh")
    ]
    for run, record in zip(runs, records(*runs), strict=True):
        assert numbers(record) == numbers(records(run)[0]), run.activation.label


def test_tf32_needs_a_device_that_has_it() -> None:
    with pytest.raises(DeviceError, match="device 'cpu' has no TF32: choose precision: float32"):
        TrainState.open(Cohort((spec(training={"precision": "tf32"}),)), CPU)


def test_the_workers_of_several_gpus_take_them_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    monkeypatch.delenv(WORKER, raising=False)
    assert of_this_worker("cuda") == "cuda"
    found = []
    for worker in range(4):
        monkeypatch.setenv(WORKER, str(worker))
        found.append(of_this_worker("cuda"))
    assert found == ["cuda:0", "cuda:1", "cuda:2", "cuda:0"]
    assert (of_this_worker("cuda:1"), of_this_worker("cpu")) == ("cuda:1", "cpu")


def test_a_step_that_fails_leaves_no_place_for_gradients_behind() -> None:
    """Places are known by the tensor's id, which another tensor may have later."""
    state = TrainState.open(Cohort((spec(),)), CPU)
    labels = torch.zeros(1, 3, dtype=torch.long)
    with pytest.raises(RuntimeError):
        train_step(state, torch.zeros(1, 3, 1, 9, 9, dtype=torch.float64), labels)
    assert not cpu_linear.slots_offered()


def test_a_train_state_is_freed_as_soon_as_nobody_holds_it() -> None:
    """On a GPU the halves of a cohort need the memory of the whole one that did not fit."""
    gc.disable()
    try:
        state = TrainState.open(Cohort((spec(), spec(activation="tanh"))), CPU)
        stepper = choose_stepper(state, capture=True)
        for _ in range(3):
            train_epoch(state, stepper)
        assert isinstance(stepper, ReplayStepper)
        assert stepper.traced_sizes
        seen = weakref.ref(state)
        del state
        assert seen() is None
    finally:
        gc.enable()


def test_dropout_in_bfloat16_drops_as_many_as_in_float32() -> None:
    state = TrainState.open(Cohort((spec(),)), CPU)
    drawn = state.act.uniform(torch.zeros(1, 200_000, dtype=torch.bfloat16))
    assert (drawn < 0.001).double().mean().item() == pytest.approx(0.001, abs=3e-4)
