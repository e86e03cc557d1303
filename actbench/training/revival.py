"""Let dormant units begin anew between two steps of training: ReDo (Sokar et al. 2023, arXiv:2302.12902).

Each time, on ``EXAMPLES`` training examples drawn for it, a hidden unit u is dormant when

    E|a_u| ≤ τ · (mean of E|a| over the units of its layer)

in evaluation mode: no dropout, running statistics. A dormant unit gets incoming weights and a bias as a new run would
draw them, its normalisation and its own activation parameters as they are at the start, and outgoing weights of 0; what
the optimizer keeps of all these numbers becomes 0. As in the reference code, outgoing weights are zeroed last: a
recycled unit takes nothing from recycled units of the layer before. So of a network in which every unit of
two neighbouring layers is dormant nothing comes back by this, since ReLU has no slope at z = 0.

From the reference code (google/dopamine, labs/redo) are the score, 256 examples, "at most", outgoing zeros and the
moments, of which Adam's count of steps stays. Ours: the run's own weight_init and bias_init instead of Glorot's and 0,
an epoch as the default period, and normalisation and learned activation parameters, which the reference has not.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from actbench.errors import UsageError
from actbench.health.units.accumulators import reduced
from actbench.health.units.measures import dormant_mask
from actbench.nn.layers import is_buffer
from actbench.nn.optimizers import Optimizer
from actbench.nn.revivals import Redo
from actbench.schema.spec import RunSpec
from actbench.schema.unit_groups import group_of
from actbench.training.parameters import Stack
from actbench.training.run_activations import Activations

EXAMPLES = 256
"""Training examples on which units are judged, as the reference code's ``batch_size_statistics``; all where there are
fewer."""

Fresh = Callable[[int], Mapping[str, Tensor]]
"""A run's number -> its tensors, drawn anew."""


