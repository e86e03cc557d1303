"""ACTIVATIONS, one row an activation, and the functions that the rest of the program calls for a chosen one.

To add one: a row in the table, with an ``Options`` class above it if it has options, a function in ``functions.py`` if
torch has none, and its slope in ``slopes.py``. The conformance test picks it up. Importing this module leaves torch
alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from actbench.errors import ConfigError, UsageError
from actbench.nn.formulas import check_expression
from actbench.schema import registry
from actbench.schema.components import Component, Options
from actbench.system import user_code

if TYPE_CHECKING:
    from torch import Tensor

    from actbench.nn.module_activation import ModuleActivation

TORCH, OURS = "torch.nn.functional", "actbench.nn.functions"
HOW_LEARNED = ("learned", "per")
"""Options of a learnable row that say how its parameters are learned; its function never sees them."""


@dataclass(frozen=True)
class Activation:
    """Hold a row of the table.

    Args:
        name: Its name in configs.
        function: ``module:attribute`` of the elementwise function f(z, **options).
        formula: f(z).
        derivative: f′(z), with the value that is taken at kinks.
        summary: What sets it apart, one line.
        reference: The paper, with its arXiv id where it has one.
        kinks: Where the slope jumps (for some value of the options).
        schema: Its options, with defaults and bounds.
        learnable: Options that become trained tensors where the options ``learned`` (bool) and ``per`` (``layer`` or
            ``unit``) say so; they start at the option's value.
        random: Whether f also takes ``noise``, uniform in [0, 1) and shaped like z, during training.
    """

    name: str
    function: str
    formula: str
    derivative: str
    summary: str = ""
    reference: str = ""
    kinks: tuple[float, ...] = ()
    schema: type[Options] = Options
    learnable: tuple[str, ...] = ()
    random: bool = False

    def __post_init__(self) -> None:
        """Refuse a row whose learnable options could not be switched on."""
        if self.learnable and not {*HOW_LEARNED, *self.learnable} <= set(self.schema.model_fields):
            raise ValueError(f"the options of '{self.name}' lack one of: learned, per, {', '.join(self.learnable)}")

    @property
    def options(self) -> dict[str, Any]:
        """Each option's default by its name; None for one that has to be given."""
        fields = self.schema.model_fields.items()
        return {name: None if field.is_required() else field.default for name, field in fields}

    @property
    def learned(self) -> tuple[str, ...]:
        """The names of the options that are trained unless the config says otherwise."""
        return self.learnable if self.options.get("learned") else ()


class LeakyReluOptions(Options):
    """Options of leaky_relu.

    Attributes:
        negative_slope: The fixed slope below zero (torch's 0.01; other libraries take 0.2 or 0.3).
    """

    negative_slope: float = 0.01


class PReluOptions(Options):
    """Options of prelu.

    Attributes:
        slope: The slope below zero, or where it starts.
        learned: Whether it is trained.
        per: One for each ``layer``, or for each ``unit``.
    """

    slope: float = 0.25
    learned: bool = True
    per: Literal["layer", "unit"] = "layer"


class RReluOptions(Options):
    """Options of rrelu.

    Attributes:
        lower: Lower end of the interval from which every element's slope below zero is drawn.
        upper: Upper end of that interval.
    """

    lower: float = 1 / 8
    upper: float = 1 / 3

    @model_validator(mode="after")
    def _interval(self) -> RReluOptions:
        if self.lower > self.upper:
            raise ValueError(f"'lower' ({self.lower:g}) should be at most 'upper' ({self.upper:g})")
        return self


class EluOptions(Options):
    """Options of elu and celu.

    Attributes:
        alpha: −alpha is the limit for z → −∞.
    """

    alpha: float = Field(default=1.0, gt=0)


class SwishOptions(Options):
    """Options of swish.

    Attributes:
        beta: The sharpness, or where it starts; large values approach ReLU.
        learned: Whether it is trained.
        per: One for each ``layer``, or for each ``unit``.
    """

    beta: float = 1.0
    learned: bool = False
    per: Literal["layer", "unit"] = "layer"


