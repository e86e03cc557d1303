"""Measure a network's health while it trains: in a plain loop, in Lightning, in trainers with Keras' hooks."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from actbench.errors import UsageError
from actbench.health.units.dynamics import Dynamics
from actbench.schema.health_measures import NOT_FINITE

if TYPE_CHECKING:
    from torch import nn

    from actbench.health.modules.report import HealthReport


class HealthCallback:
    """Measures a network on the same inputs again and again, and follows each unit's death and revival.

    Neither Lightning nor Keras is imported: the hooks that they look up are methods of these names, and every other
    hook does nothing. Where a trainer insists on its own base class, add it:
    ``class Health(HealthCallback, Callback): ...``.

    Args:
        inputs: As for ``measure_health``; kept and read at every measurement, so no iterator that ends after one pass.
        every: Measure after each so many epochs; the network at initialisation is epoch 0.
        options: ``measure_health``'s other options.

    Attributes:
        history: One dict a measurement: ``epoch``, the report's ``to_dict``, and in each of its layers ``born_dead``,
            ``died``, ``revived``, ``lost``, ``first_death`` and ``persistence`` as ``Dynamics.of_run`` defines them.
        report: The last measurement; None before the first.

    Raises:
        UsageError: When ``every`` is below 1, or the inputs are an iterator.
    """

    def __init__(self, inputs: Any, every: int = 1, **options: Any) -> None:
        super().__init__()
        if every < 1:
            raise UsageError(f"'every' should be 1 or more epochs, not {every}")
        if hasattr(inputs, "__next__"):
            raise UsageError("the inputs are an iterator, empty after one measurement; pass a tensor, list or loader")
        self.history: list[dict[str, Any]] = []
        self.report: HealthReport | None = None
        self._inputs, self._every, self._options = inputs, every, options
        self._dynamics = Dynamics()
        self._network: nn.Module | None = None

    def measure(self, module: nn.Module, epoch: int) -> HealthReport:
        """Measure now, whatever the epoch, and add a row to the history."""
        from actbench.health.modules.module import measure_health

        self.report = measure_health(module, self._inputs, **self._options)
        dead, not_finite = (
            {layer.name: layer.masks[measure].unsqueeze(0) for layer in self.report.layers}
            for measure in ("dead", NOT_FINITE)
        )
        self._dynamics.note(epoch, dead, not_finite)
        row = {"epoch": epoch, **self.report.to_dict()}
        for layer in row["layers"]:
            layer |= self._dynamics.of_run(layer["name"], 0)
        self.history.append(row)
        return self.report

    def on_fit_start(self, trainer: Any, pl_module: nn.Module) -> None:
        """Measure before training; Lightning calls this."""
        self.measure(pl_module, int(trainer.current_epoch))

    def on_train_epoch_end(self, trainer: Any, pl_module: nn.Module) -> None:
        """Measure after an epoch, which Lightning counts from 0."""
        self._after(pl_module, int(trainer.current_epoch) + 1)

    def set_model(self, model: nn.Module) -> None:
        """Take the network; Keras hands it over once."""
        self._network = model

    def on_train_begin(self, logs: Any = None) -> None:
        """Measure before training; Keras calls this."""
        self.measure(self._known_network(), 0)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Measure after an epoch, which Keras counts from 0."""
        self._after(self._known_network(), epoch + 1)

    @property
    def state_key(self) -> str:
        """The name under which Lightning keeps this callback's state: one for each object, so that two may be used."""
        return f"{type(self).__qualname__}-{id(self)}"

    def state_dict(self) -> dict[str, Any]:
        """Return the state for Lightning's checkpoints: none, the history stays in this object."""
        return {}

    def __getattr__(self, name: str) -> Callable[..., None]:
        """Return a function that does nothing, for any other hook that a trainer looks up."""
        if name.startswith("on_") or name in ("setup", "teardown", "set_params"):
            return lambda *arguments, **options: None
        raise AttributeError(f"'{type(self).__name__}' has no attribute '{name}'")

    def _known_network(self) -> nn.Module:
        if self._network is None:
            raise UsageError("HealthCallback does not know the network: call set_model(module) before training")
        return self._network

    def _after(self, module: nn.Module, epoch: int) -> None:
        if epoch % self._every == 0:
            self.measure(module, epoch)
