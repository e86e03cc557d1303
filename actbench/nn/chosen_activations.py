"""What the rest of the program asks of a chosen activation: f, f′, its trained parameters, its second moment.

A choice is a ``Component``: a row of the table in ``activations.py`` with options, or a user's own function or module.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

from actbench.errors import ConfigError, UsageError
from actbench.nn.activations import HOW_LEARNED, Activation
from actbench.schema import registry
from actbench.schema.components import Component
from actbench.schema.unit_groups import group_of
from actbench.system import user_code

if TYPE_CHECKING:
    from torch import Tensor

    from actbench.nn.module_activation import ModuleActivation


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


UNIT_AXIS = 2
"""The dimension of the pre-activations (R, B, U, …positions) of many runs."""


def function_of(component: Component, *, axis: int = UNIT_AXIS) -> Callable[..., Tensor]:
    """Return f(z, **learned, noise=…) with the fixed options bound.

    Learned options are passed by keyword, as tensors that broadcast against z; ``noise`` (uniform in [0, 1), like z;
    None or absent in evaluation) only where ``row_of(component).random``. z may have any shape and is not changed.

    Args:
        component: The choice.
        axis: The dimension of the pre-activations, for an activation that changes the width.

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
        from actbench.nn.elementwise_check import check_elementwise

        of_module: Callable[..., Tensor] = user_code.contained_call(module)
        check_elementwise(partial(of_module, **starts), str(component.path))
        module.check_units()
        return of_module
    fixed = _fixed_options(component)
    if row.expand != "elementwise":
        if component.path is not None:
            raise UsageError(f"'{component.path}' changes the width of its layer, which only built-in activations may")
        fixed["axis"] = axis
    if component.path is None:
        function: Callable[..., Tensor] = partial(registry.import_object(row.function), **fixed)
    else:
        from actbench.nn.elementwise_check import check_elementwise

        own = user_code.contained_import(registry.import_object, row.function)
        function = user_code.contained_call(partial(own, **fixed))
        check_elementwise(partial(function, **starts), component.path)
    return function


def curve_of(component: Component) -> tuple[Callable[..., Tensor], str]:
    """Return a function of one number to draw or evaluate, and what it leaves fixed; like ``function_of`` elsewhere.

    Of an activation that changes the width it is a section: a gate's function of z at the value 1, maxout at all other
    pieces 0, the first output of CReLU.

    >>> import torch
    >>> from actbench.schema.components import resolve
    >>> f, fixed = curve_of(resolve("activations", "reglu"))
    >>> f(torch.tensor([-2.0, 3.0])), fixed
    (tensor([0., 3.]), 'at v = 1')
    """
    group = group_of(component)
    if group.is_elementwise:
        return function_of(component), ""
    function = function_of(component, axis=0)

    def section(z: Tensor) -> Tensor:
        flat = z.reshape(-1)
        if group.kind == "gate":
            a = function(torch.cat([torch.ones_like(flat), flat]))
        elif group.kind == "pieces":
            a = function(torch.cat([flat, *[torch.zeros_like(flat)] * (group.inputs - 1)]))
        else:
            a = function(flat)[: len(flat)]
        return a.reshape(z.shape)

    import torch

    return section, {"gate": "at v = 1", "pieces": "with the other pieces at 0", "mirrored": "in its first output"}[
        group.kind
    ]


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
    options = _values(component)
    shape = (units,) if options["per"] == "unit" else ()
    return {name: (shape, options[name]) for name in row.learnable} if options["learned"] else {}


def as_options(component: Component, trained: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """Return trained parameters as the options that they are, where what is trained stands for them in another form.

    >>> import torch
    >>> from actbench.schema.components import resolve
    >>> xielu = resolve("activations", "xielu")
    >>> starts = {name: torch.tensor(start) for name, (_, start) in learned_parameters(xielu, 1).items()}
    >>> as_options(xielu, starts)
    {'alpha_p': tensor(0.8000), 'alpha_n': tensor(0.8000)}
    """
    row = row_of(component)
    if row.read_back is None:
        return trained
    options: Mapping[str, Tensor] = registry.import_object(row.read_back)(trained, _options(component))
    return options


def kinks_of(component: Component) -> tuple[float, ...]:
    """Return where the slope of f, or f itself, jumps, with learned options at their start.

    >>> from actbench.schema.components import resolve
    >>> kinks_of(resolve("activations", "relu")), kinks_of(resolve("activations", "softshrink(lambd=0.25)"))
    ((0,), (-0.25, 0.25))
    """
    row = row_of(component)
    return row.kinks if row.kinks_at is None else row.kinks_at(_options(component))


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
        a = curve_of(component)[0](z, **starts)
        (slope,) = user_code.gradients(a.sum(), [z]) if a.requires_grad else (torch.zeros_like(a),)
    broken = signed[~(a.isfinite() & slope.isfinite()).flatten()]
    return round(float(broken[0]), 1) if len(broken) else None


@lru_cache(maxsize=512)
def second_moment(component: Component) -> float:
    """Return E[f(Z)²] for Z ~ N(0, 1), with learned options at their start and the mean over a random one's noise.

    Its power −1/2 is the gain that keeps the variance from layer to layer. Where the width changes, it is that of one
    output for independent standard normal pre-activations: E[v²]·E[g(Z)²] = E[g(Z)²] for a gate v·g(z), with g its
    section at v = 1; half of E[Z²] for CReLU; ∫ z²·k·φ(z)·Φ(z)^(k−1) dz for the largest of k.

    >>> from actbench.schema.components import resolve
    >>> round(second_moment(resolve("activations", "relu")), 8)
    0.5
    """
    from actbench.nn.gaussian_moment import mean_square_of_largest, mean_square_under_gauss

    row, group = row_of(component), group_of(component)
    if group.kind == "pieces":
        return mean_square_of_largest(group.inputs)
    starts = {name: start for name, (_, start) in learned_parameters(component, 1).items()}
    return mean_square_under_gauss(partial(curve_of(component)[0], **starts), kinks_of(component), noisy=row.random)


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
    return {name: value for name, value in _values(component).items() if name not in kept_back}


def _values(component: Component) -> Mapping[str, Any]:
    """Return the options as f takes them: some learnable ones stand there in another form."""
    options, row = _options(component), row_of(component)
    return options if row.trained_as is None else {**options, **row.trained_as(options)}


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
