"""A user's own parts that change the settings of the whole process, and leave them so."""

from __future__ import annotations

import contextlib
import gc
import io
import os
import random  # noqa: TID251 - a user's code draws from it
import signal
import sys
import tempfile
import warnings
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn


def _seed() -> None:
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002, TID251
    torch.manual_seed(1)  # noqa: TID251


def _handle() -> None:
    with contextlib.suppress(ValueError):  # outside of the main thread
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)


def _mode_of_a_new_file() -> int:
    with tempfile.TemporaryDirectory() as folder:
        descriptor = os.open(os.path.join(folder, "made"), os.O_CREAT, 0o666)
        try:
            return os.fstat(descriptor).st_mode
        finally:
            os.close(descriptor)


_entered: list[object] = []


def _enter(context: contextlib.AbstractContextManager[object]) -> None:
    """Enter a context for good."""
    context.__enter__()
    _entered.append(context)


def _threefold(tensor: Tensor) -> Tensor:
    return 3 * tensor


def _slope_of_a_square() -> float | None:
    """Return the slope of z·z at 1, from the z that autograd has saved."""
    z = torch.ones(1, requires_grad=True, device="cpu", dtype=torch.float32)
    square = z * z
    return float(torch.autograd.grad(square, z)[0]) if square.requires_grad else None


CHANGES: dict[str, Callable[[], object]] = {
    "matmul precision": lambda: torch.set_float32_matmul_precision("medium"),
    "gradients": lambda: torch.set_grad_enabled(False),
    "inference": lambda: _enter(torch.inference_mode()),
    "saved tensors": lambda: _enter(torch.autograd.graph.saved_tensors_hooks(_threefold, lambda saved: saved)),
    "type": lambda: torch.set_default_dtype(torch.float64),
    "device": lambda: torch.set_default_device("meta"),
    "threads": lambda: torch.set_num_threads(3),
    "denormal numbers": lambda: torch.set_flush_denormal(not torch.get_num_threads()),
    "deterministic algorithms": lambda: torch.use_deterministic_algorithms(True),
    "anomaly detection": lambda: torch.autograd.set_detect_anomaly(True, check_nan=False),
    "autocast": lambda: torch.set_autocast_enabled("cpu", True),
    "autocast type": lambda: torch.set_autocast_dtype("cpu", torch.float16),
    "oneDNN": lambda: setattr(torch.backends.mkldnn, "enabled", False),
    "rounding of convolutions": lambda: setattr(torch.backends.mkldnn.conv, "fp32_precision", "bf16"),
    "rounding of everything": lambda: setattr(torch.backends, "fp32_precision", "bf16"),
    "rounding by oneDNN": lambda: setattr(torch.backends.mkldnn, "fp32_precision", "bf16"),
    "folder": lambda: os.chdir("/"),
    "module path": lambda: sys.path.insert(0, "/nonexistent"),
    "warnings": lambda: warnings.simplefilter("error"),
    "environment": lambda: os.environ.update(ACTBENCH_DATA="/nonexistent", VANDAL="was here"),
    "absent variable": lambda: os.environ.pop("HOME", None),
    "signals": _handle,
    "floats": lambda: np.seterr(all="raise"),
    "limit of recursion": lambda: sys.setrecursionlimit(500),
    "standard streams": lambda: (setattr(sys, "stdout", io.StringIO()), setattr(sys, "stderr", None)),
    "garbage": gc.disable,
    "modes of new files": lambda: os.umask(0o777),
    "random streams": _seed,
}


def seen() -> dict[str, object]:
    """Return what the changes change, read in other ways than the product reads it."""
    return {
        "matmul precision": torch.get_float32_matmul_precision(),
        "rounding of everything": torch.backends.fp32_precision,
        "rounding by oneDNN": torch.backends.mkldnn.fp32_precision,
        "gradients": (torch.ones(1, requires_grad=True, device="cpu") * 1).requires_grad,
        "inference": torch.ones(1, device="cpu").is_inference(),
        "saved tensors": _slope_of_a_square(),
        "type": torch.tensor(0.5, device="cpu").dtype,
        "device": str(torch.get_default_device()),
        "threads": torch.get_num_threads(),
        "denormal numbers": bool(torch.tensor([1e-39], dtype=torch.float32, device="cpu") * 0.5),
        "deterministic algorithms": torch.are_deterministic_algorithms_enabled(),
        "anomaly detection": torch.is_anomaly_enabled(),
        "autocast": (torch.ones(1, 1, device="cpu") @ torch.ones(1, 1, device="cpu")).dtype,
        "autocast type": torch.get_autocast_dtype("cpu"),
        "oneDNN": torch.backends.mkldnn.enabled,
        "rounding of convolutions": torch.backends.mkldnn.conv.fp32_precision,
        "folder": os.getcwd(),
        "module path": sys.path[0],
        "warnings": str(warnings.filters),
        "environment": (os.environ.get("ACTBENCH_DATA"), os.environ.get("VANDAL")),
        "absent variable": os.environ.get("HOME"),
        "signals": [*map(signal.getsignal, (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD, signal.SIGPIPE))],
        "floats": np.geterr(),
        "limit of recursion": sys.getrecursionlimit(),
        "standard streams": (sys.stdout, sys.stderr),
        "garbage": gc.isenabled(),
        "modes of new files": _mode_of_a_new_file(),
        "random streams": (
            random.getstate(),
            np.random.get_state()[1].tolist(),  # noqa: NPY002
            torch.get_rng_state().tolist(),
        ),
    }


def vandalise() -> None:
    for change in CHANGES.values():
        change()


def act(z: Tensor) -> Tensor:
    a = torch.sin(z)
    vandalise()
    return a


class _Cosine(torch.autograd.Function):
    @staticmethod
    def forward(context, z):
        context.save_for_backward(z)
        return z.cos()

    @staticmethod
    def backward(context, gradient):
        (z,) = context.saved_tensors
        result = -z.sin() * gradient
        # Not the folder and its like: the next call of this module's functions puts back torch's settings alone.
        torch.set_float32_matmul_precision("medium")
        torch.set_default_dtype(torch.float64)
        torch.set_default_device("meta")
        return result


def act_with_gradient(z: Tensor) -> Tensor:
    return _Cosine.apply(z)


def factory(activation, shape, classes) -> nn.Module:
    made = nn.Sequential(nn.Flatten(), nn.Linear(64, 6), activation(), nn.Linear(6, classes))
    vandalise()
    return made


class Net(nn.Module):
    def __init__(self, activation, classes) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(64, 6), activation(), nn.Linear(6, classes))

    def forward(self, x: Tensor) -> Tensor:
        logits = self.layers(x)
        vandalise()
        return logits


def digits(folder):
    from sklearn.datasets import load_digits

    bunch = load_digits()
    images = (bunch.images * 15).astype(np.uint8)
    vandalise()
    return images[:300], bunch.target[:300], images[300:400], bunch.target[300:400]
