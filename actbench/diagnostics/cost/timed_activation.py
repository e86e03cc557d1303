"""Call one activation as a network does, in evaluation and in training, and measure the memory that its graph keeps."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from actbench.diagnostics.cost.result import Size
from actbench.errors import UsageError
from actbench.nn import chosen_activations
from actbench.nn.rng import stream
from actbench.schema.components import Component
from actbench.schema.unit_groups import ELEMENTWISE, group_of


@dataclass(frozen=True)
class Subject:
    """A function to measure: an activation, or a reference that others are compared with.

    Args:
        label: Its name in results.
        function: f(z, **learned), and ``noise`` in training if random.
        component: The choice behind it; None for a reference.
    """

    label: str
    function: Callable[..., Tensor]
    component: Component | None = None

    @property
    def random(self) -> bool:
        """Whether it draws noise in training."""
        return self.component is not None and chosen_activations.row_of(self.component).random

    def learned(self, units: int, device: torch.device) -> dict[str, Tensor]:
        """Return one layer's trained tensors, which broadcast against z (1, B, U)."""
        given = chosen_activations.learned_parameters(self.component, units) if self.component else {}
        return {
            name: torch.full((1, 1, *(shape or (1,))), start, device=device, requires_grad=True)
            for name, (shape, start) in given.items()
        }


@dataclass(frozen=True)
class TimedActivation:
    """One activation in several layers, which read the same z and g and write outputs of their own.

    Args:
        subject: The activation.
        leaves: A view of z (1, B, U) a layer, each a leaf of its own, so that no gradients are summed.
        gradients: g a layer, the loss's gradient with respect to the output: (1, B, U) unless the activation changes
            the width.
        learned: The layers' trained tensors.
        generator: The source of a random activation's noise.
    """

    subject: Subject
    leaves: Sequence[Tensor]
    gradients: Sequence[Tensor]
    learned: Sequence[Mapping[str, Tensor]]
    generator: torch.Generator

    @property
    def elements(self) -> int:
        """Numbers that go in, over all layers."""
        return sum(z.numel() for z in self.leaves)

    def forward(self) -> None:
        """Call each layer in evaluation; its output is thrown away."""
        function = self.subject.function
        with torch.no_grad():
            for z, learned in zip(self.leaves, self.learned, strict=True):
                function(z, **learned)

    def forward_backward(self) -> None:
        """Call each layer in training, then go back through all of them; without a way back where f has no slope."""
        outputs = [self._output(layer) for layer in range(len(self.leaves))]
        if outputs[0].requires_grad:
            wanted = [*self.leaves, *(tensor for learned in self.learned for tensor in learned.values())]
            torch.autograd.grad(outputs, wanted, self.gradients, allow_unused=True)

    def memory(self) -> tuple[float, float]:
        """Return the bytes per element that one layer's graph keeps for the way back, and the same with the output.

        Every storage counts once, and whole; learned tensors don't count. Tensors that a user's own
        ``autograd.Function`` keeps other than by ``save_for_backward`` are not seen.
        """
        storages: dict[int, int] = {}

        def note(tensor: Tensor) -> Tensor:
            storage = tensor.untyped_storage()
            storages[storage.data_ptr()] = storage.nbytes()
            return tensor.detach()  # the tensor itself would keep its own graph alive for ever

        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            output = self._output(0)
        for tensor in self.learned[0].values():
            storages.pop(tensor.untyped_storage().data_ptr(), None)
        saved = sum(storages.values())
        note(output)
        elements = self.leaves[0].numel()
        return saved / elements, sum(storages.values()) / elements

    def _output(self, layer: int) -> Tensor:
        """Return f(z) with its graph; noise is drawn on the CPU, as in training."""
        z, learned = self.leaves[layer], self.learned[layer]
        if not self.subject.random:
            return self.subject.function(z, **learned)
        noise = torch.rand(z.shape, generator=self.generator).to(z.device)
        return self.subject.function(z, **learned, noise=noise)


def timed_activations(subjects: Sequence[Subject], size: Size, device: torch.device) -> list[TimedActivation]:
    """Return each activation on the same z and g, float32 and drawn from N(0, 1), so that every branch is taken."""
    generator = stream(0, "activation")
    z, g = (torch.randn(1, size.batch, size.units, generator=generator).to(device) for _ in range(2))
    leaves = [z.detach().requires_grad_() for _ in range(size.layers)]
    return [
        TimedActivation(
            subject,
            leaves,
            [_gradient(subject, g)] * size.layers,
            [subject.learned(size.units, device) for _ in leaves],
            generator,
        )
        for subject in subjects
    ]


def _gradient(subject: Subject, g: Tensor) -> Tensor:
    """Return g (1, B, U) in the shape of the subject's output.

    Raises:
        UsageError: When U is no multiple of the pre-activations of a unit.
    """
    group = group_of(subject.component) if subject.component else ELEMENTWISE
    units = g.shape[2]
    if units % group.inputs:
        raise UsageError(
            f"'{subject.label}' takes {group.inputs} pre-activations a unit, of which {units} is no multiple"
        )
    return (
        g if group.is_elementwise else torch.cat([g, g], 2)[:, :, : units // group.inputs * group.outputs].contiguous()
    )
