"""Activations of a user's own that have this process stopped, or never end."""

import itertools
import os
import signal
import time
from pathlib import Path

import torch
from torch import Tensor

from actbench.system import cancellation

calls = itertools.count()
stop_at = -1
"""The call of ``asks`` on a batch at which the process is asked to stop, from 0."""


def begin(call: int) -> None:
    global calls, stop_at
    calls, stop_at = itertools.count(), call


def _computes(z: Tensor) -> bool:
    """Whether z is a batch of a training or an evaluation, not one of the small tensors that a function is tried on."""
    return z.ndim == 3 and z.shape[1] > 2


def asks(z: Tensor) -> Tensor:
    if _computes(z) and next(calls) == stop_at:
        cancellation.request_stop()
    return torch.tanh(z)


def interrupts(z: Tensor) -> Tensor:
    """As Ctrl-C at that call."""
    if _computes(z) and next(calls) == stop_at:
        os.kill(os.getpid(), signal.SIGINT)
    return torch.tanh(z)


def slow(z: Tensor) -> Tensor:
    """tanh that takes as many seconds in training as SLOW says; with ``until asked``, until its process is to stop."""
    if z.requires_grad and z.ndim == 3 and z.shape[1] == 32:
        seconds = os.environ.get("SLOW", "0.02")
        while seconds == "until asked" and not cancellation.stop_requested():
            time.sleep(0.01)
        time.sleep(0 if seconds == "until asked" else float(seconds))
    return torch.tanh(z)


def hangs(z: Tensor) -> Tensor:
    """tanh that hangs in training, once a file that says so is there."""
    while z.requires_grad and z.ndim == 3 and z.shape[1] == 32 and Path("hang").exists():
        time.sleep(0.1)
    return torch.tanh(z)
