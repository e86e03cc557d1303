"""Measure the health of any ``nn.Module`` by the trainer's own definitions: ``actbench.measure_health``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

import torch
from torch import nn

from actbench.errors import ConfigError, UsageError
from actbench.health.modules.batch_axis import with_batch_axis
from actbench.health.modules.feeding import feed, noted
from actbench.health.modules.inputs import Batch, Mask, batches, not_finite
from actbench.health.modules.isolation import check_ready, device_of, in_evaluation, run_watched
from actbench.health.modules.report import HealthReport, LayerHealth
from actbench.health.modules.watch import UnitAxis, Watch
from actbench.health.probe_statistics import LayerReached, ObserveNorm, probe_statistics
from actbench.health.units.probe import UnitHealth
from actbench.nn.running_statistics import has_seen_no_batch, normalisations, norms_shown
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
    mask: Mask = None,
    batch_axis: int | None = None,
) -> HealthReport:
    """Measure which hidden units of a network are dead, constant, dormant … on these inputs, by layer and in total.

    A unit is dead when max |f'(z)| over the inputs ≤ ``dead_slope``, f' by autograd of the activation itself at the z
    that it saw. A unit is a channel of a convolution, or a number in the last dimension of a linear layer's output;
    from there it is followed to the activation, through reshaping, indexing, pooling and arithmetic. All else of the
    input that belongs to it are positions. A layer to which the units could not be followed is listed in
    ``uncertain``: its counts are a guess, and in no total. The module runs in evaluation mode and is left as it was
    found. Batch normalisations that have seen no batch yet use the mean and variance of these inputs: with those they
    were made with, 0 and 1, they would do nothing. One that gets a single number per unit keeps its own.

    Args:
        module: Any network; of a compiled one its original is measured.
        inputs: A tensor of examples, or an iterable of batches: tensors, tuples or lists that begin with the input (a
            ``DataLoader``), mappings passed as keyword arguments, packed sequences, or objects that the network takes.
            Training inputs, for the definition's sake.
        dead_slope: At or below this slope no gradient counts as reaching a unit.
        constant_std: At or below this standard deviation an output counts as constant.
        device: Where batches are moved; None for where the module's first parameter lies.
        max_examples: A tensor is cut there; an iterable is followed, in whole batches, until it has given that many.
        forward: How the module is run on a batch, ``(module, batch) -> anything``.
        activations: Your own elementwise activation classes; torch's modules and functions are known.
        unit_axis: The dimension of units where a layer is uncertain or you mean others: for all layers, or by layer
            name.
        exclude_last: Leave out activations that no weight layer follows, as they shape the network's output.
        mask: Where the inputs hold examples rather than padding: the key of a mapping, a function of the batch, or a
            tensor beside one tensor of inputs. True or 1 at (example, …positions) that count. Other positions of
            hidden units are not looked at.
        batch_axis: The dimension of the examples; None for the first, unless the network's own sequence layer declares
            otherwise (``batch_first=False``) and is given the inputs' first two dimensions.

    Returns:
        Counts and masks by layer, totals, and in ``unseen`` the layers whose activation could not be observed.

    Raises:
        UsageError: When there are no inputs, they hold NaN or infinite numbers that reach a hidden unit, they are one
            example instead of a batch, or the module or an option can't be used.

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
    if batch_axis is not None and batch_axis < 0:
        raise UsageError(f"batch_axis should be 0 or more, not {batch_axis}")
    settings = _settings(dead_slope=dead_slope, constant_std=constant_std)
    place = torch.device(device) if device is not None else device_of(original)
    examples, wrong = 0, None
    with in_evaluation(original):
        axis = batch_axis
        if axis is None:
            inputs, axis = with_batch_axis(original, forward, inputs, place)
        each_batch = partial(batches, device=place, max_examples=max_examples, axis=axis, mask=mask)
        with noted(inputs), _initial_statistics(original, inputs, each_batch, forward, max_examples) as inputs:
            watch = Watch(original, settings, activations, unit_axis, axis)
            for batch in each_batch(inputs):
                watch.begin(batch)
                run_watched(watch, partial(forward, original, batch.content))
                examples += batch.examples
                wrong = wrong or not_finite(batch, watch.has_used)
    report = _report(watch, settings, examples, exclude_last=exclude_last)
    if wrong and any(layer.not_finite for layer in report.layers):
        raise UsageError(f"{wrong}, and so are hidden units: clean the inputs, or leave out such examples")
    return report


@contextmanager
def _initial_statistics(
    module: nn.Module,
    inputs: Any,
    each_batch: Callable[[Any], Iterator[Batch]],
    forward: Callable[[nn.Module, Any], Any],
    max_examples: int | None,
) -> Iterator[Any]:
    """Let batch normalisations that have seen no batch use the statistics of the inputs; yield inputs to measure on."""
    fresh = {name: layer for name, layer in normalisations(module).items() if has_seen_no_batch(layer)}
    if not fresh:
        yield inputs
        return
    if isinstance(inputs, Iterable) and not isinstance(inputs, (torch.Tensor, Sequence, Mapping)):
        # An iterator is gone after one pass; a loader that shuffles may begin each pass with other examples.
        inputs = _kept(inputs, each_batch) if isinstance(inputs, Iterator) or max_examples is not None else inputs

    def pass_inputs(observe: ObserveNorm) -> None:
        with norms_shown(fresh, observe):
            for batch in each_batch(inputs):
                with suppress(LayerReached):
                    forward(module, batch.content)

    with probe_statistics(pass_inputs):
        yield inputs


def _kept(inputs: Iterable[Any], each_batch: Callable[[Any], Iterator[Batch]]) -> list[Any]:
    """Return the batches that are measured on, of inputs that may have no end."""
    kept: list[Any] = []

    def read() -> Iterator[Any]:
        for batch in inputs:
            kept.append(batch)
            yield batch

    for _ in each_batch(read()):
        pass
    return kept


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
    rows = _of_layers(measured, kept).of_run(0)["layers"]
    return HealthReport(
        layers=tuple(_layer_health(watch, row, measured.units[row["name"]]) for row in rows),
        totals={key: value for key, value in totals.items() if key not in ("layers", "probe_size")},
        examples=examples,
        settings=settings,
        uncertain=tuple(uncertain),
        unmasked=tuple(name for name in kept if not watch.seen[name].masked),
        **_lists(watch, kept, outputs),
    )


def _lists(watch: Watch, kept: Sequence[str], outputs: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return the report's lists of layers, so that every module with parameters is in one of them or feeds a layer."""
    flow, inventory = watch.flow, watch.inventory
    fed = {layer for name in kept for layer in flow.sources[name]}
    last = [layer for layer in flow.last if layer not in fed]
    missing = inventory.missing([*kept, *fed, *flow.unseen, *flow.linear, *flow.gating, *last, *outputs])
    hidden = [name for name in missing if inventory.may_be_out_of_sight(name, met_unknown=flow.met_unknown)]
    return {
        "unseen": tuple(dict.fromkeys((*watch.layers_of(flow.unseen), *hidden))),
        "linear": watch.layers_of(flow.linear),
        "gating": watch.layers_of(flow.gating),
        "outputs": tuple(dict.fromkeys((*watch.layers_of(last), *outputs))),
        "others": tuple(name for name in missing if inventory.is_met(name)),
        "unused": tuple(name for name in missing if not inventory.is_met(name) and name not in hidden),
    }


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
