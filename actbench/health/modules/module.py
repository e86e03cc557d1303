"""Measure the health of any ``nn.Module`` by the trainer's own definitions: ``actbench.measure_health``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from actbench.errors import ConfigError, UsageError
from actbench.health.modules.inputs import batches, feed
from actbench.health.modules.isolation import check_ready, device_of, in_evaluation
from actbench.health.modules.report import HealthReport, LayerHealth
from actbench.health.modules.watch import UnitAxis, Watch
from actbench.health.units.probe import UnitHealth
from actbench.schema.health_measures import COUNTED, HEALTH_MEASURES, LAYER_SIGNALS
from actbench.schema.spec import HealthSettings


def measure_health(
    module: nn.Module,
    inputs: Any,
    *,
    dead_slope: float = 1e-3,
    constant_std: float = 1e-3,
    device: torch.device | str | None = None,
    max_examples: int | None = None,
    forward: Callable[[nn.Module, Any], Any] = feed,
    activations: Sequence[type[nn.Module]] = (),
    unit_axis: UnitAxis = None,
    exclude_last: bool = True,
) -> HealthReport:
    """Measure which hidden units of a network are dead, constant, dormant … on these inputs, by layer and in total.

    A unit is dead when max |f'(z)| over the inputs ≤ ``dead_slope``, f' by autograd of the activation itself at the z
    that it saw. A unit is a channel of a convolution, or a number in the last dimension of a linear layer's output;
    from there it is followed to the activation, through reshaping, indexing, pooling and arithmetic. All else of the
    input that belongs to it are positions. A layer to which the units could not be followed is listed in
    ``uncertain``: its counts are a guess, and in no total. The module runs in evaluation mode and is left as it was
    found.

    Args:
        module: Any network; of a compiled one its original is measured.
        inputs: A tensor of examples, or an iterable of batches: tensors, tuples or lists that begin with the input (a
            ``DataLoader``), or mappings passed as keyword arguments. Training inputs, for the definition's sake.
        dead_slope: At or below this slope no gradient counts as reaching a unit.
        constant_std: At or below this standard deviation an output counts as constant.
        device: Where batches are moved; None for where the module's first parameter lies.
        max_examples: A tensor is cut there; an iterable is followed, in whole batches, until it has given that many.
        forward: How the module is run on a batch, ``(module, batch) -> anything``.
        activations: Your own elementwise activation classes; torch's modules and functions are known.
        unit_axis: The dimension of units where a layer is uncertain or you mean others: for all layers, or by layer
            name.
        exclude_last: Leave out activations that no weight layer follows, as they shape the network's output.

    Returns:
        Counts and masks by layer, totals, and in ``unseen`` the layers whose activation could not be observed.

    Raises:
        UsageError: When there are no inputs, or the module or an option can't be used.

    Reference:
        Definitions: ``actbench.schema.health_measures``.

    Examples:
        >>> hidden = nn.Linear(1, 3)
        >>> _ = nn.init.ones_(hidden.weight), hidden.bias.data.copy_(torch.tensor([0.0, -9.0, 9.0]))
        >>> network = nn.Sequential(hidden, nn.ReLU(), nn.Linear(3, 2))
        >>> report = measure_health(network, torch.linspace(-1, 1, 100)[:, None])
        >>> report.layers[0].name, report.layers[0].dead, report.layers[0].dead_mask.tolist()
        ('1', 1, [False, True, False])
    """
    original = check_ready(module)
    settings = _settings(dead_slope=dead_slope, constant_std=constant_std)
    watch = Watch(original, settings, activations, unit_axis)
    place = torch.device(device) if device is not None else device_of(original)
    examples = 0
    with in_evaluation(original):
        for batch, size in batches(inputs, place, max_examples):
            watch.begin(batch, size)
            with watch:
                forward(original, batch)
            examples += size
    return _report(watch, settings, examples, exclude_last=exclude_last)


def _settings(**thresholds: float) -> HealthSettings:
    try:
        return HealthSettings.parse(thresholds)
    except ConfigError as error:
        raise UsageError(error.messages) from error


def _report(watch: Watch, settings: HealthSettings, examples: int, *, exclude_last: bool) -> HealthReport:
    """Return the measures of the activations that belong to hidden units: not of gates nor, if excluded, of outputs."""
    flow = watch.flow
    found = [name for name in watch.seen if name not in flow.gates]
    outputs = [name for name in found if name not in flow.hidden] if exclude_last else []
    measured = watch.observer.finish(examples)
    kept = [name for name in found if name not in outputs]
    uncertain = [name for name in kept if not watch.seen[name].certain]
    totals = _of_layers(measured, [name for name in kept if name not in uncertain]).of_run(0)
    del totals["layers"]
    rows = _of_layers(measured, kept).of_run(0)["layers"]
    return HealthReport(
        layers=tuple(_layer_health(watch, row, measured.units[row["name"]]) for row in rows),
        totals={key: value for key, value in totals.items() if key != "probe_size"},
        examples=examples,
        settings=settings,
        unseen=watch.layers_of(flow.unseen),
        linear=watch.layers_of(flow.linear),
        gating=watch.layers_of(flow.gating),
        outputs=tuple(outputs),
        uncertain=tuple(uncertain),
    )


def _of_layers(health: UnitHealth, names: Sequence[str]) -> UnitHealth:
    """Return the measures of some layers."""
    units, signals = ({name: values[name] for name in names} for values in (health.units, health.signals))
    return UnitHealth(units, signals, health.examples)


def _layer_health(watch: Watch, row: Mapping[str, Any], verdicts: Mapping[str, torch.Tensor]) -> LayerHealth:
    name = row["name"]
    return LayerHealth(
        name=name,
        activation=watch.seen[name].kind,
        after=watch.layers_of(sorted(watch.flow.sources[name])),
        examples=watch.seen[name].examples,
        units=row["units"],
        measures={measure: row[measure] for measure in HEALTH_MEASURES},
        signals={key: value for key, value in row.items() if key in LAYER_SIGNALS},
        masks={measure: verdicts[measure][0] for measure in COUNTED},
        uncertain=not watch.seen[name].certain,
    )