class SoftplusOptions(Options):
    """Options of softplus.

    Attributes:
        beta: The sharpness; large values approach ReLU.
    """

    beta: float = Field(default=1.0, gt=0)


def _checked_formula(text: str) -> str:
    check_expression(text)
    return text


class ExpressionOptions(Options):
    """Options of expression.

    Attributes:
        formula: An expression in x, such as ``x * sigmoid(1.702 * x)``.
    """

    formula: Annotated[str, AfterValidator(_checked_formula)]


# fmt: off
# A row: name, function, formula / derivative, summary / reference, and what else it has.
_ROWS = (
    Activation("relu", "torch:relu", "max(0, z)",
               "0 for z ≤ 0, 1 for z > 0", "cheap, sparse, linear above zero; a unit may die",
               "Nair, Hinton 2010, ICML", kinks=(0,)),
    Activation("leaky_relu", f"{TORCH}:leaky_relu", "z for z > 0, negative_slope·z otherwise",
               "negative_slope for z ≤ 0, 1 for z > 0", "ReLU with a small slope below zero: no unit dies",
               "Maas, Hannun, Ng 2013, ICML", kinks=(0,), schema=LeakyReluOptions),
    Activation("prelu", f"{OURS}:prelu", "z for z > 0, slope·z otherwise",
               "slope for z ≤ 0, 1 for z > 0", "leaky ReLU whose slope is learned, per layer or unit",
               "He, Zhang, Ren, Sun 2015, arXiv:1502.01852", kinks=(0,), schema=PReluOptions, learnable=("slope",)),
    Activation("rrelu", f"{OURS}:rrelu", "as prelu; slope ~ U[lower, upper), its mean in evaluation",
               "slope for z ≤ 0, 1 for z > 0", "leaky ReLU with a random slope for every element",
               "Xu, Wang, Chen, Li 2015, arXiv:1505.00853", kinks=(0,), schema=RReluOptions, random=True),
    Activation("relu6", f"{TORCH}:relu6", "min(max(0, z), 6)",
               "1 for 0 < z < 6, 0 otherwise", "ReLU that stops at 6, for low-precision arithmetic",
               "Krizhevsky 2010, Convolutional Deep Belief Networks on CIFAR-10", kinks=(0, 6)),
    Activation("elu", f"{TORCH}:elu", "z for z > 0, alpha·(exp(z) − 1) otherwise",
               "alpha·exp(z) for z ≤ 0, 1 for z > 0", "smooth below zero with limit −alpha; costs an exponential",
               "Clevert, Unterthiner, Hochreiter 2015, arXiv:1511.07289", kinks=(0,), schema=EluOptions),
    Activation("selu", f"{TORCH}:selu", "λz for z > 0, λα·(exp(z) − 1) otherwise; λ = 1.0507009874, α = 1.6732632424",
               "λα·exp(z) for z ≤ 0, λ for z > 0", "keeps mean 0 and variance 1 across layers under lecun_normal",
               "Klambauer, Unterthiner, Mayr, Hochreiter 2017, arXiv:1706.02515", kinks=(0,)),
    Activation("celu", f"{TORCH}:celu", "z for z > 0, alpha·(exp(z/alpha) − 1) otherwise",
               "exp(z/alpha) for z ≤ 0, 1 for z > 0", "ELU whose slope is continuous at zero for every alpha",
               "Barron 2017, arXiv:1704.07483", schema=EluOptions),
    Activation("gelu", f"{TORCH}:gelu", "z·Φ(z), Φ the standard normal distribution function (exact)",
               "Φ(z) + z·φ(z)", "smooth ReLU with a dip: minimum −0.16997 at −0.7518",
               "Hendrycks, Gimpel 2016, arXiv:1606.08415"),
    Activation("gelu_tanh", f"{OURS}:gelu_tanh", "z/2·(1 + tanh(√(2/π)·(z + 0.044715·z³)))",
               "by the product rule; 1/2 at 0", "the tanh approximation of GELU, within 5e-4 of the exact one",
               "Hendrycks, Gimpel 2016, arXiv:1606.08415"),
    Activation("silu", f"{TORCH}:silu", "z·σ(z)",
               "σ(z)·(1 + z·(1 − σ(z)))", "swish with beta = 1: minimum −0.27846 at −1.2785",
               "Elfwing, Uchibe, Doya 2017, arXiv:1702.03118"),
    Activation("swish", f"{OURS}:swish", "z·σ(beta·z)",
               "σ(beta·z)·(1 + beta·z·(1 − σ(beta·z)))", "from z/2 (beta = 0) to ReLU (beta → ∞)",
               "Ramachandran, Zoph, Le 2017, arXiv:1710.05941", schema=SwishOptions, learnable=("beta",)),
    Activation("mish", f"{TORCH}:mish", "z·tanh(log(1 + exp(z)))",
               "t + z·σ(z)·(1 − t²), t = f(z)/z", "smooth ReLU with a dip: minimum −0.30884 at −1.1924",
               "Misra 2019, arXiv:1908.08681"),
    Activation("softplus", f"{TORCH}:softplus", "log(1 + exp(beta·z))/beta; z for beta·z > 20",
               "σ(beta·z)", "smooth ReLU, positive everywhere",
               "Dugas, Bengio, Bélisle, Nadeau, Garcia 2000, NIPS", schema=SoftplusOptions),
    Activation("tanh", "torch:tanh", "tanh(z)",
               "1 − tanh(z)²", "bounded and odd; saturates on both sides",
               "LeCun, Bottou, Orr, Müller 1998, Efficient BackProp"),
    Activation("sigmoid", "torch:sigmoid", "σ(z) = 1/(1 + exp(−z))",
               "σ(z)·(1 − σ(z)), at most 1/4", "bounded and positive; saturates on both sides",
               "Rumelhart, Hinton, Williams 1986, Nature 323"),
    Activation("softsign", f"{TORCH}:softsign", "z/(1 + |z|)",
               "1/(1 + |z|)²", "tanh with polynomial tails: saturates slowly",
               "Glorot, Bengio 2010, AISTATS"),
    Activation("hardtanh", f"{TORCH}:hardtanh", "min(max(−1, z), 1)",
               "1 for −1 < z < 1, 0 otherwise", "piecewise linear tanh",
               "Collobert 2004, Large Scale Machine Learning", kinks=(-1, 1)),
    Activation("hardswish", f"{TORCH}:hardswish", "z·min(max(0, z + 3), 6)/6",
               "0 for z ≤ −3, z/3 + 1/2 for −3 < z < 3, 1 for z ≥ 3", "piecewise quadratic swish",
               "Howard et al. 2019, arXiv:1905.02244", kinks=(-3, 3)),
    Activation("hardsigmoid", f"{TORCH}:hardsigmoid", "min(max(0, z + 3), 6)/6",
               "1/6 for −3 < z < 3, 0 otherwise", "piecewise linear sigmoid",
               "Howard et al. 2019, arXiv:1905.02244", kinks=(-3, 3)),
    Activation("squared_relu", f"{OURS}:squared_relu", "max(0, z)²",
               "2·max(0, z)", "ReLU squared: its slope is continuous and unbounded",
               "So et al. 2021, arXiv:2109.08668"),
    Activation("identity", f"{OURS}:identity", "z",
               "1", "no non-linearity: the linear baseline"),
    Activation("expression", f"{OURS}:expression", "the formula",
               "by automatic differentiation", "a formula in x of your own, such as x * sigmoid(1.702 * x)",
               schema=ExpressionOptions),
)
# fmt: on

