"""The products of a network, counted from the shapes of the tensors that it has."""

from __future__ import annotations

from typing import Any

import pytest
from small_runs import CPU, spec

from actbench.execution.cost_model import SHAPES, products
from actbench.schema.runtime import Cohort
from actbench.training.state import TrainState

MODELS: list[dict[str, Any]] = [
    {"name": "mlp", "hidden": [12, 8]},
    {"name": "mlp", "hidden": [12, 8], "match": "parameters"},
    {"name": "cnn", "channels": [[4, 6], 8], "dense": [10]},
    {"name": "cnn", "channels": [4], "dense": [], "match": "parameters"},
]


@pytest.mark.parametrize("activation", ["relu", "swiglu", "crelu", {"name": "maxout", "pieces": 3}], ids=str)
@pytest.mark.parametrize("model", MODELS, ids=str)
def test_products_are_those_of_the_tensors_at_each_position(model: dict[str, Any], activation: Any) -> None:
    run = spec(model=model, activation=activation)
    tensors = TrainState.open(Cohort((run,)), CPU).stack.tensors
    # Images of 8 × 8 pixels, a quarter of them after each block.
    positions = {name: 64 // 4 ** int(name.split(".")[1]) for name in tensors if name.startswith("conv")}
    counted = sum(
        tensor[0].numel() * positions.get(name, 1) for name, tensor in tensors.items() if name.endswith(".weight")
    )
    assert products(run.model, SHAPES["digits"], run.activation) == counted
