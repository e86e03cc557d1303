"""Read and write the settings of the whole process by which torch decides how, and in which precision, it computes."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from operator import attrgetter
from typing import Any

BACKENDS = (
    "fp32_precision",
    "mkldnn.fp32_precision",
    "mkldnn.enabled",
    "mkldnn.matmul.fp32_precision",
    "mkldnn.conv.fp32_precision",
    "mkldnn.rnn.fp32_precision",
)
"""Attributes of ``torch.backends`` that choose kernels on a CPU, and whether these may round float32 to bfloat16."""

CUDA_BACKENDS = (
    "cuda.matmul.fp32_precision",
    "cuda.matmul.allow_fp16_reduced_precision_reduction",
    "cuda.matmul.allow_bf16_reduced_precision_reduction",
    "cudnn.enabled",
    "cudnn.benchmark",
    "cudnn.deterministic",
    "cudnn.fp32_precision",
    "cudnn.conv.fp32_precision",
    "cudnn.rnn.fp32_precision",
)
"""The same on a GPU; they are left alone where there is none, as each reading takes time."""

MIXED = "mixed"
"""``float32_matmul_precision`` where the precisions of the backends are no level of it; theirs are written besides."""

_open_contexts: list[Any] = []
"""Modes that were entered to put back what a user's code left, or what the caller of a training had."""

_SMALLEST = sys.float_info.min
"""The smallest normal number; half of it is denormal."""


@dataclass(frozen=True)
class Setting:
    """One setting.

    Args:
        read: Return its value.
        write: Set it to a value that ``read`` returned.
    """

    read: Callable[[], Any]
    write: Callable[[Any], object]


def read() -> list[Any]:
    """Return the values of all settings, in their order."""
    return [read_one() for read_one in _readers()]


def write(values: list[Any]) -> None:
    """Write values that ``read`` returned, where one of them differs now.

    Then all of them are written: ``float32_matmul_precision`` moves several of those behind it.
    """
    if read() != values:
        for setting, value in zip(_settings().values(), values, strict=True):
            setting.write(value)


def write_standard() -> None:
    """Set what the caller of a training may have changed, but for its threads: what torch starts with computes."""
    import torch

    standard = {
        "inference": False,
        "saved_tensors_hooks": [],
        "dtype": torch.float32,
        "device": torch.device("cpu"),
        "grad": True,
        "matmul_precision": "highest",
        "autocast.cpu": False,
        "autocast.cuda": False,
        "mkldnn.enabled": True,
        "cudnn.enabled": True,
        "cudnn.benchmark": False,
        **{name: "ieee" for name in BACKENDS if name.endswith("precision")},
    }
    for name, setting in _settings().items():
        # "none" is what torch starts with: the precision of the level above, which is full precision there.
        if name in standard and setting.read() not in (standard[name], "none"):
            setting.write(standard[name])


@cache
def _readers() -> tuple[Callable[[], Any], ...]:
    return tuple(setting.read for setting in _settings().values())


@cache
def _settings() -> dict[str, Setting]:
    """Return the settings by name, in the order in which they are to be written."""
    import torch

    cpu = torch.device("cpu")
    # A default device is a mode of this stack. To ask for the device takes 5 µs, most of the time of a whole reading.
    count_modes = getattr(torch._C, "_len_torch_function_stack", lambda: 1)

    def device() -> torch.device:
        return torch.get_default_device() if count_modes() else cpu

    def set_device(device: torch.device) -> None:
        torch.set_default_device(None if device.type == "cpu" else device)  # None takes the one that was set away

    def deterministic() -> tuple[bool, bool]:
        return torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()

    def set_deterministic(value: tuple[bool, bool]) -> None:
        if deterministic() != value:  # or torch would import its compiler for nothing, which takes a second
            torch.use_deterministic_algorithms(value[0], warn_only=value[1])

    def matmul_precision() -> str:
        try:
            return torch.get_float32_matmul_precision()
        except RuntimeError:  # torch refuses while ``backends.fp32_precision`` or the like says otherwise
            return MIXED

    def set_matmul_precision(value: str) -> None:
        if value != MIXED:
            torch.set_float32_matmul_precision(value)

    autograd: Any = torch._C._autograd

    def set_inference(value: bool) -> None:
        # Only a further context changes the mode. It is kept: left in another order than contexts of a user's code that
        # are still open, it would set what was before them.
        context = torch.inference_mode(value)
        context.__enter__()
        _open_contexts.append(context)

    def saved_tensors_hooks() -> list[tuple[Any, Any]]:
        """Return the hooks for tensors that autograd saves, the innermost first; only that one can be read."""
        found = []
        while (top := autograd._top_saved_tensors_default_hooks(False)) is not None:
            found.append(top)
            autograd._pop_saved_tensors_default_hooks()
        push_hooks(found)
        return found

    def push_hooks(hooks: list[tuple[Any, Any]]) -> None:
        for pack, unpack in reversed(hooks):
            autograd._push_saved_tensors_default_hooks(pack, unpack)

    def set_saved_tensors_hooks(value: list[tuple[Any, Any]]) -> None:
        for _ in saved_tensors_hooks():
            autograd._pop_saved_tensors_default_hooks()
        push_hooks(value)

    table = {
        # Before "grad", which entering or leaving this mode sets, too.
        "inference": Setting(torch.is_inference_mode_enabled, set_inference),
        "saved_tensors_hooks": Setting(saved_tensors_hooks, set_saved_tensors_hooks),
        "dtype": Setting(torch.get_default_dtype, torch.set_default_dtype),
        "device": Setting(device, set_device),
        "grad": Setting(torch.is_grad_enabled, torch.set_grad_enabled),
        "threads": Setting(torch.get_num_threads, torch.set_num_threads),
        "flush_denormal": Setting(lambda: _SMALLEST / 2 == 0, torch.set_flush_denormal),
        "deterministic": Setting(deterministic, set_deterministic),
        "anomaly": Setting(torch.is_anomaly_enabled, torch.autograd.set_detect_anomaly),
        "matmul_precision": Setting(matmul_precision, set_matmul_precision),
    }
    has_cuda = torch.cuda.is_available()
    for kind in ("cpu", "cuda") if has_cuda else ("cpu",):
        table[f"autocast.{kind}"] = Setting(
            partial(torch.is_autocast_enabled, kind), partial(torch.set_autocast_enabled, kind)
        )
        table[f"autocast.{kind}.dtype"] = Setting(
            partial(torch.get_autocast_dtype, kind), partial(torch.set_autocast_dtype, kind)
        )
    for path in (*BACKENDS, *CUDA_BACKENDS) if has_cuda else BACKENDS:
        above, _, name = f"backends.{path}".rpartition(".")
        owner = attrgetter(above)(torch)
        if hasattr(owner, name):  # some came with later versions of torch
            table[path] = Setting(partial(getattr, owner, name), partial(setattr, owner, name))
    return table
