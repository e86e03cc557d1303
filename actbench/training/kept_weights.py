"""Keep a run's network after its last, its best, or each epoch; and make an ``nn.Module`` of a kept one.

A file holds the tensors that the run owns, in safetensors' format: names, shapes and numbers, and no code that could
run when it is read. Neither the padding of the cohort's blocks nor a neighbour's tensors are in it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from actbench._version import __version__
from actbench.errors import UsageError
from actbench.nn.chosen_activations import learned_parameters
from actbench.nn.models import build
from actbench.nn.models._module import UserModule
from actbench.nn.networks import TrainedActivation
from actbench.nn.unit_axes.layout import UnitLayout
from actbench.schema.checkpoint_header import UnusableCheckpoint
from actbench.schema.events import WeightsKept
from actbench.schema.runtime import KeepWeights
from actbench.schema.spec import RunSpec
from actbench.training.epoch_log import EpochLog
from actbench.training.run_activations import parameter_name
from actbench.training.selection import merit
from actbench.training.state import TrainState

NOTES = "actbench"
"""The entry of a file's metadata with the run's digest, the epoch, the images' shape and the number of classes."""

Rows = Sequence[Mapping[str, Any] | None]


@dataclass
class _Kept:
    """A run's tensors to be stored when it ends.

    Args:
        epoch: After which epoch.
        merit: Its validation accuracy then, or its error there with a minus; None where that does not matter.
        tensors: Copies, on the CPU.
    """

    epoch: int
    merit: float | None
    tensors: dict[str, Tensor]


class WeightKeeper:
    """Keeps the networks that ``training.keep_weights`` asks for.

    Args:
        state: The cohort, which is read.
        keep: Which networks; None for none.
        epoch_log: Which runs have ended, and which epoch is the best where ``training.select`` asks for it.
    """

    def __init__(self, state: TrainState, keep: KeepWeights | None, epoch_log: EpochLog) -> None:
        self._state, self._keep, self._log = state, keep, epoch_log
        self._kept: dict[int, _Kept] = {}

    def after_epoch(self, rows: Rows) -> Iterator[WeightsKept]:
        """Take notice of an epoch that has just ended.

        Args:
            rows: What the epoch log returned: None for runs that had diverged before.
        """
        if self._keep is None:
            return
        for run, row in enumerate(rows):
            if row is None:
                continue
            epoch = row["epoch"]
            if self._keep == "all":
                yield WeightsKept(self._state.cohort.specs[run], epoch, self._packed(run, epoch, self._tensors(run)))
            elif self._keep == "last":
                # A run that diverges or runs out of patience ends here, however long its neighbours go on.
                if epoch == self._state.cohort.shared.training.epochs or self._log.has_ended(run):
                    self._kept[run] = _Kept(epoch, None, self._tensors(run))
            elif not self._log.has_diverged(run) and self._is_best(run, row):
                monitor = self._state.cohort.shared.training.monitor
                self._kept[run] = _Kept(epoch, merit(row, monitor), self._tensors(run))

    def _is_best(self, run: int, row: Mapping[str, Any]) -> bool:
        """Return whether the epoch is the best of the run so far: the reported one, if that is the best one."""
        training = self._state.cohort.shared.training
        if training.select == "best":
            return bool(self._log.selected_epoch(run) == row["epoch"])
        value, best = merit(row, training.monitor), self._kept.get(run)
        if value is None or best is None or best.merit is None:
            return value is not None
        return value > best.merit

    def at_end(self, run: int) -> Iterator[WeightsKept]:
        """Hand over what is kept of a run that has ended."""
        if found := self._kept.get(run):
            spec = self._state.cohort.specs[run]
            yield WeightsKept(spec, found.epoch, self._packed(run, found.epoch, found.tensors))

    def state(self) -> dict[str, Any] | None:
        """Return what is kept so far, as tensors and plain containers, for a checkpoint; None where nothing is."""
        if self._keep is None:
            return None
        return {"keep": self._keep, "runs": {run: [*vars(one).values()] for run, one in self._kept.items()}}

    def restore(self, saved: Mapping[str, Any] | None) -> None:
        """Go on from what ``state`` returned.

        Raises:
            UnusableCheckpoint: When weights of earlier epochs are wanted that were not kept then.
        """
        before = None if saved is None else saved["keep"]
        if self._keep in ("best", "all") and before != self._keep:
            raise UnusableCheckpoint(f"it was saved without training.keep_weights: {self._keep}")
        if saved is not None and before == self._keep:
            self._kept = {run: _Kept(*parts) for run, parts in saved["runs"].items()}

    def _tensors(self, run: int) -> dict[str, Tensor]:
        """Return copies of the tensors that a run owns, and of the buffers of a user's module."""
        found = {name: tensor.squeeze(0) for name, tensor in self._state.stack.only(run).tensors.items()}
        if isinstance(self._state.model, UserModule):
            found |= self._state.model.state()["buffers"]
        # clone: contiguous, and no view of the cohort's blocks
        return {
            name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format) for name, tensor in found.items()
        }

    def _packed(self, run: int, epoch: int, tensors: Mapping[str, Tensor]) -> bytes:
        from safetensors.torch import save

        spec, images = self._state.cohort.specs[run], self._state.images
        about = {
            "version": __version__,
            "digest": spec.digest,
            "epoch": epoch,
            "shape": list(images.shape),
            "classes": images.classes,
        }
        # One entry: of several the library writes the order as it comes, and equal networks would be unequal files.
        content: bytes = save(dict(tensors), {NOTES: json.dumps(about)})
        return content


