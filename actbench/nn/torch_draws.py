"""Draw weights, batches and dropout as a plain PyTorch script does: all from one generator, in the order of its lines.

    torch.manual_seed(seed)                               the generator of a run
    model = nn.Sequential(nn.Flatten(), nn.Linear(…), …)  each layer draws its weights, then its biases
    nn.init.kaiming_normal_(…), nn.init.zeros_(…)         a named scheme draws the weights again, layer after layer
    for epoch in range(epochs):
        for x, y in DataLoader(…, shuffle=True):          two numbers an epoch: the workers' seed, the order's seed
            …                                             dropout draws in each step

The global generator is never touched: a ``torch.Generator`` of the same seed gives the same numbers. All numbers are
drawn in float32, torch's default type, and cast afterwards, as by ``model.double()``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from actbench.errors import UsageError
from actbench.nn.initializers import Initializer, Shape
from actbench.schema.spec import RunSpec

DEFAULT = "pytorch"
"""The scheme that leaves the weights as the layers are made."""

SCHEMES: Mapping[str, Callable[[Tensor, torch.Generator], object]] = {
    "he_normal": lambda weight, g: nn.init.kaiming_normal_(weight, nonlinearity="relu", generator=g),
    "he_uniform": lambda weight, g: nn.init.kaiming_uniform_(weight, nonlinearity="relu", generator=g),
    "lecun_normal": lambda weight, g: nn.init.kaiming_normal_(weight, nonlinearity="linear", generator=g),
    "lecun_uniform": lambda weight, g: nn.init.kaiming_uniform_(weight, nonlinearity="linear", generator=g),
    "xavier_normal": lambda weight, g: nn.init.xavier_normal_(weight, generator=g),
    "xavier_uniform": lambda weight, g: nn.init.xavier_uniform_(weight, generator=g),
    "orthogonal": lambda weight, g: nn.init.orthogonal_(weight, generator=g),
}
"""Scheme -> what a script calls for each layer after the network is made. Its other arguments are torch's defaults."""


def check(spec: RunSpec, *, random_activation: bool, device: str) -> None:
    """Refuse what a script would draw in a way that is not reproduced here.

    Raises:
        UsageError: With the key to change.
    """
    scheme = spec.weight_init
    if scheme.name != DEFAULT and scheme.name not in SCHEMES:
        known = ", ".join((DEFAULT, *SCHEMES))
        raise UsageError(f"draws: {spec.draws} has no weight_init '{scheme.label}'; choose one of {known}")
    if scheme.name == "orthogonal" and scheme.changed:
        raise UsageError(f"draws: {spec.draws} has no '{scheme.label}'; choose orthogonal without a gain")
    if spec.training.augment is not None:
        raise UsageError(
            f"draws: {spec.draws} can't draw training.augment as a script does, whose datasets draw for each image; "
            "leave it out, or choose draws: actbench"
        )
    if spec.order_seed is not None:
        raise UsageError(
            f"draws: {spec.draws} draws weights and batches from one generator, so order_seed has no place there; "
            "leave it out, or choose draws: actbench"
        )
    if random_activation:
        raise UsageError(
            f"draws: {spec.draws} can't draw the noise of '{spec.activation.label}' as torch does; choose another "
            "activation, or draws: actbench"
        )
    if device != "cpu" and (spec.model.path is not None or spec.model.options.get("dropout")):
        raise UsageError(
            f"draws: {spec.draws} draws dropout as torch does on a CPU, not on '{device}'; choose --device cpu, or "
            "draws: actbench"
        )


