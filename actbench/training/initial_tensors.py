"""Draw the tensors that a cohort's runs start with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from actbench.errors import ModelError
from actbench.nn import torch_draws
from actbench.nn.chosen_activations import row_of
from actbench.nn.initializers import Initializer
from actbench.nn.models import Model
from actbench.nn.models._module import UserModule
from actbench.nn.torch_draws import TorchDraws, TorchInitializer
from actbench.schema.spec import RunSpec
from actbench.training.batches import Images
from actbench.training.run_activations import activation_tensors
from actbench.training.unit_variance import unit_variance_tensors


def initial_tensors(
    specs: Sequence[RunSpec], model: Model, images: Images, device: torch.device, *, revived_at: int | None = None
) -> tuple[list[Mapping[str, Tensor]], TorchDraws | None]:
    """Return each run's tensors, its activation's learned parameters included, and what draws after them.

    Args:
        specs: The runs.
        model: Their network.
        images: The dataset.
        device: Where they will train.
        revived_at: The step before which units begin anew with the numbers, which have streams of their own; None for
            those of the start.

    Returns:
        The tensors by name, without a run axis, on the CPU; and the runs' generators where all is drawn from one, as in
        a plain PyTorch script (``draws: torch``), else None.

    Raises:
        UsageError: When something can't be drawn as asked for.
    """
    dtype = getattr(torch, specs[0].training.dtype_name)
    labels = images.train.labels.cpu()
    class_counts = torch.bincount(labels, minlength=images.classes).tolist() if images.has_classes else ()
    runs: list[Mapping[str, Tensor]] = []
    generators: list[torch.Generator] = []
    drawn: dict[tuple[object, ...], tuple[Mapping[str, Tensor], Initializer]] = {}
    for spec in specs:
        initializer: Initializer
        if spec.draws == "actbench":
            initializer = Initializer(
                spec, dtype, data_moment=images.input_moment, class_counts=class_counts, revived_at=revived_at
            )
        else:
            torch_draws.check(spec, random_activation=row_of(spec.activation).random, device=device.type)
            initializer = TorchInitializer(spec, dtype, class_counts=class_counts)
        # Runs of one seed draw the same numbers, which are drawn once. A user's own module may read more of the run.
        key = (spec,) if isinstance(model, UserModule) else initializer.drawn_alike
        if key not in drawn:
            made = _made(initializer, model, images, revived_at)
            if isinstance(initializer, TorchInitializer):
                initializer.finish()
            drawn[key] = made, initializer
        tensors, initializer = drawn[key]
        if isinstance(initializer, TorchInitializer):
            generators.append(initializer.generator)
        hidden = model.hidden_layers(images.shape, images.classes)  # a user's own module has been built by ``init``
        runs.append({**tensors, **activation_tensors(spec.activation, hidden, dtype)})
    if not generators:
        return runs, None
    return runs, TorchDraws.of(generators, test_loader=specs[0].draws == "torch_with_test")


def _made(initializer: Initializer, model: Model, images: Images, revived_at: int | None) -> Mapping[str, Tensor]:
    """Return the tensors of the network that the initializer's run starts with."""
    if not initializer.reads_data:
        return model.init(initializer, images.shape, images.classes)
    spec = initializer.spec
    if isinstance(model, UserModule):
        raise ModelError(
            f"weight_init {spec.weight_init.name} scales the layers of built-in models, not of '{spec.model.path}'; "
            "choose another weight_init"
        )
    # In float64, so that a precision only rounds the weights.
    exact = Initializer(
        spec,
        torch.float64,
        data_moment=images.input_moment,
        class_counts=initializer.class_counts,
        revived_at=revived_at,
    )
    tensors = unit_variance_tensors(exact, model, images)
    return {name: tensor.to(initializer.dtype) for name, tensor in tensors.items()}
