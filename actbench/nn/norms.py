"""NORMS, one row a normalisation between a layer's weights and its activation, and the options of models for it.

To add one: a row in the table with its name in ``NormName``, and its module for kept networks. Importing this module
leaves torch alone. Axes: ``R`` runs, ``B`` examples, ``U`` units (channels of a convolution), positions behind them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationInfo, model_validator

from actbench.errors import ConfigError, Problem
from actbench.schema.components import Options

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from actbench.nn.layers import Activate, Params
    from actbench.nn.parts import Hidden

NormName = Literal["none", "batch", "layer", "dyt", "derf"]

ALPHA = 0.5
"""Where α of DyT and Derf starts in both papers' code (but for language models, where it depends on the width)."""

Apply = Callable[["Tensor", "Params", str, "Activate"], "Tensor"]


@dataclass(frozen=True)
class Norm:
    """Hold a row of the table.

    Args:
        formula: What enters the activation, of z.
        apply: (z (R, B, U, …positions), the runs' tensors, the normalisation's name in them, act) -> the same shape.
        starts: One run's tensors -> where all their numbers start; None for α, which the model's options say. Those of
            ``PER_LAYER`` are single numbers, others have one for each unit.
        module: Makes the torch module of one run for a dense layer or, if true, for images (B, C, H, W).
    """

    formula: str
    apply: Apply
    starts: Mapping[str, float | None]
    module: Callable[[Mapping[str, Tensor], bool], nn.Module]


PER_LAYER = ("alpha", "offset")
"""Tensors of a normalisation that are one number for a whole layer."""


def normalise(name: NormName, z: Hidden, params: Params, layer: str, act: Activate) -> Hidden:
    """Return what enters the activation of a layer: z (R, B, U, …) -> the same shape.

    Args:
        name: The normalisation; ``none`` returns z as it is.
        z: The pre-activations.
        params: The runs' tensors.
        layer: The layer's name, to which ``.norm`` is added.
        act: Decides by its ``training`` whether batch normalisation uses the batch's statistics.
    """
    from actbench.nn.parts import whole

    return z if name == "none" else NORMS[name].apply(whole(z), params, f"{layer}.norm", act)


def norm_tensors(name: NormName, layer: str, units: int, dtype: torch.dtype, *, alpha: float) -> dict[str, Tensor]:
    """Return one run's tensors of a layer's normalisation at their start; none for ``none``.

    Args:
        name: The normalisation.
        layer: The layer's name.
        units: Its units.
        dtype: The type of the run's tensors.
        alpha: Where α of DyT and Derf starts.
    """
    import torch

    starts = {} if name == "none" else NORMS[name].starts
    return {
        f"{layer}.norm.{part}": torch.full(
            () if part in PER_LAYER else (units,), alpha if start is None else start, dtype=dtype
        )
        for part, start in starts.items()
    }


def norm_module(name: NormName, tensors: Mapping[str, Tensor], layer: str, *, images: bool) -> nn.Module | None:
    """Return the torch module of one run's normalisation in a layer; None for ``none``.

    Args:
        name: The normalisation.
        tensors: The run's tensors, without a run axis.
        layer: The layer's name.
        images: Whether the module sees images (B, C, H, W) rather than (B, U).
    """
    if name == "none":
        return None
    row = NORMS[name]
    return row.module({part: tensors[f"{layer}.norm.{part}"] for part in row.starts}, images)


def _batch(z: Tensor, params: Params, name: str, act: Activate) -> Tensor:
    from actbench.nn import layers

    return layers.batch_norm(z, params, name, act)


def _layer(z: Tensor, params: Params, name: str, act: Activate) -> Tensor:
    from actbench.nn import layers

    return layers.layer_norm(z, params[f"{name}.weight"], params[f"{name}.bias"])


def _dyt(z: Tensor, params: Params, name: str, act: Activate) -> Tensor:
    from actbench.nn import layers

    return layers.elementwise_norm(layers.dyt, z, *(params[f"{name}.{part}"] for part in ("weight", "bias", "alpha")))


def _derf(z: Tensor, params: Params, name: str, act: Activate) -> Tensor:
    from actbench.nn import layers

    parts = ("weight", "bias", "alpha", "offset")
    return layers.elementwise_norm(layers.derf, z, *(params[f"{name}.{part}"] for part in parts))


