"""Compile a user's formula in x, such as ``x * sigmoid(1.702 * x)``: parsed and checked, never run as Python.

The text becomes a tree of closures over a whitelist; no name, attribute or call outside it can be reached. Two things
differ from a hand-written activation. Both branches of ``where`` are computed, so one that overflows where it is not
chosen still turns the gradient to NaN: write ``exp(min(x, 0))``. And at a tie ``min`` and ``max`` split the gradient in
halves: the derivative of ``max(x, 0)`` at 0 is 0.5, that of ``relu(x)`` is 0.
"""

from __future__ import annotations

import ast
import math
import operator
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from actbench.errors import suggestion
from actbench.schema import registry, synonyms

if TYPE_CHECKING:
    from torch import Tensor

MAX_LENGTH = 300
"""Characters: a formula stands in tables as the activation's label."""
MAX_DEPTH = 60
"""Levels of nesting: a sum of sixty terms passes, and with several frames a level Python's limit of 1000 is far."""
MAX_NUMBER = 1e30
"""Still finite in float32 (3.4e38) after a product or two."""
MAX_EXPONENT = 16
"""Higher powers overflow float32 for |x| above a few hundred."""

VARIABLE = "x"
CONSTANTS: Mapping[str, float] = {"pi": math.pi, "e": math.e}
ARITHMETIC: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Pow: operator.pow,
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
COMPARISONS: Mapping[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
FUNCTIONS: Mapping[str, tuple[int, str]] = {
    "exp": (1, "torch:exp"),
    "expm1": (1, "torch:expm1"),
    "log": (1, "torch:log"),
    "log1p": (1, "torch:log1p"),
    "sqrt": (1, "torch:sqrt"),
    "abs": (1, "torch:abs"),
    "sign": (1, "torch:sign"),
    "sin": (1, "torch:sin"),
    "cos": (1, "torch:cos"),
    "tanh": (1, "torch:tanh"),
    "atan": (1, "torch:atan"),
    "erf": (1, "torch:erf"),
    "sigmoid": (1, "torch:sigmoid"),
    "relu": (1, "torch:relu"),
    "softplus": (1, "torch.nn.functional:softplus"),
    "minimum": (2, "torch:minimum"),
    "maximum": (2, "torch:maximum"),
    "min": (2, "torch:minimum"),
    "max": (2, "torch:maximum"),
    "clamp": (3, "torch:clamp"),
    "where": (3, "torch:where"),
}
"""Name -> number of arguments, and the elementwise torch function behind it."""

_OTHER_WORDS: Mapping[str, str] = {
    "ln": "log(x)",
    "pow": "x**2",
    "power": "x**2",
    "square": "x**2",
    "logistic": "sigmoid(x)",
    "clip": "clamp(x, low, high)",
    "sgn": "sign(x)",
    "fabs": "abs(x)",
    "arctan": "atan(x)",
}
"""Functions of other libraries -> ours."""

Term = Callable[["Tensor"], Any]
"""A compiled part of a formula: the tensor x -> a tensor like it, or a plain number."""


def check_expression(text: str) -> None:
    """Make sure that ``text`` is a formula in x made of the allowed parts; needs no torch.

    Raises:
        ValueError: Says which part is not allowed and what to write instead.

    >>> check_expression("x * sigmoid(1.702 * x)")
    >>> check_expression("x + y")
    Traceback (most recent call last):
    ValueError: unknown name 'y' in the formula — the variable is x, the constants are pi, e
    """
    tree = _parse(text)
    _check(tree)
    if not any(isinstance(node, ast.Name) and node.id == VARIABLE for node in ast.walk(tree)):
        raise ValueError("the formula does not depend on x")


@lru_cache(maxsize=512)
def compile_expression(text: str) -> Callable[[Tensor], Tensor]:
    """Return the elementwise function that the formula describes; its result has x's shape, type and device.

    Raises:
        ValueError: As ``check_expression``.

    >>> import torch
    >>> compile_expression("where(x > 0, x, 0.1 * x)")(torch.tensor([-2.0, 3.0]))
    tensor([-0.2000,  3.0000])
    """
    check_expression(text)
    return _compiled(_parse(text))


def _parse(text: str) -> ast.expr:
    if not text.strip():
        raise ValueError("the formula is empty")
    if len(text) > MAX_LENGTH:
        raise ValueError(f"the formula has {len(text)} characters; at most {MAX_LENGTH} are allowed")
    if not text.isprintable():
        odd = next(letter for letter in text if not letter.isprintable())
        raise ValueError(f"the formula holds the character {odd!r}: write it on one line, in visible characters")
    if "#" in text:
        raise ValueError("a formula holds no comment (#)")
    if "^" in text:
        raise ValueError("a power is written **, not ^")
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except SyntaxError as error:
        raise ValueError(_slip(text) or f"not a formula: {error.msg} at character {error.offset}") from error
    except (ValueError, MemoryError, RecursionError) as error:  # null characters; the parser's own stack
        raise ValueError(f"not a formula: {error or 'nested too deeply'}") from error
    _check_depth(tree)
    return tree


def _slip(text: str) -> str | None:
    """Say what to write in place of a text that is no formula, for the slips that are known; None for others."""
    if re.fullmatch(r"\s*[\w.]+:[\w.]+\s*", text):
        name = text.strip().rpartition(":")[2].rpartition(".")[2]
        return f"a function of your own is written {{name: {name}, path: {text.strip()}}}"
    if "$" in text:
        return "a config holds no variables: set the key on the command line, where the shell puts them in"
    if re.search(r"(?<![\w.=])=(?!=)", text.replace("==", "")) or "return" in text:
        return "a formula is the right side alone, such as x * sigmoid(x)"
    for signs, written in (("·×∙⋅", "*"), ("−–", "-"), ("÷", "/"), ("²", "x**2"), ("³", "x**3")):
        if found := next((sign for sign in signs if sign in text), None):
            return f"'{found}' is not a sign of formulas: write {written}"
    product = re.search(r"(?<![\w.])([0-9.]+)([a-df-z]\w*)", text)
    return f"a product is written with *: {product[1]} * {product[2]}" if product else None


def _check_depth(tree: ast.expr) -> None:
    """Refuse a deep tree: go level by level, since it is recursion that a deep tree would overflow."""
    level: list[ast.AST] = [tree]
    for _ in range(MAX_DEPTH):
        level = [child for node in level for child in ast.iter_child_nodes(node)]
    if level:
        raise ValueError(f"the formula is nested more than {MAX_DEPTH} levels deep")


def _check(node: ast.expr) -> None:
    """Refuse whatever ``_compiled`` does not know, with a message for the person who wrote it."""
    match node:
        case ast.Name():
            _check_name(node.id)
        case ast.Constant():
            _check_number(node.value)
        case ast.UnaryOp(op=ast.USub() | ast.UAdd(), operand=inner):
            _check(inner)
        case ast.BinOp(left=base, op=ast.Pow(), right=exponent):
            _check_exponent(exponent)
            _check(base)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in ARITHMETIC:
            _check(left)
            _check(right)
        case ast.Call():
            _check_call(node)
        case ast.IfExp():
            raise ValueError("a choice is written where(x > 0, a, b), not 'a if x > 0 else b'")
        case ast.Lambda():
            raise ValueError(f"a formula stands without 'lambda': {ast.unparse(node.body)}")
        case ast.Attribute(attr=name) if known := _activation(name):
            raise ValueError(f"'{ast.unparse(node)}' is called {known} here")
        case ast.Compare():
            raise ValueError("a comparison may stand only as the first argument of where(condition, a, b)")
        case _:
            raise ValueError(
                f"'{ast.unparse(node)}' is not allowed in a formula: use x, numbers, + - * / ** and functions"
            )


def _check_name(name: str) -> None:
    if name in FUNCTIONS:
        raise ValueError(f"the function '{name}' needs its argument: {name}(x)")
    if name != VARIABLE and name not in CONSTANTS:
        raise ValueError(
            f"unknown name '{name}' in the formula — the variable is x, the constants are {', '.join(CONSTANTS)}"
        )


def _check_number(value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{value!r} is not a number")
    if abs(value) > MAX_NUMBER:
        raise ValueError(f"a number in the formula is larger than {MAX_NUMBER:g}")


def _check_exponent(node: ast.expr) -> None:
    """Refuse an exponent that is not a literal number: a power of a power of a power would overflow every type."""
    value = _literal(node)
    if value is None or not abs(value) <= MAX_EXPONENT:
        raise ValueError(f"an exponent is a plain number of at most ±{MAX_EXPONENT}, not '{ast.unparse(node)}'")


def _literal(node: ast.expr) -> int | float | None:
    match node:
        case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
            return value
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as value)):
            return -value
    return None


