"""A cohort in the middle of its training as bytes, and back: on a CPU resumed runs equal undisturbed ones bit for bit.

Kept are the tensors, the optimizer's state, the random streams, the place in the epoch and the logbook. What a user's
own code keeps besides (an attribute of a module that is no buffer, a global) is not. The order of an epoch's batches is
drawn at its start, so its streams are kept as they stood then: drawn again, they give the same order.

The bytes are a ``CheckpointHeader`` and, below it, tensors and plain containers as ``torch.load(weights_only=True)``
reads them.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from actbench.nn import cpu_linear
from actbench.nn.models._module import UserModule
from actbench.schema.checkpoint_header import CheckpointHeader, Unusable, opened
from actbench.training.epoch_log import EpochLog
from actbench.training.state import TrainState

Streams = list[Tensor]
"""States of generators."""


@dataclass
class EpochPosition:
    """How far the epoch is.

    Args:
        order: The streams of the batches' order at its start.
        steps: Steps of it that have been taken.
    """

    order: Streams
    steps: int = 0

    @classmethod
    def at_the_start(cls, session: TrainState) -> EpochPosition:
        """Where the next epoch begins."""
        return cls(_states(session.batches._order))

    def begin_again(self, session: TrainState) -> None:
        """An epoch is over: move to where the next one begins."""
        self.order, self.steps = _states(session.batches._order), 0

    def batches(self, session: TrainState) -> Iterator[tuple[Tensor, Tensor]]:
        """The epoch's batches that are still to come; the streams of the order stand at the epoch's start.

        What has been trained on is gathered once more and dropped: a tenth of the time that the steps took.
        """
        batches, changes = session.batches.epoch(), _states(session.batches._changes)
        for _ in range(self.steps):
            next(batches)
        if self.steps:
            _set(session.batches._changes, changes)
        yield from batches


def pack(session: TrainState, logbook: EpochLog, place: EpochPosition) -> bytes:
    """The whole cohort as it stands between two steps."""
    content = {
        "layout": _layout(session),
        "tensors": {name: tensor.detach().clone() for name, tensor in session.stack.tensors.items()},
        "optimizers": [optimizer.state_dict() for optimizer in session.optimizers],
        "session": {"steps": session.taken, "seconds": session.seconds, "examples": session.tally.examples},
        "tally": {"loss": session.tally.loss, "correct": session.tally.correct},
        "streams": {name: _states(generators) for name, generators in _streams(session).items()},
        "place": {"order": place.order, "steps": place.steps},
        "logbook": logbook.state(),
    }
    if isinstance(session.model, UserModule):
        content["module"] = session.model.state()
    body = io.BytesIO()
    torch.save(content, body)
    return _heading(session, hashlib.sha256(body.getvalue()).hexdigest()).line() + body.getvalue()


def restore(state: bytes, session: TrainState, logbook: EpochLog) -> EpochPosition:
    """Put a session that was just opened, and its logbook, back to where ``pack`` found them.

    Raises:
        Unusable: When the bytes are damaged, of other runs, or of other circumstances. The session may then be changed
            in part, and should be thrown away.
    """
    heading, body = opened(state)
    _check(heading, _heading(session, heading.sha256))
    try:
        content = torch.load(io.BytesIO(body), map_location=session.device, weights_only=True)
        if content["layout"] != _layout(session):
            raise Unusable("its tensors lie otherwise in memory")
        _put(content, session)
        logbook.restore(content["logbook"])
        return EpochPosition([tensor.cpu() for tensor in content["place"]["order"]], content["place"]["steps"])
    except Unusable:
        raise
    except Exception as error:  # whatever a file of that checksum holds, it must not end the run
        raise Unusable(f"its content does not fit: {type(error).__name__}: {error}") from error


def _put(content: dict[str, Any], session: TrainState) -> None:
    with torch.no_grad():
        for name, tensor in session.stack.tensors.items():
            tensor.copy_(content["tensors"][name])
        session.tally.loss.copy_(content["tally"]["loss"])
        session.tally.correct.copy_(content["tally"]["correct"])
    for optimizer, its_state in zip(session.optimizers, content["optimizers"], strict=True):
        optimizer.load_state_dict(its_state)
    session.taken, session.seconds = content["session"]["steps"], content["session"]["seconds"]
    session.tally.examples = content["session"]["examples"]
    for name, generators in _streams(session).items():
        _set(generators, content["streams"][name])
    _set(session.batches._order, content["place"]["order"])
    if isinstance(session.model, UserModule):
        session.model.restore(content["module"])


def _heading(session: TrainState, sha256: str) -> CheckpointHeader:
    return CheckpointHeader(
        runs=tuple(spec.digest for spec in session.cohort.specs),
        device=session.device.type,
        torch=str(torch.__version__),
        products=cpu_linear.in_use(),
        data=session.images.fingerprint,
        sha256=sha256,
    )


def _check(found: CheckpointHeader, here: CheckpointHeader) -> None:
    if found.runs != here.runs:
        raise Unusable("it is of other runs")
    if found.data != here.data:
        raise Unusable("the dataset has changed since")
    for what, one, other in (
        ("torch", found.torch, here.torch),
        ("device", found.device, here.device),
        ("--products", found.products, here.products),
    ):
        if one != other:
            raise Unusable(f"it was computed with {what} {one}, and this is {what} {other}")


def _layout(session: TrainState) -> list[list[Any]]:
    """Where each tensor lies in the blocks, whose order the optimizer's state follows."""
    tensors = sorted(session.stack.tensors.items())
    return [[name, list(t.shape), list(t.stride()), t.storage_offset(), str(t.dtype)] for name, t in tensors]


def _streams(session: TrainState) -> dict[str, list[torch.Generator]]:
    """The random streams that steps draw from."""
    return {
        "augment": session.batches._changes,
        "dropout": session.act._dropout,
        "activation": session.act._noise,
    }


def _states(generators: list[torch.Generator]) -> Streams:
    return [generator.get_state() for generator in generators]


def _set(generators: list[torch.Generator], states: Streams) -> None:
    for generator, state in zip(generators, states, strict=True):
        generator.set_state(state.cpu())
