"""Choose how a cohort takes its training steps; on one device, all the ways give the same bits.

The CPU has two ways, eager and replayed from a trace, and CUDA has two, eager and captured in a graph. The numbers of
different devices differ in their last bits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from torch import Tensor

from actbench.training.batches import Batch
from actbench.training.state import TrainState
from actbench.training.steps.cuda_graph import GraphStepper
from actbench.training.steps.eager import EagerStepper
from actbench.training.steps.replayed import ReplayStepper
from actbench.training.steps.replayed_forward import ReplayedForward


class Stepper(Protocol):
    """Take training steps: eager, replayed from a trace on a CPU, or from a CUDA graph.

    The state is handed over at every call rather than kept: references in both directions would keep the memory of both
    until a garbage collection, and after an error the halves of a cohort need it at once.
    """

    @property
    def batches_per_call(self) -> int:
        """The number of batches to hand over at a time."""
        ...

    def __call__(self, state: TrainState, batches: Sequence[Batch]) -> None:
        """Take a step with each of the batches: forward, backward, clip, update, tally."""
        ...


def choose_forward(state: TrainState, *, capture: bool) -> Callable[[Tensor], Tensor]:
    """Return how to pass forward in evaluation: as ``choose_stepper`` has it, but for CUDA, where passes are eager."""
    if capture and not state.has_own_code and state.device.type == "cpu":
        return ReplayedForward(state)
    return state.forward_in_training


def choose_stepper(state: TrainState, *, capture: bool) -> Stepper:
    """Return the fastest stepper that the cohort allows.

    A user's own module or activation is never replayed: it may decide by numbers, count its calls, or wait for a
    result. docs/internals.md draws this choice, and what each way does besides.

    Args:
        state: The cohort in training.
        capture: Whether steps may be launched whole: replayed on a CPU, from a CUDA graph on a GPU.
    """
    own = state.has_own_code
    if capture and not own and state.device.type == "cpu":
        return ReplayStepper(state)
    if capture and not own and state.capturable:
        return GraphStepper(state.device)
    return EagerStepper()
