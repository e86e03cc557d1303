"""OPTIMIZERS, those of torch.optim that treat every number by itself; and gradient clipping, run by run.

In a cohort dimension 0 of every tensor is the run, so an optimizer may not look at a tensor as a whole: LBFGS takes
inner products over all parameters, LARS and LAMB divide by tensor norms, Adafactor and Muon work on rows, columns or
singular values. Each of them would let one run steer its neighbours, and none of them is here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Protocol

from pydantic import Field, Strict, model_validator

from actbench.schema.components import Options

if TYPE_CHECKING:
    import torch
    from torch import Tensor
    from torch.optim import Optimizer

Share = Annotated[float, Field(ge=0, lt=1)]


class OptimizerOptions(Protocol):
    """Build a torch optimizer: what every row of the table does, besides being an ``Options``."""

    lr: float
    weight_decay: float

    def build(self, parameters: Mapping[str, Tensor], decayed: Collection[str]) -> Optimizer:
        """Return the torch optimizer over these leaves.

        Args:
            parameters: Name -> leaf; in a cohort the names of the blocks and their rows of one run.
            decayed: Names of the leaves that weight decay applies to.
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
        """Return the torch optimizer over these leaves, with weight decay on the ``decayed`` names only."""
        import torch

        return torch.optim.SGD(
            _groups(parameters, decayed, self.weight_decay),
            lr=self.lr,
            momentum=self.momentum,
            dampening=self.dampening,
            nesterov=self.nesterov,
            fused=True,
        )


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
        """Return the torch optimizer over these leaves, with weight decay on the ``decayed`` names only."""
        import torch

        groups = _groups(parameters, decayed, self.weight_decay)
        return torch.optim.Adam(groups, lr=self.lr, betas=self.betas, eps=self.eps, fused=True)


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
        """Return the torch optimizer over these leaves, with weight decay on the ``decayed`` names only."""
        import torch

        groups = _groups(parameters, decayed, self.weight_decay)
        return torch.optim.AdamW(groups, lr=self.lr, betas=self.betas, eps=self.eps, fused=True)


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
        """Return the torch optimizer over these leaves, with weight decay on the ``decayed`` names only."""
        import torch

        groups = _groups(parameters, decayed, self.weight_decay)
        return torch.optim.RMSprop(groups, lr=self.lr, alpha=self.alpha, eps=self.eps, momentum=self.momentum)


OPTIMIZERS: dict[str, type[Options]] = {"sgd": SGD, "adam": Adam, "adamw": AdamW, "rmsprop": RMSprop}


def set_rate(optimizer: Optimizer, rate: float) -> None:
    """Set the learning rate of the next step, in place where it is a tensor: a CUDA graph reads it there."""
    for group in optimizer.param_groups:
        if isinstance(group["lr"], float):
            group["lr"] = rate
        else:
            group["lr"].fill_(rate)


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


def make_capturable(optimizers: Iterable[Optimizer], device: torch.device) -> None:
    """Keep the learning rate and the step counts on the device, before the first step: a graph fixes all else."""
    import torch

    for group in (group for optimizer in optimizers for group in optimizer.param_groups):
        group["lr"] = torch.tensor(group["lr"], dtype=torch.float32, device=device)
        if "capturable" in group:
            group["capturable"] = True


def _groups(parameters: Mapping[str, Tensor], decayed: Collection[str], weight_decay: float) -> list[dict[str, Any]]:
    """Return torch's parameter groups, with and without weight decay; one without members is left out."""
    with_decay = [tensor for name, tensor in parameters.items() if name in decayed]
    without = [tensor for name, tensor in parameters.items() if name not in decayed]
    groups = [{"params": with_decay, "weight_decay": weight_decay}, {"params": without, "weight_decay": 0.0}]
    return [group for group in groups if group["params"]]
