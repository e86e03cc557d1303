"""What every model of ``models/`` owes the cohort: shapes, names, independence of its runs, honest sizes."""

from __future__ import annotations

from typing import get_args

import pytest
import torch
from small_runs import CPU, spec

from actbench.errors import ModelError
from actbench.nn.models import Model, build
from actbench.nn.norms import NormName
from actbench.schema.components import resolve
from actbench.schema.registry import load, names
from actbench.schema.runtime import Cohort
from actbench.training.state import TrainState


@pytest.mark.parametrize("name", names("models"))
@pytest.mark.parametrize("norm", get_args(NormName))
def test_a_model_maps_images_to_logits_and_names_its_hidden_layers(name: str, norm: str) -> None:
    options = {"name": name, "norm": norm}
    state = TrainState.open(Cohort((spec(model=options), spec(model=options, bias_init=None))), CPU)
    seen: dict[str, int] = {}
    with state.act.observed(lambda layer, z: seen.update({layer: z.shape[2]})):
        logits = state.forward(torch.randn(1, 6, 1, 8, 8, dtype=torch.float64).expand(2, 6, 1, 8, 8))
    assert logits.shape == (2, 6, 10)
    assert list(seen.items()) == list(state.model.hidden_layers((1, 8, 8), 10).items())


@pytest.mark.parametrize("name", names("models"))
def test_no_run_of_a_model_sees_another(name: str) -> None:
    state = TrainState.open(Cohort((spec(model=name), spec(model=name, seed=1))), CPU)
    x = torch.randn(2, 6, 1, 8, 8, dtype=torch.float64)
    state.forward(x)[0].sum().backward()
    for tensor in state.stack.trained.values():
        assert tensor.grad is not None
        assert tensor.grad[1].abs().sum() == 0


@pytest.mark.parametrize("name", names("models"))
def test_a_model_says_how_many_runs_suit_a_cpu(name: str) -> None:
    assert load("models", name).cpu_cohort >= 1


def test_a_cnn_halves_the_image_after_each_block() -> None:
    model: Model = build(resolve("models", {"name": "cnn", "channels": [[8, 8], 16], "dense": [32]}))
    assert model.hidden_layers((3, 32, 32), 10) == {"conv.0.0": 8, "conv.0.1": 8, "conv.1.0": 16, "dense.0": 32}
    state = TrainState.open(Cohort((spec(model={"name": "cnn", "channels": [4], "dense": [5]}),)), CPU)
    assert state.stack.tensors["dense.0.weight"].shape == (1, 5, 4 * 4 * 4)


def test_a_kernel_that_reaches_beyond_the_image_on_every_side_is_refused_before_it_takes_memory() -> None:
    model: Model = build(resolve("models", {"name": "cnn", "channels": [4], "kernel": 1001}))
    with pytest.raises(ModelError, match="a kernel of 1001 reaches 500 pixels to each side of a 8×8 image; at most 17"):
        model.hidden_layers((1, 8, 8), 10)
    widest: Model = build(resolve("models", {"name": "cnn", "channels": [4], "kernel": 17}))
    assert widest.hidden_layers((1, 8, 8), 10)


def test_a_cnn_that_leaves_nothing_of_the_image_is_refused() -> None:
    model: Model = build(resolve("models", {"name": "cnn", "channels": [4, 4, 4, 4]}))
    with pytest.raises(ModelError, match="4 blocks with pool_size 2 leave nothing of a 8×8 image"):
        model.hidden_layers((1, 8, 8), 10)


def test_an_mlp_without_hidden_layers_is_a_linear_classifier() -> None:
    state = TrainState.open(Cohort((spec(model={"name": "mlp", "hidden": []}),)), CPU)
    assert state.stack.parameter_count(0) == 64 * 10 + 10
