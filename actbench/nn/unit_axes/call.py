"""Read a call of a torch function, and carry it out once more on labels in place of its tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from actbench.nn.unit_axes.labels import Fresh, Labels
from actbench.nn.unit_axes.torch_calls import tensors


@dataclass(frozen=True)
class Call:
    """A call of a torch function, as the rules read it.

    Args:
        function: Carried out on labels where it only moves numbers.
        name: Its name in ``families``.
        args: Positional arguments.
        kwargs: Named ones.
        labels: The labels of a floating-point tensor among the arguments.
        shape: A tensor's shape before the call, which may have changed it in place.
        fresh: Makes labels of new units.
        made: The tensors that it returned.
    """

    function: Callable[..., Any]
    name: str
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    labels: Callable[[Tensor], Labels]
    shape: Callable[[Tensor], torch.Size]
    fresh: Fresh
    made: Sequence[Tensor]

    @property
    def given(self) -> list[Tensor]:
        """The floating-point tensors among the arguments."""
        return [tensor for tensor in self._tensors if has_labels(tensor)]

    @property
    def indices(self) -> list[Tensor]:
        """The other tensors among the arguments."""
        return [tensor for tensor in self._tensors if not has_labels(tensor)]

    @property
    def _tensors(self) -> list[Tensor]:
        return [*tensors(self.args), *tensors({key: value for key, value in self.kwargs.items() if key != "out"})]

    def argument(self, place: int, *names: str, default: Any = None) -> Any:
        """Return an argument given by place or by one of its names."""
        if len(self.args) > place:
            return self.args[place]
        return next((self.kwargs[name] for name in names if name in self.kwargs), default)

    def again(self, instead: Mapping[int, Tensor]) -> Any:
        """Carry the function out once more, with other tensors in place of those with these identities."""

        def replaced(content: Any) -> Any:
            if isinstance(content, Tensor):
                return instead[id(content)] if id(content) in instead else content.cpu()
            if isinstance(content, Mapping):
                return {key: replaced(value) for key, value in content.items() if key != "out"}
            if isinstance(content, (tuple, list)):
                return type(content)(map(replaced, content)) if type(content) in (tuple, list) else content
            return content

        return self.function(*replaced(self.args), **replaced(self.kwargs))


def has_labels(tensor: Tensor) -> bool:
    """Return whether a tensor is of a type that units may have made; integers and flags are not."""
    return tensor.is_floating_point() or tensor.is_complex()
