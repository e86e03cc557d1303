"""Scale a network's layers one after another to unit variance on training data: the ``lsuv`` initialisation.

    weights orthonormal
    for each layer, the first one first:
        up to ``max_iterations`` times:
            V = variance of weights · inputs, over the examples, units and positions of one batch
            stop if |V − 1| < tolerance
            weights = weights / √V

The batch is the first ``examples`` training examples in the dataset's fixed order, whatever the seed: a run's weights
depend on its own seed alone, and runs of one seed stay paired. All is computed in float64 on a CPU, one run at a time
and in evaluation mode, so neither a cohort nor a device moves a bit. Biases are left out where a layer is measured, and
count in the layers above. Where a model normalises, its layers are scaled as if it did not: behind a norm, the variance
would not tell how large the weights are.

Reference:
    Mishkin, Matas 2015, arXiv:1511.06422, algorithm 1.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from actbench.errors import ModelError
from actbench.nn.initializers import Initializer, LsuvOptions
from actbench.nn.models import Model
from actbench.schema.components import Options
from actbench.schema.spec import RunSpec
from actbench.training.batches import Images
from actbench.training.run_activations import Activations, activation_tensors

OUTPUT = "output"


class _Reached(Exception):
    """End a forward pass at the layer that is measured."""

    def __init__(self, z: Tensor) -> None:
        super().__init__()
        self.z = z


@torch.no_grad()
def unit_variance_tensors(initializer: Initializer, model: Model, images: Images) -> dict[str, Tensor]:
    """Draw one run's tensors with orthonormal weights and scale its layers on training data.

    Args:
        initializer: Of the run, for float64.
        model: A model whose layers bear the names of ``hidden_layers`` and ``output``.
        images: The dataset.

    Returns:
        Name -> float64 tensor, as ``model.init`` gives them.

    Raises:
        ModelError: When a layer's variance on the batch is 0 or not a finite number.
    """
    spec, options = initializer.spec, initializer.options
    assert isinstance(options, LsuvOptions)
    tensors = dict(model.init(initializer, images.shape, images.classes))
    hidden = model.hidden_layers(images.shape, images.classes)
    learned = activation_tensors(spec.activation, hidden, torch.float64)
    x, plain = _inputs(images, options.examples), _without_norm(model)
    for layer in (*hidden, OUTPUT):
        weight = tensors[f"{layer}.weight"]
        for _ in range(options.max_iterations):
            variance = _variance(layer, {**tensors, **learned}, spec, plain, x)
            if not 0 < variance < math.inf:
                raise ModelError(
                    f"weight_init lsuv can't scale '{layer}': its variance on the first {len(x[0])} training examples "
                    f"is {variance:g}; choose another weight_init, activation or bias_init"
                )
            if abs(variance - 1) < options.tolerance:
                break
            weight /= math.sqrt(variance)
    return tensors


def _without_norm(model: Model) -> Model:
    assert isinstance(model, Options)
    return model.model_copy(update={"norm": "none", "batch_norm": False})


def _inputs(images: Images, examples: int) -> Tensor:
    """Return the batch as a network sees it: x (1, B, C, H, W) in float64 on the CPU."""
    exact = {name: getattr(images, name).cpu().double() for name in ("scale", "shift", "white")}
    return replace(images, **exact).normalise(images.train.first(examples).pixels.cpu()).unsqueeze(0)


def _variance(layer: str, tensors: Mapping[str, Tensor], spec: RunSpec, model: Model, x: Tensor) -> float:
    """Return the variance of what the layer's activation is given, or of the logits, without the layer's own biases."""
    run = {name: tensor.unsqueeze(0) for name, tensor in tensors.items()}
    if (bias := f"{layer}.bias") in run:
        run[bias] = torch.zeros_like(run[bias])
    act = Activations((spec,), run)

    def observe(name: str, z: Tensor) -> None:
        if name == layer:
            raise _Reached(z)

    try:
        with act.observed(observe):
            z = model.apply(run, x, act)
    except _Reached as reached:
        z = reached.z
    return float(z.var(correction=0))