def _module(maker: str, tensors: Mapping[str, Tensor], images: bool) -> nn.Module:
    from actbench.nn import networks

    made: nn.Module = getattr(networks, maker)(tensors, images=images)
    return made


_AFFINE = {"weight": 1.0, "bias": 0.0}

NORMS: dict[str, Norm] = {
    "batch": Norm(
        "γ·(z − mean)/√(variance + 1e-5) + β, over a batch and its positions (Ioffe, Szegedy 2015, arXiv:1502.03167)",
        _batch,
        {**_AFFINE, "running_mean": 0.0, "running_var": 1.0},
        partial(_module, "batch_norm"),
    ),
    "layer": Norm(
        "γ·(z − mean)/√(variance + 1e-5) + β, over an example's units and positions (Ba et al. 2016, arXiv:1607.06450)",
        _layer,
        _AFFINE,
        partial(_module, "layer_norm"),
    ),
    "dyt": Norm(
        "γ·tanh(α·z) + β (Zhu et al. 2025, arXiv:2503.10622)",
        _dyt,
        {**_AFFINE, "alpha": None},
        partial(_module, "elementwise_norm"),
    ),
    "derf": Norm(
        "γ·erf(α·z + s) + β (Chen et al. 2025, arXiv:2512.10938)",
        _derf,
        {**_AFFINE, "alpha": None, "offset": 0.0},
        partial(_module, "elementwise_norm"),
    ),
}
"""Name -> row. γ and β have a number for each unit (channel), α and s one for each layer; all are learned."""

WITH_ALPHA = tuple(name for name, row in NORMS.items() if "alpha" in row.starts)
"""The normalisations with an α."""


def _has_alpha(value: float, info: ValidationInfo) -> float:
    if value != ALPHA and info.data.get("norm", "dyt") not in WITH_ALPHA:
        raise ValueError(f"'norm_alpha' goes with norm: {' or '.join(WITH_ALPHA)}, not {info.data['norm']}")
    return value


NormAlpha = Annotated[float, Field(gt=0), AfterValidator(_has_alpha)]
"""α of DyT and Derf; declare it behind ``norm``."""

OlderBatchNorm = Annotated[bool, Field(exclude=True)]
"""``batch_norm`` as configs and results of earlier versions have it; its value is moved to ``norm`` when it is read."""


class Normalised(Options):
    """Base of the options of models that normalise; they declare its fields, in the order that messages list them in.

    Attributes:
        norm: What each pre-activation goes through before the activation: none; ``batch``, normalised over the batch
            (and positions); ``layer``, over each example's units (and positions); ``dyt``, γ·tanh(α·z) + β;
            ``derf``, γ·erf(α·z + s) + β. The layer's own bias is kept.
        norm_alpha: Where the learned α of ``dyt`` and ``derf`` starts.
        batch_norm: The older spelling: true for `norm: batch`, false for none.
    """

    if TYPE_CHECKING:
        norm: NormName

    @property
    def normalises_over_batch(self) -> bool:
        """Whether the model normalises over the batch, which then needs two examples."""
        return self.norm == "batch"

    @model_validator(mode="before")
    @classmethod
    def _in_one_spelling(cls, written: Any) -> Any:
        """Replace ``batch_norm`` by ``norm``; what is not true or false is left to be reported."""
        if not isinstance(written, Mapping) or not isinstance(written.get("batch_norm"), bool):
            return written
        if "norm" in written:
            text = "'batch_norm' is the older spelling of 'norm': keep one of them"
            raise ConfigError([Problem(text, ("batch_norm",))])
        rest = {option: value for option, value in written.items() if option != "batch_norm"}
        return {**rest, "norm": "batch" if written["batch_norm"] else "none"}

    @classmethod
    def older_spellings(cls, options: Mapping[str, Any]) -> Mapping[str, tuple[str, Any]]:
        """Return ``batch_norm`` with its value, where it can say what ``norm`` does."""
        norm = options.get("norm")
        return {"batch_norm": ("norm", norm == "batch")} if norm in ("none", "batch") else {}
