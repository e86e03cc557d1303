"""Judge each epoch on validation: when a run stops (``training.patience``), and which epoch it reports (``select``).

A run that has stopped stays in its cohort's stack, where later steps may still change it. So the numbers of the epoch
that counts are copied when it ends, and put back before the test set is read. Its neighbours see nothing of that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from actbench.errors import UsageError
from actbench.nn.models._module import UserModule
from actbench.schema.metrics import METRICS, monitored_metric
from actbench.training.state import TrainState


@dataclass
class _Best:
    """The best epoch of a run so far.

    Args:
        epoch: The first of equally good ones; the untrained network is not among them.
        merit: As ``merit`` returns it.
        health: The run's health then.
    """

    epoch: int
    merit: float
    health: dict[str, Any]


class EpochSelection:
    """Follows the monitored metric of each run, and keeps the network of the epoch that the run reports.

    Args:
        state: The cohort, which is read; at the end the kept networks are put back into it.

    Attributes:
        is_used: Whether a run may end before its last epoch, or report another one than its last.
    """

    def __init__(self, state: TrainState) -> None:
        training = state.cohort.shared.training
        self._state, self._monitor, self._patience = state, training.monitor, training.patience
        self.is_used, self._takes_best = training.judges_epochs, training.select == "best"
        self._best: dict[int, _Best] = {}
        self._networks: dict[int, dict[str, Any]] = {}
        self._stopped: dict[int, int] = {}

    @property
    def stopped(self) -> frozenset[int]:
        """The runs that have run out of patience: they get no further rows."""
        return frozenset(self._stopped)

    def note(self, run: int, row: Mapping[str, Any], health: dict[str, Any]) -> bool:
        """Take notice of an epoch that has just ended, and return whether the run may report it.

        Args:
            run: Its number in the cohort; one that has neither diverged nor stopped.
            row: Its row of ``metrics.jsonl``.
            health: Its health.
        """
        epoch, epochs = row["epoch"], self._state.cohort.shared.training.epochs
        if not self.is_used or (epoch == 0 and epochs > 0):
            return False
        found = merit(row, self._monitor)
        assert found is not None, "a run without it has diverged"
        best = self._best.get(run)
        is_best = best is None or found > best.merit
        if is_best:
            best = self._best[run] = _Best(epoch, found, health)
        assert best is not None
        if self._patience is not None and epoch - best.epoch >= self._patience:
            self._stopped[run] = epoch
            self._state.resting.add(run)
        may_be_reported = is_best if self._takes_best else run in self._stopped
        if may_be_reported:
            self._networks[run] = self._copied(run)
        return may_be_reported

    def selected(self, run: int) -> tuple[int, dict[str, Any]] | None:
        """Return the epoch that a run reports, with its health; None for its last one."""
        best = self._best.get(run) if self._takes_best else None
        return None if best is None else (best.epoch, best.health)

    def put_back(self) -> None:
        """Give each run the network that it reports, before the test set is read. Doing so twice changes nothing."""
        self._state.resting.clear()
        for run, network in self._networks.items():
            own = self._state.stack.only(run).tensors
            for name, tensor in network["tensors"].items():
                own[name].detach().copy_(tensor)
            if isinstance(self._state.model, UserModule):
                self._state.model.restore(network["module"])

    def state(self) -> dict[str, Any] | None:
        """Return all of it as tensors and plain containers, for a checkpoint; None where nothing is selected."""
        if not self.is_used:
            return None
        best = {run: vars(one) for run, one in self._best.items()}
        return {"best": best, "networks": self._networks, "stopped": self._stopped}

    def restore(self, saved: Mapping[str, Any] | None) -> None:
        """Go on from what ``state`` returned."""
        if saved is None:
            return
        self._best = {run: _Best(**one) for run, one in saved["best"].items()}
        self._networks, self._stopped = saved["networks"], saved["stopped"]
        self._state.resting.update(self._stopped)

    def _copied(self, run: int) -> dict[str, Any]:
        tensors: Mapping[str, Tensor] = self._state.stack.only(run).tensors
        network: dict[str, Any] = {"tensors": {name: tensor.detach().clone() for name, tensor in tensors.items()}}
        if isinstance(self._state.model, UserModule):
            network["module"] = self._state.model.state()
        return network


def merit(row: Mapping[str, Any], monitor: str) -> float | None:
    """Return the monitored metric of an epoch, a loss with a minus, so that more is better; None where it has none."""
    name = monitored_metric(row, monitor)
    value: float | None = row.get(name)
    return value if value is None or METRICS[name].higher_is_better else -value


def check_epochs_can_be_judged(state: TrainState) -> None:
    """Refuse to judge epochs on validation where there is nothing to validate on.

    Raises:
        UsageError: When the dataset has no validation examples.
    """
    training = state.cohort.shared.training
    asked = "select: best" if training.select == "best" else f"patience: {training.patience}"
    if training.judges_epochs and not len(state.images.val):
        raise UsageError(
            f"training.{asked} judges epochs on validation, and the dataset '{state.cohort.shared.dataset.name}' has "
            "no validation examples: set its val_fraction above 0"
        )