ACTIVATIONS: dict[str, Activation] = {row.name: row for row in _ROWS}


def row_of(component: Component) -> Activation:
    """Return the row behind a chosen activation; for a user's own plain function a bare row around it.

    Raises:
        UsageError: When the user's path leads to neither a function nor an ``Activation``.
    """
    if component.path is None:
        row: Activation = registry.load("activations", component.name)
        return row
    found = user_code.contained_import(registry.import_object, component.path)
    if isinstance(found, Activation):
        return found
    if not callable(found):
        kind = type(found).__name__
        raise UsageError(f"'{component.path}' is of type {kind}; expected a function, an nn.Module or an Activation")
    return Activation(component.name, component.path, "defined in Python", "by automatic differentiation")


def function_of(component: Component) -> Callable[..., Tensor]:
    """Return f(z, **learned, noise=…) with the fixed options bound.

    Learned options are passed by keyword, as tensors that broadcast against z; ``noise`` (uniform in [0, 1), like z;
    None or absent in evaluation) only where ``row_of(component).random``. z may have any shape and is not changed.

    Raises:
        UsageError: When a user's own function can't be found, or is not elementwise from tensor to tensor.

    >>> import torch
    >>> from actbench.schema.components import resolve
    >>> f = function_of(resolve("activations", {"name": "leaky_relu", "negative_slope": 0.5}))
    >>> f(torch.tensor(-2.0))
    tensor(-1.)
    """
    row = row_of(component)
    starts = {name: start for name, (_, start) in learned_parameters(component, 1).items()}
    if (module := _module_of(component)) is not None:
        from actbench.nn import functions

        of_module: Callable[..., Tensor] = user_code.contained_call(module)
        functions.check_elementwise(partial(of_module, **starts), str(component.path))
        module.check_units()
        return of_module
    fixed = _fixed_options(component)
    if component.path is None:
        function: Callable[..., Tensor] = partial(registry.import_object(row.function), **fixed)
    else:
        from actbench.nn import functions

        own = user_code.contained_import(registry.import_object, row.function)
        function = user_code.contained_call(partial(own, **fixed))
        functions.check_elementwise(partial(function, **starts), component.path)
    return function


