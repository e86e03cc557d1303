"""Apply each run's own activation, with its learned parameters, to tensors of many runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import groupby
from typing import overload

import torch
from torch import Tensor

from actbench.health.probe_statistics import ObserveNorm
from actbench.health.units.probe import slope_by_autograd
from actbench.nn import chosen_activations
from actbench.nn.alignment import fills_steps
from actbench.nn.layers import BUFFERS
from actbench.nn.native import functions as native
from actbench.nn.native.activation_codes import code_of, evaluation_code
from actbench.nn.parts import Hidden, Parts, cut, join, whole
from actbench.nn.rng import get_states, set_states, stream
from actbench.nn.torch_draws import TorchDraws
from actbench.nn.unit_axes.layout import UnitLayout
from actbench.schema.components import Component
from actbench.schema.spec import RunSpec, canonical_json
from actbench.schema.unit_groups import group_of

PER_UNIT = "per_unit"
"""Last part of the name of a learned activation parameter that every unit has for itself."""

LAYER_TENSORS = ("weight", "bias", *BUFFERS)
"""Names of a layer's own tensors, which a parameter of a user's activation may bear too, as that of ``nn.PReLU``."""


def activation_tensors(component: Component, layers: Mapping[str, int], dtype: torch.dtype) -> dict[str, Tensor]:
    """Return one run's learned activation parameters for all its hidden layers, at their start values."""
    tensors = {}
    for layer, units in layers.items():
        for option, (shape, start) in chosen_activations.learned_parameters(component, units).items():
            tensors[parameter_name(layer, option, per_unit=bool(shape))] = torch.full(shape, start, dtype=dtype)
    return tensors


def parameter_name(layer: str, option: str, *, per_unit: bool) -> str:
    """Name a parameter; the two shapes have names of their own, because a cohort may hold runs of either kind."""
    if option.rpartition(".")[2] in LAYER_TENSORS:
        option = f"activation.{option}"
    return f"{layer}.{option}.{PER_UNIT}" if per_unit else f"{layer}.{option}"


@dataclass(frozen=True)
class _Group:
    """Hold neighbouring runs with one activation: ``[start, stop)`` of dimension 0.

    Args:
        start: First run.
        stop: One past the last.
        function: f(z, **learned), and ``noise`` if random.
        slope: f′(z, **learned) in evaluation; None where autograd has to take it.
        learned: Learned option -> whether every unit has its own.
        random: Whether the function takes noise.
        code: Which of the compiled activations it is, with its option; None where it is none.
    """

    start: int
    stop: int
    function: Callable[..., Tensor]
    slope: Callable[..., Tensor] | None
    learned: Mapping[str, bool]
    random: bool
    code: tuple[int, float] | None

    def alone(self, run: int) -> _Group:
        """Return the group of one of its runs alone."""
        return replace(self, start=run, stop=run + 1)