class TorchInitializer(Initializer):
    """Draw one run's weights and biases as ``torch.nn`` and ``torch.nn.init`` do.

    Call ``finish`` after the last layer.

    Attributes:
        generator: That of the run, which goes on with the batches' order.

    Args:
        spec: The run.
        dtype: What the drawn float32 numbers are cast to.
        class_counts: As of ``Initializer``.
    """

    def __init__(self, spec: RunSpec, dtype: torch.dtype, *, class_counts: Sequence[int] = ()) -> None:
        super().__init__(spec, dtype, class_counts=class_counts)
        self.generator = torch.Generator("cpu").manual_seed(spec.seed)
        self._made: list[Tensor] = []

    @property
    def drawn_alike(self) -> tuple[object, ...]:
        """What decides the numbers drawn: runs that are equal in it draw the same."""
        return (self.spec.draws, *super().drawn_alike)

    def weight_and_bias(
        self, shape: Shape, *, name: str = "", first: bool = False, output: bool = False, has_bias: bool = True
    ) -> tuple[Tensor, Tensor | None]:
        """Draw as ``reset_parameters`` of ``Linear`` and ``Conv2d`` does; ``finish`` overwrites the weights."""
        weight = torch.empty(shape, dtype=torch.float32)
        nn.init.kaiming_uniform_(weight, a=math.sqrt(5), generator=self.generator)
        start = self._bias(shape, output=output) if has_bias else None
        if start is None:
            return self.adopt(weight), None
        bias = torch.empty(shape[:1], dtype=torch.float32)
        bound = 1 / math.sqrt(math.prod(shape[1:]))
        nn.init.uniform_(bias, -bound, bound, generator=self.generator)
        return self.adopt(weight), self.started(bias, output=output)

    def adopt(self, weight: Tensor) -> Tensor:
        """Return a layer's weights as they were made, in the run's type, to be drawn again by ``finish``."""
        weight = weight.to(self.dtype)
        self._made.append(weight)
        return weight

    def started(self, bias: Tensor, *, output: bool) -> Tensor | None:
        """Return a layer's biases: as made where ``bias_init`` is ``pytorch``, else as it says; None for none."""
        if self.spec.bias_init.kind == "pytorch" and not (output and self.spec.output_bias is not None):
            return bias.to(self.dtype)
        start = self._bias(tuple(bias.shape), output=output)
        return None if start is None else start.to(self.dtype)

    def finish(self) -> None:
        """Draw the weights of a named scheme over those that the layers were made with, in place, in their order."""
        if self.spec.weight_init.name == DEFAULT:
            return
        draw = SCHEMES[self.spec.weight_init.name]
        for weight in self._made:
            drawn = torch.empty(weight.shape, dtype=torch.float32)
            draw(drawn, self.generator)
            weight.copy_(drawn)


def epoch_order(examples: int, generator: torch.Generator) -> Tensor:
    """Return the order in which a ``DataLoader(shuffle=True)`` gives its examples in one epoch.

    Its iterator draws a seed for worker processes, then its ``RandomSampler`` one for a generator of its own, which
    shuffles.
    """
    torch.empty((), dtype=torch.int64).random_(generator=generator)
    seed = int(torch.empty((), dtype=torch.int64).random_(generator=generator))
    return torch.randperm(examples, generator=torch.Generator("cpu").manual_seed(seed))


@dataclass(frozen=True)
class TorchDraws:
    """Hold the generators of a cohort's runs, after the networks were made.

    Runs whose generators stand alike share one: their batches and dropout are the same.

    Args:
        generators: One for each group of such runs.
        group_of_run: The place of each run's generator.
        test_loader: Whether the script passes over a second ``DataLoader`` after each epoch, which draws a seed for
            worker processes even where there are none.
    """

    generators: Sequence[torch.Generator]
    group_of_run: Sequence[int]
    test_loader: bool = False

    @classmethod
    def of(cls, generators: Sequence[torch.Generator], *, test_loader: bool) -> TorchDraws:
        """Group the runs' generators by their states."""
        keys = [generator.get_state().numpy().tobytes() for generator in generators]
        distinct = list(dict.fromkeys(keys))
        firsts = [generators[keys.index(key)] for key in distinct]
        return cls(firsts, [distinct.index(key) for key in keys], test_loader)

    def close_epoch(self) -> None:
        """Draw what the pass over a second ``DataLoader`` draws."""
        if self.test_loader:
            for generator in self.generators:
                torch.empty((), dtype=torch.int64).random_(generator=generator)

    def dropout_noise(self, x: Tensor, rate: float) -> Tensor:
        """Return the factors of ``nn.Dropout`` for x (R, B, …) on a CPU: 0 with chance ``rate``, else 1/(1 − rate)."""
        drawn = [
            torch.empty(x.shape[1:], dtype=x.dtype).bernoulli_(1 - rate, generator=generator).div_(1 - rate)
            for generator in self.generators
        ]
        return torch.stack(drawn)[list(self.group_of_run)]