def _check_call(node: ast.Call) -> None:
    name = ast.unparse(node.func)
    if name not in FUNCTIONS:
        raise ValueError(_unknown_function(name, with_options=bool(node.keywords)))
    if not node.args and not node.keywords and (known := _activation(name)):
        raise ValueError(f"'{name}()' is called {known} here, without brackets")
    if node.keywords or any(isinstance(argument, ast.Starred) for argument in node.args):
        raise ValueError(f"{name} takes plain arguments only")
    arity = FUNCTIONS[name][0]
    if len(node.args) != arity:
        raise ValueError(f"{name} takes {arity} argument{'s' * (arity > 1)}, not {len(node.args)}")
    arguments = node.args
    if name == "where":
        arguments = [*_sides(node.args[0]), *node.args[1:]]
    for argument in arguments:
        _check(argument)


def _unknown_function(name: str, *, with_options: bool) -> str:
    """Name the nearest function; or the nearest activation, which whoever gives options has in mind."""
    last = name.rpartition(".")[2]
    if name.replace(".", "").isdecimal():
        return f"a product is written with *: {name} * (…)"
    if last in _OTHER_WORDS:
        return f"unknown function '{name}' — write {_OTHER_WORDS[last]}"
    if name != last and last in FUNCTIONS:
        return f"'{name}' is called {last} in a formula: {last}(x)"
    if known := _activation(last):
        if name == known:
            option = next(iter(registry.load("activations", known).schema.model_fields), None)
            or_so = f", or {name}({option}=…)" if option else ""
            return f"'{name}' is an activation, not a function of formulas: write {name}{or_so}"
        return f"'{name}' is called {known} here"
    if with_options:
        near = suggestion(name, _activations(), otherwise="see: actbench list activations")
        return f"unknown activation '{name}' — {near}"
    return (
        f"unknown function '{name}' — {suggestion(name, FUNCTIONS, otherwise='choose from: ' + ', '.join(FUNCTIONS))}"
    )