def slope_of(component: Component) -> Callable[..., Tensor] | None:
    """Return f′(z, **learned) with the fixed options bound, in evaluation; None where autograd has to take it.

    >>> import torch
    >>> from actbench.schema.components import resolve
    >>> slope_of(resolve("activations", {"name": "leaky_relu", "negative_slope": 0.5}))(torch.tensor(-2.0))
    tensor(0.5000)
    """
    from actbench.nn import slopes

    function = None if component.path else getattr(slopes, component.name, None)
    return None if function is None else partial(function, **_fixed_options(component))


def learned_parameters(component: Component, units: int) -> dict[str, tuple[tuple[int, ...], float]]:
    """Return the parameters that a hidden layer's activation trains: name -> (shape, start value).

    >>> from actbench.schema.components import resolve
    >>> learned_parameters(resolve("activations", {"name": "prelu", "per": "unit"}), 64)
    {'slope': ((64,), 0.25)}
    """
    if (module := _module_of(component)) is not None:
        return module.learned_parameters(units)
    row = row_of(component)
    if not row.learnable:
        return {}
    options = _options(component)
    shape = (units,) if options["per"] == "unit" else ()
    return {name: (shape, options[name]) for name in row.learnable} if options["learned"] else {}


def check_slope(component: Component) -> None:
    """Make sure that gradients get through a user's own function: layers below it could not learn otherwise.

    A formula that is a step passes: it says so itself, and its units are dead by definition.

    Raises:
        UsageError: When the result of the function does not depend differentiably on z.
    """
    if component.path is None:
        return
    import torch

    z = torch.linspace(-3, 3, 12).reshape(1, 2, 6).requires_grad_()  # (R, B, U), as in a layer
    starts = {name: start for name, (_, start) in learned_parameters(component, 1).items()}
    function = partial(function_of(component), **starts)
    with torch.enable_grad():
        a = function(z)
        if not a.requires_grad:
            raise UsageError(
                f"no gradient reaches z through '{component.path}', so no layer below it "
                f"could learn: {_reason_for_no_gradient(function, z)}"
            )