class Activations:
    """Cut a layer by activation, apply each run's own, and join: the ``layers.Activate`` of a cohort.

    Attributes:
        training: Whether this is a training step: dropout and random activations draw, and layers may stay in parts.
        draws: Whether random numbers have been drawn so far; such steps can't be replayed.
        as_script: Whether the runs are to have the bits of a plain PyTorch script.
        sizes: Runs of each group, as ``layers.Activate`` has them.
        group: How many pre-activations and outputs a unit has, in all of the runs.
        layouts: Layer -> where its units lie, for layers called so far that have them elsewhere than in dimension 1.

    Args:
        specs: The cohort's runs, equal activations side by side.
        params: The stack's tensors; learned activation parameters are read from here at every call.
        draws: The runs' generators where all is drawn from one, as in a plain PyTorch script; None for streams of ours.
    """

    def __init__(self, specs: Sequence[RunSpec], params: Mapping[str, Tensor], draws: TorchDraws | None = None) -> None:
        self.training = self.draws = False
        self._observe: Callable[[str, Tensor], None] | None = None
        self._observe_norm: ObserveNorm | None = None
        self._params, self._specs = params, specs
        self.layouts: dict[str, UnitLayout] = {}
        self.group = group_of(specs[0].activation)
        self._groups = _groups(specs)
        if not self.group.is_elementwise and all(tensor.device.type == "cpu" for tensor in params.values()):
            # Blocks of pre-activations lie apart in memory, so a kernel ends a vector loop at each example's end: run
            # by run, as each has it alone.
            self._groups = [group.alone(run) for group in self._groups for run in range(group.start, group.stop)]
        self.sizes = [group.stop - group.start for group in self._groups]
        self._runs = [group.alone(run) for group in self._groups for run in range(group.start, group.stop)]
        self._is_random = any(group.random for group in self._groups)
        seeds = list(dict.fromkeys(spec.seed_of_batches for spec in specs))
        self._seed_of_run = [seeds.index(spec.seed_of_batches) for spec in specs]
        self._draws = draws
        self.as_script = specs[0].draws != "actbench"
        self._dropout = [stream(seed, "dropout") for seed in seeds] if draws is None else [*draws.generators]
        self._noise = [stream(seed, "activation") for seed in seeds]

    @overload
    def __call__(self, layer: str, z: Tensor, units: UnitLayout | None = None) -> Tensor: ...
    @overload
    def __call__(self, layer: str, z: Hidden, units: UnitLayout | None = None) -> Hidden: ...
    def __call__(self, layer: str, z: Hidden, units: UnitLayout | None = None) -> Hidden:
        """Return each run's f(z), in parts if z is; an observer, if there is one, sees the whole z first."""
        if units is not None and not units.is_second:
            self.layouts[layer] = units
        if self._observe is not None:
            z = whole(z)
            self._observe(layer, z)
        if isinstance(z, Tensor):
            return self.apply(layer, z)
        # Noise is drawn for the whole layer; and at sizes that fill no whole vector steps each run goes by itself, in
        # groups of one that the parts do not match (nn.alignment).
        whole_steps = not self.group.is_elementwise or all(map(fills_steps, z.pieces))
        if (self.training and self._is_random) or not whole_steps:
            return self.apply(layer, whole(z))
        applied = zip(self._groups, z.pieces, strict=True)
        return Parts(tuple(self._apply_group(group, layer, piece, None) for group, piece in applied))

    @contextmanager
    def observed(self, observe: Callable[[str, Tensor], None]) -> Iterator[None]:
        """Show every layer's pre-activations to ``observe(layer, z)`` while the context lasts."""
        self._observe = observe
        try:
            yield
        finally:
            self._observe = None

    @property
    def is_observed(self) -> bool:
        """Whether something observes the layers or the batch normalisations."""
        return self._observe is not None or self.watches_norms

    @property
    def watches_norms(self) -> bool:
        """Whether the inputs of batch normalisations are observed."""
        return self._observe_norm is not None

    @contextmanager
    def norms_observed(self, observe: ObserveNorm) -> Iterator[None]:
        """Show every batch normalisation's inputs and running statistics to ``observe`` while the context lasts."""
        self._observe_norm = observe
        try:
            yield
        finally:
            self._observe_norm = None

    def before_norm(self, name: str, x: Tensor, mean: Tensor, variance: Tensor) -> None:
        """Show the input of a normalisation to the observer, if there is one."""
        if self._observe_norm is not None:
            self._observe_norm(name, x, mean, variance)

    def apply(self, layer: str, z: Tensor) -> Tensor:
        """Return each run's f(z), unseen by the observer: z (R, B, U, …) -> the same shape unless the width changes."""
        noise = self._uniform(z, self._noise) if self.training and self._is_random else None
        groups = self._groups if fills_steps(z) else self._runs
        if len(groups) == 1:
            return self._apply_group(groups[0], layer, z, noise)
        parts = cut(z, [group.stop - group.start for group in groups])
        return join([self._apply_group(group, layer, part, noise) for group, part in zip(groups, parts, strict=True)])

    def with_slope(self, layer: str, z: Tensor) -> tuple[Tensor, Tensor]:
        """Return each run's f(z) and |f'(z)| in evaluation, unseen by the observer: z (R, B, U, …) -> two like it.

        Where the width changes, f(z) has as many numbers as the layer has outputs, and the slope is |∂f/∂z| by each of
        the pre-activations, whichever output depends on it.
        """
        groups = self._groups if fills_steps(z) else self._runs
        parts = cut(z, [group.stop - group.start for group in groups])
        found = [self._group_with_slope(group, layer, part) for group, part in zip(groups, parts, strict=True)]
        a, slope = (join(same) for same in zip(*found, strict=True))
        return a, slope

    def state(self) -> dict[str, list[Tensor]]:
        """Return the states of the random streams: of ``dropout``, and of random activations (``activation``)."""
        return {"dropout": get_states(self._dropout), "activation": get_states(self._noise)}

    def restore(self, state: Mapping[str, Sequence[Tensor]]) -> None:
        """Put the random streams back to where they stood when ``state`` returned this."""
        set_states(self._dropout, state["dropout"])
        set_states(self._noise, state["activation"])

    def learned(self, layer: str, run: int) -> dict[str, Tensor]:
        """Return one run's learned activation parameters in this layer, by option name."""
        found = {}
        for option, (shape, _) in chosen_activations.learned_parameters(self._specs[run].activation, 1).items():
            found[option] = self._params[parameter_name(layer, option, per_unit=bool(shape))].detach()[run]
        return found

    def codes(self, layer: str) -> list[tuple[int, float] | None]:
        """Return each run's activation in this layer, in evaluation, as the compiled kernels know it; None if not."""
        return [self._code(layer, run) for run in range(len(self._specs))]

    def _code(self, layer: str, run: int) -> tuple[int, float] | None:
        learned = self.learned(layer, run)
        if any(values.ndim for values in learned.values()):  # a number for each unit
            return None
        values = {option: float(value) for option, value in learned.items()}
        return evaluation_code(self._specs[run].activation, values)

    def torch_dropout_noise(self, x: Tensor, rate: float) -> Tensor | None:
        """Draw the factors of ``nn.Dropout`` for x (R, B, …), where the runs draw as a plain PyTorch script."""
        if self._draws is None:
            return None
        self.draws = True
        return self._draws.dropout_noise(x, rate)

    def uniform(self, x: Tensor) -> Tensor:
        """Draw numbers in [0, 1) like x (R, B, …) from the dropout streams."""
        return self._uniform(x, self._dropout)

    def _uniform(self, x: Tensor, generators: Sequence[torch.Generator]) -> Tensor:
        """Draw on the CPU, so that the device does not decide the numbers; equal ones for runs with equal seeds."""
        self.draws = True
        exact = x.dtype if x.dtype.itemsize >= 4 else torch.float32  # bfloat16 would move a dropout rate by 0.0015
        drawn = [torch.rand(x.shape[1:], generator=generator, dtype=exact) for generator in generators]
        return torch.stack(drawn).to(x.device)[self._seed_of_run]

    def _group_with_slope(self, group: _Group, layer: str, z: Tensor) -> tuple[Tensor, Tensor]:
        if group.slope is None:
            return slope_by_autograd(lambda layer, z: self._apply_group(group, layer, z, None))(layer, z)
        return self._apply_group(group, layer, z, None), group.slope(z, **self._learned_options(group, layer, z)).abs_()

    def _learned_options(self, group: _Group, layer: str, z: Tensor) -> dict[str, Tensor]:
        return {
            option: self._learned(parameter_name(layer, option, per_unit=per_unit), group, z, self.layouts.get(layer))
            for option, per_unit in group.learned.items()
        }

    def _apply_group(self, group: _Group, layer: str, z: Tensor, noise: Tensor | None) -> Tensor:
        if group.code is not None and native.has_activation(z):
            return native.activation(z, *group.code)
        arguments: dict[str, Tensor | None] = {**self._learned_options(group, layer, z)}
        if group.random:
            arguments["noise"] = None if noise is None else noise[group.start : group.stop].to(z.dtype)
        return group.function(z, **arguments)

    def _learned(self, name: str, group: _Group, z: Tensor, layout: UnitLayout | None) -> Tensor:
        """Return the group's parameter (runs,) or (runs, U), shaped to broadcast over z.

        Args:
            name: The parameter's.
            group: Runs with one activation.
            z: (runs, B, U, …), or of one run with units where ``layout`` has them.
            layout: Where the units of that run lie.
        """
        values = self._params[name][group.start : group.stop]
        if layout is not None and values.ndim > 1:
            return layout.spread(values[0], z.shape[1:]).unsqueeze(0).to(z.dtype)
        units = values.shape[1:] or (1,)
        return values.view(-1, 1, *units, *(1 for _ in z.shape[3:])).to(z.dtype)


def _groups(specs: Sequence[RunSpec]) -> list[_Group]:
    """Group neighbouring runs with equal activations."""
    groups, start = [], 0
    for _, members in groupby(specs, key=lambda spec: canonical_json(spec.activation.to_json())):
        same = [spec.activation for spec in members]
        chosen, stop = same[0], start + len(same)
        learned = {name: bool(shape) for name, (shape, _) in chosen_activations.learned_parameters(chosen, 1).items()}
        function, random = chosen_activations.function_of(chosen), chosen_activations.row_of(chosen).random
        slope = chosen_activations.slope_of(chosen)
        groups.append(_Group(start, stop, function, slope, learned, random, code_of(chosen)))
        start = stop
    return groups