def _activation(name: str) -> str | None:
    """Return the activation that a name stands for, as torch's ``ReLU`` does for ``relu``; None where there is none."""
    known = synonyms.canonical("activations", name, _activations())
    return known if known in _activations() else None


def _activations() -> tuple[str, ...]:
    return tuple(name for name in registry.names("activations") if name != "expression")


def _sides(condition: ast.expr) -> tuple[ast.expr, ast.expr]:
    """Return the two sides of the comparison that ``where`` needs."""
    match condition:
        case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in COMPARISONS:
            return left, right
    raise ValueError(f"the first argument of where is one comparison such as x > 0, not '{ast.unparse(condition)}'")


def _compiled(node: ast.expr) -> Term:
    """Turn a checked tree into closures."""
    match node:
        case ast.Name(id=name):
            return (lambda x: CONSTANTS[name]) if name in CONSTANTS else (lambda x: x)
        case ast.Constant(value=int() | float() as value):
            return lambda x: float(value)
        case ast.UnaryOp(op=ast.USub(), operand=inner):
            term = _compiled(inner)
            return lambda x: -term(x)
        case ast.UnaryOp(operand=inner):
            return _compiled(inner)
        case ast.BinOp(left=left, op=op, right=right):
            return _combined(ARITHMETIC[type(op)], _compiled(left), _compiled(right))
        case ast.Call(func=ast.Name(id=name), args=arguments):
            return _called(registry.import_object(FUNCTIONS[name][1]), [_compiled(argument) for argument in arguments])
        case ast.Compare(left=left, ops=[comparison], comparators=[right]):
            return _combined(COMPARISONS[type(comparison)], _compiled(left), _compiled(right))
    raise AssertionError(f"_check let {ast.dump(node)} through")


def _combined(operation: Callable[[Any, Any], Any], left: Term, right: Term) -> Term:
    """Combine two terms; two numbers as tensors, so that 1 / 0 is infinite and (-8) ** 0.5 not complex."""

    def apply(x: Tensor) -> Any:
        first, second = left(x), right(x)
        both_are_numbers = isinstance(first, float) and isinstance(second, float)
        return operation(_as_tensor(first, x) if both_are_numbers else first, second)

    return apply


def _called(function: Callable[..., Tensor], arguments: list[Term]) -> Term:
    return lambda x: function(*(_as_tensor(argument(x), x) for argument in arguments))


def _as_tensor(value: Any, x: Tensor) -> Any:
    return x.new_full((), value) if isinstance(value, float) else value
