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
    buffers = [
        (part, name, buffer, buffer.clone())
        for part in module.modules()
        for name, buffer in part._buffers.items()
        if buffer is not None
    ]
    with _forked_random_numbers(module), torch.no_grad(), uncompiled():
        try:
            for part, _ in modes:
                part.training = False
            yield
        finally:
            for part, training in modes:
                part.training = training
            for part, name, buffer, before in buffers:
                part._buffers[name] = buffer
                # A write would raise the buffer's version counter and break a graph that the caller still holds.
                if not torch.equal(buffer, before):
                    buffer.resize_(before.shape).copy_(before)


def run_watched(watch: AbstractContextManager[object], run: Callable[[], object]) -> None:
    """Run a network while it is watched.

    Raises:
        UsageError: When it fails because it is watched, or because it is run without gradients. Any other error, which
            it raises by itself, passes.
    """
    try:
        with watch:
            run()
    except ActbenchError:
        raise
    except Exception as error:
        if not _fails(run):
            raise UsageError(
                f"the network runs, but not while it is watched ({type(error).__name__}: {_first_line(error)}); "
                "measure a part of it, or run it in another way: forward=lambda module, batch: …"
            ) from error
        with torch.enable_grad():
            needs_gradients = not _fails(run)
        if needs_gradients:
            raise UsageError(
                "the network takes gradients in its forward pass, which runs without any here: "
                "forward=lambda module, batch: torch.enable_grad()(module)(batch)"
            ) from error
        raise


def _fails(run: Callable[[], object]) -> bool:
    try:
        run()
    except Exception:  # the caller raises the one that it has caught
        return True
    return False


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
