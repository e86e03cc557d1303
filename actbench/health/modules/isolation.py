"""Run someone's network and leave it as it was found: modes, buffers, gradients, random numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import torch
from torch import nn

from actbench.errors import ActbenchError, UsageError
from actbench.nn.unit_axes.torch_calls import uncompiled


@contextmanager
def in_evaluation(module: nn.Module) -> Iterator[None]:
    """Put every submodule in evaluation mode, without gradients and compiled code, and put all back, also on an error.

    The flags are set one by one: a module's own ``eval()`` may do more than that (merge adapters, freeze weights), and
    submodules may stand in different modes.
    """
    modes = [(part, part.training) for part in module.modules()]
    buffers = [(buffer, buffer.clone()) for buffer in module.buffers()]
    with _forked_random_numbers(module), torch.no_grad(), uncompiled():
        try:
            for part, _ in modes:
                part.training = False
            yield
        finally:
            for part, training in modes:
                part.training = training
            for buffer, before in buffers:
                # A write would raise the buffer's version counter and break a graph that the caller still holds.
                if not torch.equal(buffer, before):
                    buffer.copy_(before)


def run_watched(watch: AbstractContextManager[object], run: Callable[[], object]) -> None:
    """Run a network while it is watched.

    Raises:
        UsageError: When it fails because it is watched. An error of its own, which it raises unwatched too, passes.
    """
    try:
        with watch:
            run()
    except ActbenchError:
        raise
    except Exception as error:
        try:
            run()
        except Exception:
            raise error from None
        raise UsageError(
            f"the network runs, but not while it is watched ({type(error).__name__}: {_first_line(error)}); measure a "
            "part of it, or run it in another way: forward=lambda module, batch: …"
        ) from error


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else "no message"


def check_ready(module: object) -> nn.Module:
    """Return the network behind a compiled one, or the module itself.

    Raises:
        UsageError: When it is not a module, or one that can't be looked into.
    """
    original = getattr(module, "_orig_mod", module)
    if not isinstance(original, nn.Module):
        raise UsageError(f"measure_health needs an nn.Module, not {type(module).__name__}")
    if isinstance(original, torch.jit.ScriptModule):
        raise UsageError("a scripted module can't be looked into: measure the nn.Module that it was made from")
    if any(torch.nn.parameter.is_lazy(tensor) for tensor in [*original.parameters(), *original.buffers()]):
        raise UsageError("the module has lazy parameters without a shape: pass it one batch before it is measured")
    return original


def device_of(module: nn.Module) -> torch.device:
    """Return the device of the module's first parameter or buffer; the CPU for a module without any."""
    return next((tensor.device for tensor in [*module.parameters(), *module.buffers()]), torch.device("cpu"))


def _forked_random_numbers(module: nn.Module) -> AbstractContextManager[None]:
    """Restore torch's global generators afterwards: a shuffling loader or a noise layer may draw from them."""
    used = {tensor.device for tensor in module.parameters() if tensor.device.type not in ("cpu", "meta")}
    kind = next((device.type for device in used), "cuda")
    return torch.random.fork_rng([device.index or 0 for device in used], device_type=kind)
