"""Models over the run axis: one file a model, each with a ``plugin`` that follows the ``Model`` protocol."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Protocol

from actbench.schema.components import Component

if TYPE_CHECKING:
    from torch import Tensor, nn

    from actbench.nn.initializers import Initializer
    from actbench.nn.layers import Activate
    from actbench.nn.networks import ActivationOf


class Model(Protocol):
    """Describe a network once for any number of runs: dimension 0 of every tensor is the run.

    A model's options are the fields of its class (an ``Options``); a file of ``models/`` holds the class as ``plugin``.

    Attributes:
        cpu_cohort: Most runs that should train together on a CPU; more gain nothing, and stop and save less often.
        evaluation_batch: Examples that are evaluated at a time: as many as a CPU's cache holds a layer of. Fixed, since
            a matrix product's size moves the last bits of its result.
        expands: Whether layers may have other numbers of outputs than of pre-activations, as a gate makes them.
    """

    cpu_cohort: ClassVar[int]
    evaluation_batch: ClassVar[int]
    expands: ClassVar[bool]

    @property
    def normalises_over_batch(self) -> bool:
        """Whether the model normalises over the batch, which then needs two examples."""
        ...

    def hidden_layers(self, shape: tuple[int, int, int], classes: int) -> dict[str, int]:
        """Return name -> number of units (channels) of each hidden layer that has an activation, in forward order.

        Args:
            shape: (C, H, W) of one image.
            classes: Number of classes.

        Raises:
            ModelError: When the options do not fit the image's shape.
        """
        ...

    def init(self, initializer: Initializer, shape: tuple[int, int, int], classes: int) -> dict[str, Tensor]:
        """Return ONE run's tensors by name, without a run axis; a tensor that this run lacks is left out."""
        ...

    def apply(self, params: Mapping[str, Tensor], x: Tensor, act: Activate) -> Tensor:
        """Return logits (R, B, classes) for x (R, B, C, H, W)."""
        ...

    def network(
        self, tensors: Mapping[str, Tensor], activation: ActivationOf, shape: tuple[int, int, int], classes: int
    ) -> nn.Module:
        """Return ONE run's network as plain torch modules that hold these tensors: images (B, C, H, W) -> logits.

        Args:
            tensors: What ``init`` returned, trained since.
            activation: Makes the activation of the hidden layer of that name.
            shape: (C, H, W) of one image.
            classes: Number of classes.
        """
        ...


def build(component: Component) -> Model:
    """Build the model of a checked config: a file of ``models/``, or the user's ``nn.Module`` behind a ``path``."""
    if component.path is not None:
        from actbench.nn.models._module import UserModule

        return UserModule(component)
    model: Model = component.build()
    return model
