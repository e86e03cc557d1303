"""One training step of a cohort, and its capture: in a CUDA graph, or as a recording on a CPU.

The kernels of a small network end sooner than Python can call the next ones. A captured step is launched as a whole:
the same kernels on the same memory in the same order, so its numbers are those of the step that was captured.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from actbench import dense
from actbench.evaluation import cross_entropy
from actbench.optimizers import clip_gradients
from actbench.recording import Recorder, Scratch

if TYPE_CHECKING:
    from actbench.session import Session

Step = Callable[["Session", Tensor, Tensor], None]
"""Given its session at every call: one that kept it would be a cycle, and hold its memory until a collection."""

ORDINARY = 8
"""Ordinary steps before the recording of one on a CPU, for each size of batch. It takes 2 ms a run, which is what 30
replays save in the smallest networks: runs of a few steps had better not begin it."""

WARM_UP = 3
"""Ordinary steps before the capture: libraries set up and choose kernels in their first calls, on a side stream."""


def step_of(session: Session, *, capture: bool) -> Step:
    """How the session takes its steps: captured where that is wanted and possible, else one call after another.

    A user's own module or activation may do what can't be captured, such as waiting for a result.
    """
    specs = session.cohort.specs
    own = specs[0].model.path is not None or any(spec.activation.path is not None for spec in specs)
    if not capture or own:
        return take
    if session.device.type == "cpu":
        return RecordedStep()
    return CapturedStep(session.device) if is_capturable(session) else take


def is_capturable(session: Session) -> bool:
    """Whether the device has graphs; in float64 the optimizer's rate is a plain number, which a graph would bake in."""
    return session.device.type == "cuda" and session.cohort.shared.training.precision != "float64"


def take(session: Session, x: Tensor, labels: Tensor) -> None:
    """Forward, backward, clip, update: x (R, B, C, H, W), labels (R, B).

    Nothing here asks the device for a result.
    """
    losses, logits = find_gradients(session, x, labels)
    session.optimizer.step()
    session.tally.add(losses, logits, labels)


def find_gradients(session: Session, x: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Forward, backward, clip: every run's loss (R,) and logits (R, B, classes).

    The losses are summed over the runs, never averaged: each run's gradient is its own, whatever the cohort's size.
    """
    stack, clip_norm = session.stack, session.cohort.shared.training.clip_norm
    stack.offer_gradients()
    try:
        logits = session.forward_in_training(x)
        losses = cross_entropy(logits, labels)
        torch.autograd.backward(losses, torch.ones_like(losses))  # the slope of their sum
    finally:
        dense.withdraw()  # what a failed step leaves would meet other tensors of the same id
    stack.collect_gradients()
    if clip_norm is not None:
        clip_gradients(stack.trained.values(), clip_norm)
    return losses.detach(), logits.detach()


class RecordedStep:
    """Steps on a CPU, run by run, replayed from recordings: one for each size of batch, made while a step is taken.

    Run by run, a network's results stay in the cache. The first steps are ordinary ones: they tell whether random
    numbers are drawn, which only ordinary steps can do.
    """

    def __init__(self) -> None:
        """Nothing is recorded yet."""
        self._refused = False
        self._taken: Counter[int] = Counter()
        self._scratch = Scratch()
        self._replays: dict[int, _Replay] = {}

    def __call__(self, session: Session, x: Tensor, labels: Tensor) -> None:
        """Take one step."""
        size = x.shape[1]
        if self._taken[size] < ORDINARY or self._refused or session.act.draws:
            self._taken[size] += 1
            take(session, x, labels)
            return
        replay = self._replays.get(size)
        if replay is None:
            replay = self._replays[size] = _Replay(session, x, labels)
            self._refused = not replay.record(session, self._scratch)
        else:
            replay(x, labels)
        session.optimizer.step()
        session.tally.add(replay.losses, replay.logits, labels)


class _Replay:
    """``find_gradients`` for batches of one size, run by run.

    Attributes:
        losses: (R,), of the last batch.
        logits: (R, B, classes), of the last batch.
    """

    def __init__(self, session: Session, x: Tensor, labels: Tensor) -> None:
        """Set memory aside for a batch, which the runs share if they have one seed."""
        own = 1 if x.stride(0) == 0 else len(x)
        self._x, self._labels = x[:own].clone(), labels[:own].clone()
        runs, examples = x.shape[:2]
        self.losses = torch.empty(runs, dtype=x.dtype)
        self.logits = torch.empty(runs, examples, session.images.classes, dtype=x.dtype)
        self._calls: list[Callable[[], object]] = []

    def record(self, session: Session, scratch: Scratch) -> bool:
        """Find the gradients of the batch it was made with; whether that can be replayed."""
        able = True
        for run in range(len(self.losses)):
            with Recorder() as recorder:
                self._find_gradients(session.part(run), run)
            if able:
                self._calls += recorder.replay(scratch)
                able = not recorder.refusal
        return able

    @torch.no_grad()
    def __call__(self, x: Tensor, labels: Tensor) -> None:
        """The same for another batch."""
        self._x.copy_(x[: len(self._x)])
        self._labels.copy_(labels[: len(self._labels)])
        for call in self._calls:
            call()

    def _find_gradients(self, part: Session, run: int) -> None:
        batch = min(run, len(self._x) - 1)
        losses, logits = find_gradients(part, self._x[batch : batch + 1], self._labels[batch : batch + 1])
        self.losses[run : run + 1].copy_(losses)
        self.logits[run : run + 1].copy_(logits)


class CapturedStep:
    """Steps of the full batch size, replayed from a CUDA graph after a few ordinary ones.

    Batches of another size (an epoch's last) and cohorts that draw random numbers in their steps, which happens on the
    CPU, are done the ordinary way.

    Args:
        device: Where; the optimizer has been made ``capturable``.
    """

    def __init__(self, device: torch.device) -> None:
        """Nothing is captured yet."""
        self._side = _stream(device)
        self._taken = 0
        self._graph: torch.cuda.CUDAGraph | None = None
        self._x = self._labels = torch.empty(0)

    def __call__(self, session: Session, x: Tensor, labels: Tensor) -> None:
        """Take one step."""
        full = x.shape[1] == session.cohort.shared.training.batch_size
        if not full or session.act.draws:
            take(session, x, labels)
        elif self._taken < WARM_UP:
            self._taken += 1
            self._aside(session, x, labels)
        else:
            self._replay(session, x, labels)

    def _aside(self, session: Session, x: Tensor, labels: Tensor) -> None:
        current = torch.cuda.current_stream(session.device)
        self._side.wait_stream(current)
        with torch.cuda.stream(self._side):
            take(session, x, labels)
        current.wait_stream(self._side)

    def _replay(self, session: Session, x: Tensor, labels: Tensor) -> None:
        if self._graph is None:
            self._x, self._labels = torch.empty_like(x), torch.empty_like(labels)
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, stream=self._side):
                take(session, self._x, self._labels)
            self._graph = graph
        self._x.copy_(x)
        self._labels.copy_(labels)
        self._graph.replay()


def _stream(device: torch.device) -> torch.cuda.Stream:
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]


def make_capturable(optimizer: torch.optim.Optimizer, device: torch.device) -> None:
    """Keep the learning rate and the step counts on the device, before the first step: a graph bakes in all else."""
    for group in optimizer.param_groups:
        group["lr"] = torch.tensor(group["lr"], dtype=torch.float32, device=device)
        if "capturable" in group:
            group["capturable"] = True


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """The rate of the next step, in place where it lies on the device."""
    for group in optimizer.param_groups:
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(rate)
        else:
            group["lr"] = rate
