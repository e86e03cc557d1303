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
    first inputs. One that gets no more than one number per unit keeps its own: a variance takes two.

    Args:
        pass_probe: Passes every batch of the probe forward in evaluation mode, calls the function that it is given
            before each normalisation, and goes on to the next batch when that raises ``LayerReached``.
    """
    saved: list[tuple[Tensor, Tensor]] = []
    layers = _WaitingLayers()
    try:
        while True:
            pass_probe(layers.observe)
            found = layers.next()
            if found is None:
                break
            running, summary = found
            if summary is None or bool((summary[0] < 2).any()):
                continue
            saved += [(own, own.clone()) for own in running]
            count, mean, squares = summary
            for own, values in zip(running, (mean, squares / count), strict=True):
                own.copy_(values)
        yield
    finally:
        for own, values in saved:
            own.copy_(values)


class _WaitingLayers:
    """Collects in each pass the moments of the inputs at which its batches were held, each at a layer not done yet.

    Most networks hold all batches at one layer. One that sends some batches through other layers (a normalisation for
    each domain, say) holds them at several. Then the layer that has waited longest is done next, so that the others,
    and the layers behind all of them, are not done before every batch has come as far.
    """

    def __init__(self) -> None:
        self._done: set[str] = set()
        self._waiting: dict[str, tuple[Tensor, Tensor]] = {}  # in the order in which they were reached
        self._summaries: dict[str, Summary | None] = {}  # of this pass; None: no inputs so far

    def observe(self, name: str, x: Tensor, mean: Tensor, variance: Tensor) -> None:
        """Add a batch of inputs and hold it there, unless the layer is done."""
        if name in self._done:
            return
        self._waiting.setdefault(name, (mean, variance))
        before = self._summaries.setdefault(name, None)
        if x.numel():
            exact = x.detach() if x.dtype.itemsize >= 4 else x.detach().float()
            batch = tuple(map(widened, moments(exact)))
            self._summaries[name] = batch if before is None else merge_moments(before, batch)
        raise LayerReached

    def next(self) -> tuple[tuple[Tensor, Tensor], Summary | None] | None:
        """Return one layer's running statistics, and count, mean and squared deviations of its inputs; it is done.

        Returns:
            None where the pass held no batch.
        """
        summaries, self._summaries = self._summaries, {}
        name = next((name for name in self._waiting if name in summaries), None)
        if name is None:
            return None
        self._done.add(name)
        return self._waiting.pop(name), summaries[name]
