"""How a cohort takes its training steps; the numbers are the same to the last bit, whichever way it is.

``ordinary``, one operation after another; ``recorded``, replayed run by run on a CPU; ``captured``, in a CUDA graph.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from torch import Tensor

if TYPE_CHECKING:
    from actbench.training.state import Session

Batch = tuple[Tensor, Tensor]
"""X (R, B, C, H, W) and labels (R, B)."""


class Steps(Protocol):
    """A way to take steps.

    It is given its session at every call: one that kept it would be a cycle, and hold its memory until a collection.

    Attributes:
        together: How many batches it takes best at a time.
    """

    @property
    def together(self) -> int:
        """See above."""
        ...

    def __call__(self, session: Session, batches: Sequence[Batch]) -> None:
        """Take a step with each of the batches: forward, backward, clip, update, tally."""
        ...


def steps_of(session: Session, *, capture: bool) -> Steps:
    """How the session takes its steps: launched whole where that is wanted and possible.

    A user's own module or activation may do what can't be captured, such as waiting for a result.
    """
    from actbench.training.steps.cuda_graph import CapturedSteps, is_capturable
    from actbench.training.steps.eager import OrdinarySteps
    from actbench.training.steps.replayed import RecordedSteps

    specs = session.cohort.specs
    own = specs[0].model.path is not None or any(spec.activation.path is not None for spec in specs)
    if capture and not own and session.device.type == "cpu":
        return RecordedSteps(session)
    if capture and not own and is_capturable(session):
        return CapturedSteps(session.device)
    return OrdinarySteps()