def check_weights_can_be_kept(state: TrainState, keep: KeepWeights | None) -> None:
    """Refuse to keep the network that is best on validation where there is none.

    Raises:
        UsageError: When the dataset has no validation examples.
    """
    if keep == "best" and not len(state.images.val):
        raise UsageError(
            "training.keep_weights: best means the epoch that is best on validation, and the dataset "
            f"'{state.cohort.shared.dataset.name}' has no validation examples: set its val_fraction, or keep last"
        )


def network_of(spec: RunSpec, content: bytes, place: str) -> nn.Module:
    """Return a kept network, in evaluation mode.

    Args:
        spec: The run.
        content: The file.
        place: How a message names the file.

    Raises:
        UsageError: When the file is damaged, or belongs to another run.
    """
    tensors, about = _read(content, place)
    if about.get("digest") != spec.digest:
        raise UsageError(f"{place} belongs to another run than its spec.json")
    channels, height, width = about["shape"]
    try:
        network = _built(spec, tensors, (channels, height, width), about["classes"])
    except (KeyError, RuntimeError) as error:
        raise UsageError(f"{place} does not hold the tensors of this run's network: {error}") from error
    return network.eval()


def _built(spec: RunSpec, tensors: Mapping[str, Tensor], shape: tuple[int, int, int], classes: int) -> nn.Module:
    per_unit = {option: bool(of_unit) for option, (of_unit, _) in learned_parameters(spec.activation, 1).items()}

    def activation(layer: str, calls: Mapping[str, UnitLayout | None] | None = None) -> nn.Module:
        found = {layer: None} if calls is None else calls
        learned = [
            {option: tensors[parameter_name(call, option, per_unit=of_unit)] for option, of_unit in per_unit.items()}
            for call in found
        ]
        return TrainedActivation(spec.activation, learned if per_unit else (), tuple(found.values()))

    return build(spec.model).network(tensors, activation, shape, classes)


def _read(content: bytes, place: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the tensors and the notes beside them."""
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        tensors = load(content)
    except (SafetensorError, ValueError) as error:
        raise UsageError(f"{place} is damaged, or holds no weights: {error}") from error
    length = int.from_bytes(content[:8], "little")  # of the header, which the library has checked
    try:
        about = json.loads(json.loads(content[8 : 8 + length])["__metadata__"][NOTES])
        is_whole = len(about["shape"]) == 3 and isinstance(about["classes"], int) and isinstance(about["digest"], str)
    except (KeyError, TypeError, ValueError):
        is_whole = False
    if not is_whole:
        raise UsageError(f"{place} was not written by actbench")
    return tensors, about
