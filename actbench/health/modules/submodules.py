"""Sort a network's submodules: those that Python calls, those with one name for a whole layer, those of torch's own."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn
from torch.nn.utils.parametrize import is_parametrized


def is_one_layer(part: nn.Module) -> bool:
    """Return whether the submodule's name suffices: it has no parts but those that make its own weights."""
    whole = isinstance(part, nn.MultiheadAttention) or _is_quantized(part)
    return whole or is_parametrized(part) or next(part.children(), None) is None


def _is_quantized(part: nn.Module) -> bool:
    """Return whether torch made the submodule of a layer: it holds packed weights, and an activation perhaps."""
    return type(part).__module__.startswith("torch.ao.nn.") and ".quantized." in type(part).__module__


def is_packed(part: nn.Module) -> bool:
    """Return whether a submodule is torch's quantised form of a layer with weights."""
    held = (*vars(part), *part._modules)
    return _is_quantized(part) and any("packed" in name or name == "_all_weight_values" for name in held)


def visible(module: nn.Module) -> Iterable[nn.Module]:
    """Return the submodules that Python calls: a scripted module is one piece."""
    hidden = {
        inner for part in module.modules() if isinstance(part, torch.jit.ScriptModule) for inner in part.modules()
    }
    return [part for part in module.modules() if part not in hidden]


def scripted(module: nn.Module) -> Iterable[nn.Module]:
    """Return the outermost scripted modules that hold weights."""
    called = visible(module)
    pieces = [part for part in module.modules() if isinstance(part, torch.jit.ScriptModule)]
    outermost = [part for part in pieces if any(part in parent.children() for parent in called)]
    return [part for part in outermost if next(part.parameters(), None) is not None]


def plain_name(name: str) -> str:
    """Return a submodule's name without the wrapper of ``torch.compile``."""
    return ".".join(part for part in name.split(".") if part != "_orig_mod")
