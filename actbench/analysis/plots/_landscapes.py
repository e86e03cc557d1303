"""What a trained network does to its input space, by a function that the caller brings.

Networks are made by torch, which ``analysis`` does not import. So ``analysis`` says what it needs, a function from a
run to a ``Landscape``, and the command hands over ``landscape_of`` of ``cli.landscapes``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from actbench.schema.record import RunRecord

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

MAX_POINTS = 400
"""Training examples that are drawn; more hide what lies below them."""


@dataclass(frozen=True, eq=False)
class HiddenLayer:
    """The units of one hidden layer over the grid.

    Args:
        name: As in the run's record.
        z: (…, U), each unit's pre-activation at each place of the grid.
        dead: (U,) bool, by the run's own definition, on its probe.
    """

    name: str
    z: Array
    dead: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Landscape:
    """A network's outputs and pre-activations on a grid over its input space, in the data's own numbers.

    Args:
        axes: The grid's coordinates, an array for each of the one or two inputs.
        outputs: (G, K) over one input; (G₂, G₁, K) over two, the second one downwards.
        layers: The hidden layers, the first one first.
        points: (N, inputs), training examples.
        targets: (N,) classes, or the numbers to be learned.
        classes: The classes' names; none where numbers are learned.
        curve: (G,), what is to be learned, without its noise; None where that is not known, and for classes.
        epoch: After which epoch the network was kept.
    """

    axes: tuple[Array, ...]
    outputs: Array
    layers: tuple[HiddenLayer, ...]
    points: Array
    targets: NDArray[Any]
    classes: tuple[str, ...]
    epoch: int
    curve: Array | None = None

    @property
    def dead(self) -> int:
        """Return the number of dead units."""
        return sum(int(layer.dead.sum()) for layer in self.layers)

    @property
    def units(self) -> int:
        """Return the number of hidden units."""
        return sum(len(layer.dead) for layer in self.layers)


View = Callable[[RunRecord], Landscape]
"""Returns a run's landscape; raises ``UsageError`` for a run that kept no network, or whose inputs can't be drawn."""


def crossings(landscape: Landscape, z: Array) -> Array:
    """Return the places (M, inputs) where a unit's pre-activation is 0 between two neighbours of the grid.

    Args:
        landscape: With its grid.
        z: The unit's pre-activations on the grid.
    """
    import numpy as np

    found = []
    for axis in range(z.ndim):
        first, second = (np.take(z, range(*part), axis) for part in ((0, z.shape[axis] - 1), (1, z.shape[axis])))
        places = np.nonzero((first < 0) != (second < 0))
        share = first[places] / (first[places] - second[places])
        # Over two inputs the first dimension of z is the second input.
        of_inputs = tuple(reversed(places)) if z.ndim == 2 else places
        own = []
        for number, (index, coordinates) in enumerate(zip(of_inputs, landscape.axes, strict=True)):
            moves = number == (1 - axis if z.ndim == 2 else 0)
            start = coordinates[index]
            own.append(start + share * (coordinates[index + 1] - start) if moves else start)
        found.append(np.stack(own, 1))
    return np.concatenate(found)
