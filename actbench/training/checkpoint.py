"""Turn a cohort in the middle of its training into bytes, and back: on a CPU resumed runs equal undisturbed ones.

Saved are the tensors, the optimizers' state, the random streams, the position in the epoch and the epoch log. A user's
own code may keep more (an attribute of a module that is not a buffer, a global); that is lost.

The bytes are a ``CheckpointHeader`` in one line and, below it, tensors and plain containers as
``torch.load(weights_only=True)`` reads them: a checkpoint from elsewhere can't run code.
"""

from __future__ import annotations

import hashlib
import io

import torch

from actbench.nn import cpu_linear
from actbench.nn.native import library as native
from actbench.schema.checkpoint_header import CheckpointHeader, UnusableCheckpoint, parse_checkpoint
from actbench.training.epoch_log import EpochLog
from actbench.training.kept_weights import WeightKeeper
from actbench.training.state import TrainState

LOG_KEY = "logbook"
"""Where the epoch log lies in the bytes: an old name, kept for the file format. Renaming this key, or one in
``TrainState.state``, would make every existing checkpoint unusable: ``schema.checkpoint_header.FORMAT`` would have to
be raised."""


WEIGHTS_KEY = "kept"
"""Where the weights to keep lie in the bytes, if any are to be kept."""


def pack(state: TrainState, epoch_log: EpochLog, keeper: WeightKeeper) -> bytes:
    """Return the whole cohort as it stands between two steps, with the weights that will be stored at its end."""
    body = io.BytesIO()
    content = state.state() | {LOG_KEY: epoch_log.state()}
    if (kept := keeper.state()) is not None:
        content[WEIGHTS_KEY] = kept
    torch.save(content, body)
    header = _header(state, sha256=hashlib.sha256(body.getvalue()).hexdigest(), epoch=epoch_log.epochs_trained)
    return header.line() + body.getvalue()


def restore(saved: bytes, state: TrainState, epoch_log: EpochLog, keeper: WeightKeeper) -> None:
    """Put a state that was just opened, its epoch log and its kept weights back to where ``pack`` found them.

    Raises:
        UnusableCheckpoint: When the bytes are damaged, of other runs, or were computed in another environment. The
            state may then be changed in part and should be thrown away.
    """
    header, body = parse_checkpoint(saved)
    _check_header(header, _header(state, sha256=header.sha256))
    try:
        content = torch.load(io.BytesIO(body), map_location=state.device, weights_only=True)
        state.restore(content)
        epoch_log.restore(content[LOG_KEY])
        keeper.restore(content.get(WEIGHTS_KEY))
    except UnusableCheckpoint:
        raise
    except Exception as error:  # whatever a file of that checksum holds, it must not end the run
        raise UnusableCheckpoint(f"its content does not fit: {type(error).__name__}: {error}") from error


def _header(state: TrainState, *, sha256: str, epoch: int | None = None) -> CheckpointHeader:
    return CheckpointHeader(
        runs=tuple(spec.digest for spec in state.cohort.specs),
        device=state.device.type,
        torch=str(torch.__version__),
        products=cpu_linear.library_in_use(),
        kernels=native.name_in_use(),
        data=state.images.fingerprint,
        sha256=sha256,
        epoch=epoch,
    )


def _check_header(found: CheckpointHeader, here: CheckpointHeader) -> None:
    """Refuse a checkpoint of other runs or data, or of an environment in which resuming would move last bits."""
    if found.runs != here.runs:
        raise UnusableCheckpoint("it is of other runs")
    if found.data != here.data:
        raise UnusableCheckpoint("the dataset has changed since")
    for name, theirs, ours in (
        ("torch", found.torch, here.torch),
        ("device", found.device, here.device),
        ("--products", found.products, here.products),
        ("--kernels", found.kernels, here.kernels),
    ):
        if theirs != ours:
            raise UnusableCheckpoint(f"it was computed with {name} {theirs}, and this is {name} {ours}")