class Revival:
    """Find the dormant units of a cohort, and let them begin anew; count them since the epoch's start.

    Args:
        options: τ and the period.
        hidden: Layer -> units, in forward order.
        steps: Steps of an epoch.
        stack: The runs' tensors; changed in place.
        optimizers: One per run, or one for all; what they keep is changed in place.
        act: The runs' activations, which see the pre-activations.
    """

    def __init__(
        self,
        options: Redo,
        hidden: Mapping[str, int],
        *,
        steps: int,
        stack: Stack,
        optimizers: Sequence[Optimizer],
        act: Activations,
    ) -> None:
        self._tau, self._every, self._layers = options.tau, options.every or steps, tuple(hidden)
        self._stack, self._optimizers, self._act = stack, optimizers, act
        self._counts: dict[str, list[int]] = {layer: [0] * stack.runs for layer in hidden}

    @property
    def counts(self) -> Mapping[str, Sequence[int]]:
        """Layer -> the units of each run that have been recycled since the epoch's start."""
        return self._counts

    def reset(self) -> None:
        """Count from 0, at an epoch's start."""
        self._counts = {layer: [0] * self._stack.runs for layer in self._layers}

    def is_due(self, taken: int) -> bool:
        """Return whether it is time, after so many steps since the beginning."""
        return taken > 0 and taken % self._every == 0

    def steps_until_due(self, taken: int) -> int:
        """Return how many more steps may be taken before it is time again, at least one."""
        return self._every - taken % self._every

    def state(self) -> dict[str, Any]:
        """Return the counts, for a checkpoint."""
        return {"counts": self._counts}

    def restore(self, saved: Mapping[str, Any]) -> None:
        """Go on from what ``state`` returned."""
        self._counts = {layer: list(counts) for layer, counts in saved["counts"].items()}

    @torch.no_grad()
    def revive(self, pass_forward: Callable[[], Any], fresh: Fresh) -> None:
        """Judge every hidden unit, and let the dormant ones begin anew.

        Args:
            pass_forward: Passes the examples forward.
            fresh: Draws a run's tensors; asked once for each run with a dormant unit.
        """
        masks = self._dormant(pass_forward)
        for run in range(self._stack.runs):
            own = {layer: mask[run] for layer, mask in masks.items() if mask[run].any()}
            if own:
                self._begin_anew(run, own, fresh(run))

    def _dormant(self, pass_forward: Callable[[], Any]) -> dict[str, Tensor]:
        """Return layer -> the mask (R, U) of dormant units; a unit whose outputs are not finite is none."""
        magnitudes: dict[str, Tensor] = {}
        act = self._act

        def observe(layer: str, z: Tensor) -> None:
            # In double precision, where the device has it: the mask must not depend on how a sum was rounded.
            a = act.apply(layer, z if z.dtype.itemsize >= 4 else z.float()).abs()
            magnitudes[layer] = (a if a.device.type == "mps" else a.double()).mean(reduced(a))

        training, act.training = act.training, False
        with act.observed(observe):
            pass_forward()
        act.training = training
        return {
            layer: dormant_mask(magnitude, ~magnitude.isfinite(), self._tau) for layer, magnitude in magnitudes.items()
        }

    def _begin_anew(self, run: int, dormant: Mapping[str, Tensor], fresh: Mapping[str, Tensor]) -> None:
        """Replace what leads into the dormant units of one run, then zero what leads out of them."""
        for layer, mask in dormant.items():
            self._counts[layer][run] += int(mask.sum())
            for name, values in fresh.items():
                if name.startswith(f"{layer}.") and values.shape[:1] == mask.shape:
                    there = self._stack.tensors[name].detach()[run]
                    there[mask] = values.to(there.device)[mask]
                    for kept in self._kept(name, run):
                        kept[mask] = 0
        following = dict(itertools.pairwise((*self._layers, "output")))
        for layer, mask in dormant.items():
            name = f"{following[layer]}.weight"
            for values in (self._stack.tensors[name].detach()[run], *self._kept(name, run)):
                # A dense layer after convolutions has a column for each position of a channel, one beside the other.
                columns = values if values.shape[1] == len(mask) else torch.unflatten(values, 1, (len(mask), -1))
                columns[:, mask] = 0

    def _kept(self, name: str, run: int) -> list[Tensor]:
        """Return what the optimizers keep of one run's tensor, such as its momentum, in the tensor's shape."""
        if is_buffer(name):
            return []
        stack, kind = self._stack, self._stack.kind(name)
        if stack.has_rows:
            return [stack.within(name, kept) for kept in self._optimizers[run].kept(kind)]
        (for_all,) = self._optimizers
        return [stack.within(name, kept)[run] for kept in for_all.kept(kind)]


def check_revival(spec: RunSpec, hidden: Mapping[str, int], tensors: Mapping[str, Tensor]) -> None:
    """Refuse to revive units of which it is not known which weights lead into and out of them.

    Args:
        spec: The run.
        hidden: Layer -> units, in forward order.
        tensors: Its tensors.

    Raises:
        UsageError: For a user's own module, an activation that changes the width, and ``draws`` as a script has them.
    """
    if spec.model.path is not None:
        raise UsageError(
            "training.revive: which weights lead into and out of a unit is not known of a module of your own; choose a "
            "built-in model, or revive: none"
        )
    if not group_of(spec.activation).is_elementwise:
        raise UsageError(
            f"training.revive: activation '{spec.activation.label}' changes the width of its layers, and ReDo is not "
            "defined for such units; choose another activation, or revive: none"
        )
    if spec.draws != "actbench":
        raise UsageError(
            f"draws: {spec.draws} draws as a plain script does, which revives no units; choose draws: actbench, or "
            "training.revive: none"
        )
    layers = [*hidden, "output"]
    for layer, following in itertools.pairwise(layers):  # a model of another shape would be recycled wrongly
        weight, after = tensors[f"{layer}.weight"], tensors[f"{following}.weight"]
        assert weight.shape[0] == hidden[layer]
        assert after.shape[1] % hidden[layer] == 0
