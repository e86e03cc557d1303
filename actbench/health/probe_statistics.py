"""Let batch normalisation use the statistics of the probe while a network at initialisation is measured.

Until the first training step the running mean is 0 and the running variance 1, so that in evaluation mode batch norm
does nothing: the network would be measured as if it had none, which is not the network that its first step trains.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from torch import Tensor

from actbench.health.units.accumulators import Summary, merge_moments, moments, widened

ObserveNorm = Callable[[str, Tensor, Tensor, Tensor], None]
"""(name, x (R, B, U, …positions), running mean (R, U), running variance (R, U)): called before each normalisation."""


class LayerReached(BaseException):
    """Ends the forward pass of one batch: the layers behind wait for the statistics of this one.

    Not an ``Exception``, so that an ``except Exception`` in a user's module does not catch it.
    """


@contextmanager
def probe_statistics(pass_probe: Callable[[ObserveNorm], None]) -> Iterator[None]:
    """Set all running means and variances to those of the layers' inputs over the probe; put them back afterwards.

    Layer by layer, since a layer's inputs depend on the statistics of those before it. The result is what one batch
    that holds the whole probe would be normalised by in training mode, the biased variance included. This takes one
    pass over the probe for each layer, as far as that layer. A layer that is called twice gets the statistics of its
    first inputs.

    Args:
        pass_probe: Passes every batch of the probe forward in evaluation mode, calls the function that it is given
            before each normalisation, and goes on to the next batch when that raises ``LayerReached``.
    """
    saved: list[tuple[Tensor, Tensor]] = []
    done: set[str] = set()
    try:
        while True:
            layer = _NextLayer(done)
            pass_probe(layer.observe)
            if layer.summary is None:
                break
            done.add(layer.name)
            saved += [(running, running.clone()) for running in layer.running]
            count, mean, squares = layer.summary
            for running, values in zip(layer.running, (mean, squares / count), strict=True):
                running.copy_(values)
        yield
    finally:
        for running, values in saved:
            running.copy_(values)


class _NextLayer:
    """Collects the moments of the inputs of the first layer in a pass that is not done yet.

    Attributes:
        name: Its name, "" before any was reached.
        running: Its running mean and variance, (R, U) each.
        summary: Count, mean and squared deviations of its inputs, (R, U) each; None before any was reached.
    """

    def __init__(self, done: set[str]) -> None:
        self._done = done
        self.name = ""
        self.running: tuple[Tensor, ...] = ()
        self.summary: Summary | None = None

    def observe(self, name: str, x: Tensor, mean: Tensor, variance: Tensor) -> None:
        """Add a batch of inputs, unless the layer is done."""
        if name in self._done:
            return
        self.name, self.running = name, (mean, variance)
        exact = x.detach() if x.dtype.itemsize >= 4 else x.detach().float()
        batch = tuple(map(widened, moments(exact)))
        self.summary = batch if self.summary is None else merge_moments(self.summary, batch)
        raise LayerReached
