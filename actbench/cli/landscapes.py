"""Look at what a kept network does to its input space, for the chart ``boundary``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from actbench.errors import UsageError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from actbench.analysis.plots._landscapes import Landscape, View
    from actbench.schema.record import RunRecord
    from actbench.training.batches import Images

PLACES = {1: 2001, 2: 201}
"""Places of the grid in each direction, for networks of one input and of two."""

MARGIN = 0.15
"""Of the data's range, drawn on each side of it."""


def landscapes_of(folders: Mapping[str, Path]) -> View:
    """Return the function that finds a run's landscape, for runs of these studies.

    Args:
        folders: Study -> its folder.
    """

    def view(record: RunRecord) -> Landscape:
        return landscape_of(record, folders[record.study] / "runs" / record.run_id)

    return view


def landscape_of(record: RunRecord, folder: Path) -> Landscape:
    """Return what the network of a run does to its one or two inputs.

    Raises:
        UsageError: When the run kept no network, or has other inputs, or a network of the user's own.
    """
    import torch

    from actbench import datasets
    from actbench.execution.trained_networks import load_network
    from actbench.storage.store import weight_files
    from actbench.training.batches import to_device

    spec = record.spec
    shape = datasets.image_shape(spec.dataset)
    inputs = None if shape is None or shape[1:] != (1, 1) else shape[0]
    if inputs not in PLACES or spec.model.path is not None:
        raise UsageError(
            f"chart 'boundary' draws built-in networks over one or two numbers (moons, circles, xor, spiral, "
            f"regression); run {record.run_id} is a {spec.model.name} on {spec.dataset.name}"
        )
    network = load_network(folder)
    data = datasets.load(spec.dataset, datasets.data_folder(None))
    images = to_device(data, torch.device("cpu"), getattr(torch, spec.training.dtype_name))
    found = _over_grid(network, images, data.train_images[:, :, 0, 0], spec.health)
    from actbench.analysis.plots._landscapes import MAX_POINTS

    targets = data.train_labels if data.classes else data.train_labels[:, 0]
    return replace(
        found,
        targets=targets[:MAX_POINTS],
        classes=data.classes,
        curve=spec.dataset.build().values(found.axes[0]) if spec.dataset.name == "regression" else None,
        epoch=max(weight_files(folder)),
    )


def _over_grid(network: nn.Module, images: Images, points: Any, health: Any) -> Landscape:
    """Return the network's outputs and pre-activations on a grid that holds all the points, with some of these."""
    import numpy as np
    import torch

    from actbench.analysis.plots._landscapes import MAX_POINTS, HiddenLayer, Landscape
    from actbench.health.modules.module import measure_health
    from actbench.nn.networks import TrainedActivation

    inputs = points.shape[1]
    low, high = points.min(0), points.max(0)
    margin = MARGIN * (high - low)
    axes = tuple(np.linspace(low[k] - margin[k], high[k] + margin[k], PLACES[inputs]) for k in range(inputs))
    grid = np.stack(np.meshgrid(*axes), -1)  # (G, 1), or (G₂, G₁, 2)
    flat = torch.from_numpy(grid.reshape(-1, inputs)).view(-1, inputs, 1, 1)
    probe = images.normalise(images.train.first(health.probe_size).pixels)
    report = measure_health(network, probe, dead_slope=health.dead_slope, constant_std=health.constant_std)
    seen: list[Tensor] = []
    hooks = [
        layer.register_forward_pre_hook(lambda _, given: seen.append(given[0].detach()))
        for layer in network.modules()
        if isinstance(layer, TrainedActivation)
    ]
    with torch.no_grad():
        outputs = network(images.normalise(flat))
    for hook in hooks:
        hook.remove()
    if [z.shape[1:] for z in seen] != [(layer.units,) for layer in report.layers]:
        raise UsageError("chart 'boundary' draws networks whose units are numbers of their own; this one's are not")
    layers = tuple(
        HiddenLayer(
            layer.name.removesuffix(".activation"),
            z.double().numpy().reshape(*grid.shape[:-1], -1),
            layer.dead_mask.numpy(),
        )
        for layer, z in zip(report.layers, seen, strict=True)
    )
    return Landscape(
        axes=axes,
        outputs=outputs.double().numpy().reshape(*grid.shape[:-1], -1),
        layers=layers,
        points=points[:MAX_POINTS],
        targets=points[:0, 0],
        classes=(),
        epoch=0,
    )