def _reason_for_no_gradient(function: Callable[[Tensor], Tensor], z: Tensor) -> str:
    """Return why the result of a function has no gradient, as far as a call of it shows."""
    import torch
    from torch.overrides import TorchFunctionMode

    modes: list[str] = []

    class Watch(TorchFunctionMode):
        """Note in which modes of gradients the functions of torch are called."""

        def __torch_function__(
            self, function: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
        ) -> Any:
            if torch.is_inference_mode_enabled():
                modes.append("torch.inference_mode()")
            elif not torch.is_grad_enabled():
                modes.append("torch.no_grad()")
            return function(*args, **(kwargs or {}))

    with Watch():
        function(z)
    if modes:
        return f"it computes under {modes[0]}"
    return "its result is a step, or cut off from z by .detach(), .data, .item() or numpy"


@lru_cache(maxsize=512)
def overflow(component: Component, dtype: str = "float32") -> float | None:
    """Return the z nearest to 0, of 0 and two hundred up to ±10,000, at which f(z) or f′(z) is not finite.

    Args:
        component: The activation.
        dtype: The type in which it is computed.

    >>> from actbench.schema.components import resolve
    >>> overflow(resolve("activations", "mish")), overflow(resolve("activations", "x * tanh(log(1 + exp(x)))"))
    (None, 91.2)
    """
    import torch

    sizes = torch.logspace(0, 4, 101).round(decimals=1)
    signed = torch.cat([torch.zeros(1), torch.stack([sizes, -sizes], dim=1).flatten()])
    z = signed.to(getattr(torch, dtype)).reshape(1, 1, -1).requires_grad_()  # (R, B, U), as in a layer
    with torch.enable_grad():
        starts = {name: start for name, (_, start) in learned_parameters(component, 1).items()}
        a = function_of(component)(z, **starts)
        (slope,) = user_code.gradients(a.sum(), [z]) if a.requires_grad else (torch.zeros_like(a),)
    broken = signed[~(a.isfinite() & slope.isfinite()).flatten()]
    return round(float(broken[0]), 1) if len(broken) else None


@lru_cache(maxsize=512)
def second_moment(component: Component) -> float:
    """Return E[f(Z)²] for Z ~ N(0, 1), with learned options at their start and the mean over a random one's noise.

    Its power −1/2 is the gain that keeps the variance from layer to layer.

    >>> from actbench.schema.components import resolve
    >>> round(second_moment(resolve("activations", "relu")), 8)
    0.5
    """
    from actbench.nn import functions

    row = row_of(component)
    starts = {name: start for name, (_, start) in learned_parameters(component, 1).items()}
    return functions.mean_square_under_gauss(partial(function_of(component), **starts), row.kinks, noisy=row.random)


def _module_of(component: Component) -> ModuleActivation | None:
    """Return the user's module behind a chosen activation; None for anything else.

    Raises:
        UsageError: When it can't be made, or has parameters that are not single numbers.
    """
    if component.path is None:
        return None
    from actbench.nn import module_activation

    found = user_code.contained_import(registry.import_object, component.path)
    if not module_activation.is_module(found):
        return None
    with user_code.contained(component.path.partition(":")[0]):
        return module_activation.ModuleActivation(found, component.path, component.options)


def _fixed_options(component: Component) -> dict[str, Any]:
    """Return the options that are the same for every unit and step: those that f takes and that are not learned."""
    learned, learnable = learned_parameters(component, 1), row_of(component).learnable
    kept_back = {*learned, *HOW_LEARNED} if learnable else set()
    return {name: value for name, value in _options(component).items() if name not in kept_back}


def _options(component: Component) -> Mapping[str, Any]:
    """Return the checked options; those of a user's own ``Activation`` are checked only here, where it is imported."""
    if component.path is None:
        return component.options
    row, given = row_of(component), {name: value for name, value in component.options.items() if name != "path"}
    if row.function == component.path:
        return given
    try:
        return row.schema.parse(given).model_dump()
    except ConfigError as error:
        raise UsageError(f"options of '{component.path}': {error.messages}") from error
