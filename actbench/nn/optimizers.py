"""OPTIMIZERS, those of torch.optim that treat every number by itself; and gradient clipping, run by run.

In a cohort dimension 0 of every tensor is the run, so an optimizer may not look at a tensor as a whole: LBFGS takes
inner products over all parameters, LARS and LAMB divide by tensor norms, Adafactor and Muon work on rows, columns or
singular values. Each of them would let one run steer its neighbours, and none of them is here.

Steps call torch's own kernels, so they give the bits of ``torch.optim``. Its classes are not used: the first of them
imports ``torch._dynamo`` and sympy, 0.5 to 1 s before the first epoch, and each step spends 20 µs in Python.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Protocol

from pydantic import Field, Strict, model_validator

from actbench.schema.components import Options

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Share = Annotated[float, Field(ge=0, lt=1)]


@dataclass(frozen=True)
class _Group:
    """Hold the parameters that have one weight decay, their gradients, and what the optimizer keeps of each.

    Args:
        parameters: Tensors of any shape.
        gradients: The memory in which each parameter's gradient lies before a step.
        decay: Their weight decay.
        kept: Name -> one tensor for each parameter, of its shape and zero at first.
    """

    parameters: list[Tensor]
    gradients: list[Tensor]
    decay: float
    kept: dict[str, list[Tensor]]


class Optimizer(ABC):
    """Change parameters in place by their gradients.

    Args:
        parameters: Name -> tensor; its ``grad`` is the memory where its gradients are found at every step.
        decayed: Names of the tensors that weight decay applies to.
        weight_decay: Their weight decay.
        lr: The learning rate.
        keeps: Names of the tensors that it keeps for every parameter from step to step, such as the momentum.

    Attributes:
        rate: The learning rate of the next step; a tensor on the device after ``make_capturable``.
        groups: The parameters with and without weight decay; one group where all are alike.

    Raises:
        ValueError: When a parameter has no ``grad``.
    """

    def __init__(
        self,
        parameters: Mapping[str, Tensor],
        decayed: Collection[str],
        *,
        weight_decay: float,
        lr: float,
        keeps: Sequence[str],
    ) -> None:
        self.rate: float | Tensor = lr
        self.groups: list[_Group] = []
        self._places: dict[str, tuple[_Group, int]] = {}
        decays = {name: weight_decay if name in decayed else 0.0 for name in parameters}
        for decay in sorted(set(decays.values()), reverse=True):
            # Detached: the same memory, which a step may change without ``torch.no_grad``.
            members = [tensor for name, tensor in parameters.items() if decays[name] == decay]
            values, gradients = [member.detach() for member in members], [_gradient(member) for member in members]
            kept = {name: [value.new_zeros(value.shape) for value in values] for name in keeps}
            self.groups.append(_Group(values, gradients, decay, kept))
            alike = [name for name in parameters if decays[name] == decay]
            self._places |= {name: (self.groups[-1], index) for index, name in enumerate(alike)}

    @abstractmethod
    def step(self) -> None:
        """Change the parameters by their gradients at the rate that is set."""

    def kept(self, name: str) -> list[Tensor]:
        """Return the tensors that are kept of the parameter of that name, each in its shape."""
        group, index = self._places[name]
        return [tensors[index] for tensors in group.kept.values()]

    def set_rate(self, rate: float) -> None:
        """Set the learning rate of the next step, in place where it is a tensor: a CUDA graph reads it there."""
        if isinstance(self.rate, float):
            self.rate = rate
        else:
            self.rate.fill_(rate)

    def make_capturable(self, device: torch.device) -> None:
        """Keep the learning rate on the device, before the first step: a CUDA graph fixes all that is a number."""
        import torch

        self.rate = torch.tensor(self.rate, dtype=torch.float32, device=device)

    def state(self) -> dict[str, Any]:
        """Return what is kept of the parameters, in memory of its own, for a checkpoint."""
        kept = ({name: [one.clone() for one in ones] for name, ones in group.kept.items()} for group in self.groups)
        return {"kept": list(kept)}

    def restore(self, saved: Mapping[str, Any]) -> None:
        """Copy what ``state`` returned into an optimizer over the same parameters."""
        for group, kept in zip(self.groups, saved["kept"], strict=True):
            for name, ones in group.kept.items():
                for one, value in zip(ones, kept[name], strict=True):
                    one.copy_(value)


class OptimizerOptions(Protocol):
    """Build an optimizer: what every row of the table does, besides being an ``Options``."""

    lr: float
    weight_decay: float

    def build(self, parameters: Mapping[str, Tensor], decayed: Collection[str]) -> Optimizer:
        """Return the optimizer of these parameters.

        Args:
            parameters: Name -> tensor with a ``grad``; in a cohort the names of the blocks and their rows of one run.
            decayed: Names of the tensors that weight decay applies to.
        """
        ...


class SGD(Options):
    """Stochastic gradient descent with momentum 0.9 (torch's own default is 0).

    Attributes:
        lr: Learning rate.
        momentum: Share of the last step's direction that is kept.
        nesterov: Look ahead along the momentum (needs momentum above 0 and no dampening).
        dampening: Share of the new gradient that is left out of the momentum.
        weight_decay: L2 penalty, added to the gradient.
    """

    lr: float = Field(default=0.1, gt=0)
    momentum: float = Field(default=0.9, ge=0)
    nesterov: bool = False
    dampening: float = 0.0
    weight_decay: float = Field(default=0.0, ge=0)

    @model_validator(mode="after")
    def _nesterov_has_momentum(self) -> SGD:
        if self.nesterov and (self.momentum == 0 or self.dampening != 0):
            raise ValueError("'nesterov' needs 'momentum' above 0 and 'dampening' 0")
        return self

    def build(self, parameters: Mapping[str, Tensor], decayed: Collection[str]) -> Optimizer:
        """Return the optimizer of these parameters, with weight decay on the ``decayed`` names only."""
        return _SGD(parameters, decayed, self)


class Adam(Options):
    """Adam (Kingma, Ba 2014, arXiv:1412.6980); its weight decay is an L2 penalty, added to the gradient.

    Attributes:
        lr: Learning rate.
        betas: How slowly the running means of the gradient and of its square change.
        eps: Added to the denominator; above 0, for a tensor that a run lacks has the gradient 0, and 0/0 is NaN.
        weight_decay: L2 penalty.
    """

    lr: float = Field(default=1e-3, gt=0)
    betas: Annotated[tuple[Share, Share], Strict(False)] = (0.9, 0.999)  # YAML and JSON have lists only
    eps: float = Field(default=1e-8, gt=0)
    weight_decay: float = Field(default=0.0, ge=0)

    def build(self, parameters: Mapping[str, Tensor], decayed: Collection[str]) -> Optimizer:
        """Return the optimizer of these parameters, with weight decay on the ``decayed`` names only."""
        import torch

        return _Adam(parameters, decayed, self, torch._fused_adam_)


class AdamW(Options):
    """Adam with decoupled weight decay (Loshchilov, Hutter 2017, arXiv:1711.05101), 0.01 as in torch.

    Attributes:
        lr: Learning rate.
        betas: How slowly the running means of the gradient and of its square change.
        eps: Added to the denominator; above 0, for a tensor that a run lacks has the gradient 0, and 0/0 is NaN.
        weight_decay: Share of a weight, times lr, that a step takes away.
    """

    lr: float = Field(default=1e-3, gt=0)
    betas: Annotated[tuple[Share, Share], Strict(False)] = (0.9, 0.999)
    eps: float = Field(default=1e-8, gt=0)
    weight_decay: float = Field(default=0.01, ge=0)

    def build(self, parameters: Mapping[str, Tensor], decayed: Collection[str]) -> Optimizer:
        """Return the optimizer of these parameters, with weight decay on the ``decayed`` names only."""
        import torch

        return _Adam(parameters, decayed, self, torch._fused_adamw_)


class RMSprop(Options):
    """RMSprop (Hinton 2012, lecture 6e): the gradient over a running root mean square of it.

    Attributes:
        lr: Learning rate.
        alpha: How slowly the running mean square changes.
        eps: Added to the denominator; above 0, for a tensor that a run lacks has the gradient 0, and 0/0 is NaN.
        momentum: Share of the last step's direction that is kept.
        weight_decay: L2 penalty, added to the gradient.
    """

    lr: float = Field(default=0.01, gt=0)
    alpha: float = Field(default=0.99, ge=0)
    eps: float = Field(default=1e-8, gt=0)
    momentum: float = Field(default=0.0, ge=0)
    weight_decay: float = Field(default=0.0, ge=0)

    def build(self, parameters: Mapping[str, Tensor], decayed: Collection[str]) -> Optimizer:
        """Return the optimizer of these parameters, with weight decay on the ``decayed`` names only."""
        return _RMSprop(parameters, decayed, self)


class _SGD(Optimizer):
    def __init__(self, parameters: Mapping[str, Tensor], decayed: Collection[str], options: SGD) -> None:
        import torch

        keeps = ["momentum"] if options.momentum else []
        super().__init__(parameters, decayed, weight_decay=options.weight_decay, lr=options.lr, keeps=keeps)
        self._kernel, self._options, self._is_first = torch._fused_sgd_, options, True

    def step(self) -> None:
        """Take the step of ``torch.optim.SGD``; the first sets the momentum to the gradient, without dampening."""
        options = self._options
        for group in self.groups:
            self._kernel(
                group.parameters,
                group.gradients,
                group.kept.get("momentum", []),
                weight_decay=group.decay,
                momentum=options.momentum,
                lr=self.rate,
                dampening=options.dampening,
                nesterov=options.nesterov,
                maximize=False,
                is_first_step=self._is_first,
            )
        self._is_first = False

    def state(self) -> dict[str, Any]:
        return super().state() | {"first": self._is_first}

    def restore(self, saved: Mapping[str, Any]) -> None:
        super().restore(saved)
        self._is_first = saved["first"]


class _Adam(Optimizer):
    """Adam with either way of weight decay.

    Args:
        parameters: As of ``Optimizer``.
        decayed: As of ``Optimizer``.
        options: The options.
        kernel: ``torch._fused_adam_``, or ``torch._fused_adamw_`` for decoupled weight decay.
    """

    def __init__(
        self,
        parameters: Mapping[str, Tensor],
        decayed: Collection[str],
        options: Adam | AdamW,
        kernel: Callable[..., Any],
    ) -> None:
        import torch

        keeps = ["mean", "mean_square"]
        super().__init__(parameters, decayed, weight_decay=options.weight_decay, lr=options.lr, keeps=keeps)
        self._options, self._kernel = options, kernel
        # The number of steps, which corrects the bias of the means, lies on the device, where a CUDA graph counts it.
        # float32 as in torch.
        self._steps = torch.zeros((), dtype=torch.float32, device=self.groups[0].parameters[0].device)

    def step(self) -> None:
        """Take the step of ``torch.optim.Adam`` or ``AdamW``."""
        options, steps = self._options, self._steps
        steps.add_(1)
        for group in self.groups:
            self._kernel(
                group.parameters,
                group.gradients,
                group.kept["mean"],
                group.kept["mean_square"],
                [],
                [steps] * len(group.parameters),
                lr=self.rate,
                beta1=options.betas[0],
                beta2=options.betas[1],
                weight_decay=group.decay,
                eps=options.eps,
                amsgrad=False,
                maximize=False,
            )

    def state(self) -> dict[str, Any]:
        return super().state() | {"steps": self._steps.clone()}

    def restore(self, saved: Mapping[str, Any]) -> None:
        super().restore(saved)
        self._steps.copy_(saved["steps"])


class _PlainSGD(_SGD):
    """SGD operation by operation, as torch's own class does by default on a CPU.

    The fused kernel rounds otherwise with weight decay, and where a vector loop leaves a number over.
    """

    def step(self) -> None:
        """Take the step of ``torch.optim.SGD``."""
        options, rate = self._options, float(self.rate)
        for group in self.groups:
            momenta = group.kept.get("momentum", [None] * len(group.parameters))
            for parameter, gradient, momentum in zip(group.parameters, group.gradients, momenta, strict=True):
                if group.decay:
                    gradient = gradient.add(parameter, alpha=group.decay)
                if momentum is not None:
                    if self._is_first:
                        momentum.copy_(gradient)
                    else:
                        momentum.mul_(options.momentum).add_(gradient, alpha=1 - options.dampening)
                    gradient = gradient.add(momentum, alpha=options.momentum) if options.nesterov else momentum
                parameter.add_(gradient, alpha=-rate)
        self._is_first = False


class _PlainAdam(Optimizer):
    """Adam with either way of weight decay, operation by operation, as torch's own class does by default on a CPU.

    The fused kernel of ``_Adam`` rounds otherwise: weights differ by 6e-8 after 130 steps.

    Args:
        parameters: As of ``Optimizer``; on a CPU.
        decayed: As of ``Optimizer``.
        options: The options; an ``AdamW`` decays apart from the gradient.
    """

    def __init__(self, parameters: Mapping[str, Tensor], decayed: Collection[str], options: Adam | AdamW) -> None:
        keeps = ["mean", "mean_square"]
        super().__init__(parameters, decayed, weight_decay=options.weight_decay, lr=options.lr, keeps=keeps)
        self._options, self._steps = options, 0

    def step(self) -> None:
        """Take the step of ``torch.optim.Adam`` or ``AdamW``."""
        (beta1, beta2), self._steps = self._options.betas, self._steps + 1
        rate, corrected = float(self.rate), 1 - beta1**self._steps
        root = (1 - beta2**self._steps) ** 0.5
        for group in self.groups:
            members = zip(group.parameters, group.gradients, group.kept["mean"], group.kept["mean_square"], strict=True)
            for parameter, gradient, mean, mean_square in members:
                if group.decay and isinstance(self._options, AdamW):
                    parameter.mul_(1 - rate * group.decay)
                elif group.decay:
                    gradient = gradient.add(parameter, alpha=group.decay)
                mean.lerp_(gradient, 1 - beta1)
                mean_square.mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
                deviation = (mean_square.sqrt() / root).add_(self._options.eps)
                parameter.addcdiv_(mean, deviation, value=-(rate / corrected))

    def state(self) -> dict[str, Any]:
        return super().state() | {"steps": self._steps}

    def restore(self, saved: Mapping[str, Any]) -> None:
        super().restore(saved)
        self._steps = saved["steps"]


class _RMSprop(Optimizer):
    def __init__(self, parameters: Mapping[str, Tensor], decayed: Collection[str], options: RMSprop) -> None:
        keeps = ["mean_square", "momentum"] if options.momentum else ["mean_square"]
        super().__init__(parameters, decayed, weight_decay=options.weight_decay, lr=options.lr, keeps=keeps)
        self._options = options

    def step(self) -> None:
        """Take the step of ``torch.optim.RMSprop``, operation by operation: torch has no fused kernel for it."""
        import torch

        options, rate = self._options, self.rate
        for group in self.groups:
            parameters, gradients, squares = group.parameters, group.gradients, group.kept["mean_square"]
            if group.decay:
                gradients = list(torch._foreach_add(gradients, parameters, alpha=group.decay))
            torch._foreach_mul_(squares, options.alpha)
            torch._foreach_addcmul_(squares, gradients, gradients, value=1 - options.alpha)
            roots = torch._foreach_sqrt(squares)
            torch._foreach_add_(roots, options.eps)
            if options.momentum:
                momentum = group.kept["momentum"]
                torch._foreach_mul_(momentum, options.momentum)
                torch._foreach_addcdiv_(momentum, gradients, roots)
                if isinstance(rate, float):
                    torch._foreach_add_(parameters, momentum, alpha=-rate)
                else:  # as torch does where a graph may be captured; a tensor as ``alpha`` would be read back
                    torch._foreach_add_(parameters, torch._foreach_mul(momentum, -rate))
            elif isinstance(rate, float):
                torch._foreach_addcdiv_(parameters, gradients, roots, value=-rate)
            else:
                torch._foreach_div_(roots, -rate)
                torch._foreach_addcdiv_(parameters, gradients, roots)


OPTIMIZERS: dict[str, type[Options]] = {"sgd": SGD, "adam": Adam, "adamw": AdamW, "rmsprop": RMSprop}


def build_plain(options: OptimizerOptions, parameters: Mapping[str, Tensor], decayed: Collection[str]) -> Optimizer:
    """Return the optimizer that gives the bits of a plain PyTorch script on a CPU.

    Args:
        options: A row of ``OPTIMIZERS``.
        parameters: Name -> tensor with a ``grad``: each tensor by itself, as where a vector loop ends moves last bits.
        decayed: Names of the tensors that weight decay applies to.
    """
    if isinstance(options, SGD):
        return _PlainSGD(parameters, decayed, options)
    if isinstance(options, (Adam, AdamW)):
        return _PlainAdam(parameters, decayed, options)
    return options.build(parameters, decayed)


def clip_gradients(tensors: Iterable[Tensor], max_norm: float) -> None:
    """Scale each run's gradients in place by min(1, max_norm / (norm + 1e-6)), as ``clip_grad_norm_`` does for one run.

    The norm is the L2 norm over all of the run's gradients. A NaN among them makes all of that run's gradients NaN and
    leaves its neighbours' bits alone.

    Args:
        tensors: Leaves (R, …), after ``backward``; those without a gradient are passed over.
        max_norm: Largest norm of a run's gradients.

    Raises:
        ValueError: When no tensor has a gradient.
    """
    gradients = [tensor.grad for tensor in tensors if tensor.grad is not None]
    if not gradients:
        raise ValueError("no gradients to clip: pass the leaves, after backward()")
    factors = (max_norm / (_norms(gradients) + 1e-6)).clamp(max=1.0)
    for gradient in gradients:
        gradient.mul_(factors.view(-1, *(1 for _ in gradient.shape[1:])))


def _norms(gradients: Sequence[Tensor]) -> Tensor:
    """Return each run's L2 norm (R,) over all the tensors (R, …).

    The bits are the same for a run alone, among others, and beside tensors that it lacks (zeros).
    """
    import torch

    # ``vector_norm`` along a dimension is rounded alike for one run and for many. ``sum`` is not: it splits a single
    # run's numbers among threads (seen from 32,768 on).
    norms = [torch.linalg.vector_norm(gradient.reshape(len(gradient), -1), dim=1) for gradient in gradients]
    # Smallest first, because the order of the names depends on the neighbours; a zero comes first then and changes
    # nothing.
    squares = torch.stack(norms).square().sort(dim=0).values  # (tensors, R)
    total = torch.zeros_like(squares[0])
    for share in squares:
        total += share
    return total.sqrt()


def _gradient(parameter: Tensor) -> Tensor:
    if parameter.grad is None:
        raise ValueError("an optimizer is built of parameters whose gradients have their memory")
    return parameter.grad.detach()
