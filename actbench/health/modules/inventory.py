"""Account for every module with parameters: which weight layer they belong to, or whether they were met at all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, MutableMapping, Sequence

from torch import Tensor, nn
from torch.utils.weak import WeakTensorKeyDictionary

Names = frozenset[str]


class Inventory:
    """Knows whose parameters a tensor is made of, and which were met in the passes of one measurement.

    A module goes by its name, a parameter of the network itself by the parameter's own.

    Args:
        module: The network.
        names: Every submodule's name.
    """

    def __init__(self, module: nn.Module, names: Mapping[nn.Module, str]) -> None:
        self._names = names
        # Module or parameter of the network itself -> nothing, in the order of the network.
        self._holders: dict[str, None] = {}
        self._owners: dict[int, Names] = {}
        for part, name in names.items():
            for own, parameter in part._parameters.items():
                if parameter is not None:
                    self._holders.setdefault(_holder(name, own))
            for own, tensor in (*part._parameters.items(), *part._buffers.items()):
                if tensor is not None:
                    owners = self._owners.get(id(tensor), frozenset())
                    self._owners[id(tensor)] = owners | {_holder(name, own)}
        self._derived: MutableMapping[Tensor, Names] = WeakTensorKeyDictionary()
        self._covered: dict[str, set[str]] = {}
        self._met: set[str] = set()
        self._prepared: set[str] = set()
        self._called: set[str] = set()
        self._layers = {name for part, name in names.items() if name and next(part.children(), None) is None}

    def call(self, part: nn.Module) -> None:
        """Record that a module was called."""
        self._called.add(self._names.get(part, ""))

    def owners(self, tensors: Iterable[Tensor]) -> Names:
        """Return whose parameters and buffers these tensors are, or are made of."""
        found: Names = frozenset()
        for tensor in tensors:
            found |= self._owners.get(id(tensor), frozenset()) | self._derived.get(tensor, frozenset())
        return found

    def meet(self, given: Iterable[Tensor], made: Iterable[Tensor], *, constant: bool) -> None:
        """Record a call's arguments, and that its results are made of the same parameters if they are constant."""
        owners = self.owners(given)
        (self._prepared if constant else self._met).update(owners)
        if constant and owners:
            for tensor in made:
                self._derived[tensor] = owners

    def cover(self, label: str, constants: Iterable[Tensor]) -> None:
        """Record that the tensors belong to the weight layer of this name."""
        self._covered.setdefault(label, set()).update(self.owners(constants))

    def missing(self, named: Sequence[str]) -> tuple[str, ...]:
        """Return the modules with parameters that none of the named layers and activations accounts for."""
        known = set(named)
        modules = set(self._names.values())
        for label in named:
            for name in self._covered.get(label, ()):
                # A layer by the name of a function that its module calls, or of one that the network itself calls.
                if label.startswith(f"{name}.") or name not in modules:
                    known.add(name)
        return tuple(name for name in self._holders if not _is_within(name, known))

    def is_met(self, name: str) -> bool:
        """Return whether a parameter of a module entered an observed call beside a signal."""
        return name in self._met

    def may_be_out_of_sight(self, name: str, *, met_unknown: bool) -> bool:
        """Return whether a module may work where its calls are not observed, though none of its parameters was met.

        So may a layer that was called; and where a tensor came from out of sight, any module that was called or whose
        parameters were stacked or otherwise prepared for it.
        """
        is_layer = name in self._layers and name in self._called
        near = name in self._called | self._prepared or name not in self._names.values()
        return not self.is_met(name) and (is_layer or (met_unknown and near))


def _holder(module: str, parameter: str) -> str:
    """Return the name that stands for a parameter: its module's, or its own in the network itself.

    A weight that is computed belongs to the layer that it is computed for.

    >>> _holder("0.parametrizations.weight", "original0"), _holder("0", "bias"), _holder("", "scale")
    ('0', '0', 'scale')
    """
    return module.partition(".parametrizations.")[0] or parameter


def _is_within(name: str, known: set[str]) -> bool:
    parts = name.split(".")
    return any(".".join(parts[:end]) in known for end in range(1, len(parts) + 1))
