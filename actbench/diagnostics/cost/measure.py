"""Measure the costs of activations in turn, so that a machine that slows down slows all of them.

Which activation came before a sample must not matter. So the order is drawn anew in each round, and untimed calls come
before every sample: they load its tensors into the cache, and let the allocator reach the state in which it stays. In
a fixed order without them leaky ReLU cost .78 to .92 of ReLU in cache, and .98 to 1.00 in a loop of its own.
"""

from __future__ import annotations

import math
import platform
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from actbench._version import __version__
from actbench.diagnostics.cost.result import PASSES, RELU, SIZES, WRITTEN, CostRow, Costs, Pass, Size
from actbench.diagnostics.cost.timed_activation import Subject, TimedActivation, timed_activations
from actbench.errors import UsageError
from actbench.nn import chosen_activations
from actbench.schema.components import Component, resolve
from actbench.system import devices
from actbench.training import numerics

DEFAULT_ROUNDS, MIN_ROUNDS = 9, 5
"""Of nine, the second to the eighth hold the median with 96 %, so one disturbed round does no harm; five give 94 %."""

SAMPLE_SECONDS = 2e-3
"""A sample repeats its call until it lasts about so long, far above what a clock resolves."""

WARM_UP = 1.0
"""Untimed calls before a sample, for each call in it: with half as many, the ratios spread twice as widely."""

SHORTEST_CALL = 1e-6
"""Seconds; no call of Python and torch is shorter, but a clock may say 0."""

ALLOCATOR_WARM_UP = 28 * 2**20
"""Bytes. glibc hands freed memory back to the system, and pays with page faults when it is needed again, until a block
as large as this has been freed once (its threshold then moves up, to 32 MiB at most). A process in training has."""


def measure_costs(
    chosen: Sequence[Component],
    *,
    rounds: int = DEFAULT_ROUNDS,
    device: str = "cpu",
    sizes: Sequence[Size] = SIZES,
    tell: Callable[[int], None] = lambda done: None,
) -> Costs:
    """Measure activations on float32 tensors of N(0, 1), in one thread, subnormal numbers flushed to zero.

    ``forward`` is a call as in evaluation, without a graph. ``forward_backward`` is one as in training, together with
    the gradients of z and of learned parameters; a random activation draws its noise there.

    Args:
        chosen: Components of kind ``activations``; the references of ``result`` are measured besides.
        rounds: How often each is measured, after a call of each that only warms up.
        device: As ``devices.choose`` takes it.
        sizes: The tensors.
        tell: Called after every round with the number of rounds done, for a progress display.

    Raises:
        DeviceError: When there is no such device.
        UsageError: For fewer than 5 rounds, two activations of one label, or a user's function that is no activation.
    """
    if rounds < MIN_ROUNDS:
        raise UsageError(f"{rounds} rounds say too little about a spread: take at least {MIN_ROUNDS}")
    place, subjects = torch.device(devices.choose(device)), _subjects(chosen)
    clock = Clock.of(place)
    with numerics.deterministic_numerics("default", "torch"):
        torch.empty(ALLOCATOR_WARM_UP, dtype=torch.uint8)  # freed at once
        trials = [_Trial(size, work, clock) for size in sizes for work in timed_activations(subjects, size, place)]
        order = torch.Generator().manual_seed(0)
        for done in range(rounds):
            for index in torch.randperm(len(trials), generator=order).tolist():
                trials[index].measure()
            tell(done + 1)
        machine = {**_machine(place), "clock": clock.name}
    return Costs(tuple(trial.row() for trial in trials), rounds, machine)


@dataclass(frozen=True)
class Clock:
    """The clock that a device is timed by.

    Args:
        name: Its name in the output.
        read: Returns seconds.
        settle: Waits until the device has finished.
    """

    name: str
    read: Callable[[], float]
    settle: Callable[[], None]

    @classmethod
    def of(cls, device: torch.device) -> Clock:
        """Return a device's clock: on a CPU the processor time of the calling thread, else the wall clock.

        Waiting for other programs does not count then. Windows advances that clock in steps of 16 ms, so there the
        wall clock is read too.
        """
        if device.type != "cpu":
            return cls("wall clock, synchronised", time.perf_counter, lambda: torch.accelerator.synchronize(device))
        if sys.platform == "win32":
            return cls("wall clock", time.perf_counter, lambda: None)
        return cls("processor time of the thread", time.thread_time, lambda: None)

    def seconds(self, call: Callable[[], None], times: int) -> float:
        """Return the seconds that so many calls take."""
        self.settle()
        began = self.read()
        for _ in range(times):
            call()
        self.settle()
        return self.read() - began


class _Trial:
    """One activation at one size, and its times so far."""

    def __init__(self, size: Size, work: TimedActivation, clock: Clock) -> None:
        self._size, self._work, self._clock = size, work, clock
        self._saved, self._kept = work.memory()
        self._calls: dict[Pass, Callable[[], None]] = {
            "forward": work.forward,
            "forward_backward": work.forward_backward,
        }
        self._times: dict[Pass, list[float]] = {measured: [] for measured in PASSES}
        # These first calls also warm up.
        self._repeats = {measured: self._enough(call) for measured, call in self._calls.items()}

    def measure(self) -> None:
        """Take one sample of each pass, after untimed calls for a part of its time."""
        for measured, call in self._calls.items():
            repeats = self._repeats[measured]
            for _ in range(math.ceil(repeats * WARM_UP)):
                call()
            seconds = self._clock.seconds(call, repeats)
            self._times[measured].append(seconds * 1e9 / (repeats * self._work.elements))

    def row(self) -> CostRow:
        """Return all samples so far."""
        times = {measured: tuple(found) for measured, found in self._times.items()}
        return CostRow(self._work.subject.label, self._size, times, self._saved, self._kept)

    def _enough(self, call: Callable[[], None]) -> int:
        """Return the number of calls that make a sample of about ``SAMPLE_SECONDS``."""
        if self._clock.seconds(call, 1) >= SAMPLE_SECONDS:
            return 1
        second = self._clock.seconds(call, 1)  # the first one also loads code
        return math.ceil(SAMPLE_SECONDS / max(second, SHORTEST_CALL))


def _subjects(chosen: Sequence[Component]) -> list[Subject]:
    distinct = list(dict.fromkeys((resolve("activations", RELU), *chosen)))
    labels = [WRITTEN, *(component.label for component in distinct)]
    for label in labels:
        if labels.count(label) > 1:
            raise UsageError(f"two different activations are both called '{label}': give one of them another name")
    one = torch.tensor(1.0)  # a number of Python's would be wrapped anew in every call, for as long as relu takes
    return [
        Subject(WRITTEN, lambda z: z * one),
        *(Subject(one.label, chosen_activations.function_of(one), one) for one in distinct),
    ]


def _machine(device: torch.device) -> dict[str, Any]:
    return {
        "processor": devices.processor_name(),
        "processor_details": devices.this_processor().to_json(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "actbench": __version__,
        **devices.describe_device(device),
    }
