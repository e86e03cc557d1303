"""Functions of a notebook or a script, which no path leads to: known by what they compute, carried to workers as bytes.

A function gets the path ``actbench.system.session:NAME_DIGITS``. The digits are those of a sha256 over its source and
over everything that it takes from around itself: defaults, variables, other functions. So the same function has the
same path in another session, and one that computes something else has another, which makes it another run. Files hold
the path alone: who reads results runs no code of theirs.
"""

from __future__ import annotations

import ast
import builtins
import dis
import functools
import hashlib
import json
import linecache
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import CodeType, FunctionType, ModuleType
from typing import Any

from actbench.errors import UsageError

_NAME = re.compile(r"(\w+)_[0-9a-f]{16}\Z")

_packed: dict[str, bytes] = {}
"""Name -> the function as cloudpickle has it."""


def path_of(function: Callable[..., Any]) -> str:
    """Return a path by which this session and its workers find a function; that of its module where it has one.

    Raises:
        UsageError: When it can't be recognised in another session, or can't be carried to a worker.

    >>> path_of(json.dumps)
    'json:dumps'
    """
    if own := _importable(function):
        return own
    import cloudpickle

    described = json.dumps(_described(function, "an object", []), sort_keys=True)
    name = f"{name_of(function)}_{hashlib.sha256(described.encode()).hexdigest()[:16]}"
    try:
        _packed[name] = cloudpickle.dumps(function)
    except Exception as error:  # whatever the objects in it raise
        raise UsageError(f"can't be carried to a worker: {error}") from error
    return f"{__name__}:{name}"


def name_of(function: Callable[..., Any]) -> str:
    """Return the name of a function, ``function`` for one without."""
    inner = function.func if isinstance(function, functools.partial) else function
    return re.sub(r"\W", "", getattr(inner, "__name__", "")) or "function"


def packed(paths: Iterable[str | None]) -> dict[str, bytes]:
    """Return the functions of this session among some paths, for ``restore`` in a worker."""
    names = (path.removeprefix(f"{__name__}:") for path in paths if path is not None and path.startswith(__name__))
    return {name: _packed[name] for name in names if name in _packed}


def restore(functions: Mapping[str, bytes]) -> None:
    """Take over the functions of another process."""
    _packed.update(functions)


def __getattr__(name: str) -> Any:
    """Return a function of this session: a copy of what it was when it was handed over, as in every worker."""
    if (found := _NAME.match(name)) is None:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    if name not in _packed:
        raise UsageError(
            f"'{found[1]}' is a function of a Python session, which no file holds: run the study from Python, with the "
            "same function"
        )
    import pickle

    function = pickle.loads(_packed[name])  # of this session, or of the process that started this worker
    globals()[name] = function
    return function


def _importable(function: Any) -> str | None:
    """Return the path at which every process finds an object; None for one of ``__main__``, or inside another."""
    name, qualified = getattr(function, "__name__", None), getattr(function, "__qualname__", None)
    # torch's built-in functions do not say where they are found.
    for home, way in (
        (getattr(function, "__module__", None), qualified),
        ("torch", name),
        ("torch.nn.functional", name),
    ):
        found: Any = sys.modules.get(home or "")
        if home == "__main__" or not way or getattr(found, "__spec__", None) is None:
            continue
        for part in str(way).split("."):
            found = getattr(found, part, None)
        if found is function:
            return f"{home}:{way}"
    return None


def _described(value: Any, what: str, seen: list[Any]) -> Any:
    """Return what a value is, as plain data that is the same in every session.

    Args:
        value: A function, or something that it uses.
        what: Its name, for messages.
        seen: The functions that are being described, for those that call each other.

    Raises:
        UsageError: For a value that only this session knows.
    """
    if value is None or isinstance(value, (bool, int, float, complex, str, bytes)):
        return [type(value).__name__, repr(value)]
    if isinstance(value, (list, tuple)):
        return [type(value).__name__, [_described(one, what, seen) for one in value]]
    if isinstance(value, dict):
        pairs = [[_described(key, what, seen), _described(one, what, seen)] for key, one in value.items()]
        return ["dict", pairs]
    if isinstance(value, ModuleType):
        return ["module", value.__name__]
    if isinstance(value, functools.partial):
        parts = [value.func, value.args, value.keywords]
        return ["partial", [_described(one, what, seen) for one in parts]]
    if path := _importable(value):
        return ["object", path]
    if isinstance(value, FunctionType):
        if any(value is one for one in seen):
            return ["again", value.__name__]
        seen = [*seen, value]
        used = {name: _described(one, f"'{name}'", seen) for name, one in sorted(_surroundings(value).items())}
        return ["function", _source(value), used]
    if type(value).__module__.partition(".")[0] in ("torch", "numpy"):
        if hasattr(value, "detach"):
            value = value.detach().cpu().numpy()
        if hasattr(value, "tobytes"):
            return ["array", str(value.dtype), list(value.shape), hashlib.sha256(value.tobytes()).hexdigest()]
        return [type(value).__name__, repr(value)]  # torch.float32, a device
    raise UsageError(
        f"uses {what}, of type {type(value).__name__}, by which no other session could recognise it: a function may "
        "use numbers, texts, arrays, modules and functions; put anything else into a module, and give its path"
    )


def _surroundings(function: FunctionType) -> dict[str, Any]:
    """Return what a function takes from around itself: defaults, variables of functions around it, global ones."""
    found = {f"default {place}": one for place, one in enumerate(function.__defaults__ or ())}
    found |= function.__kwdefaults__ or {}
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            found[name] = cell.cell_contents
        except ValueError:  # not set yet: calling it would fail
            continue
    for name in _global_names(function.__code__):
        if name in function.__globals__:
            found[name] = function.__globals__[name]
        elif not hasattr(builtins, name):
            raise UsageError(f"uses '{name}', which is not defined")
    return found


def _global_names(code: CodeType) -> Iterator[str]:
    for instruction in dis.get_instructions(code):
        if instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            yield str(instruction.argval)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _global_names(constant)


def _source(function: FunctionType) -> str:
    """Return the text of one function, and of no other that stands in the same line, from its first column on."""
    code = function.__code__
    lines = linecache.getlines(code.co_filename, function.__globals__)
    try:
        tree = ast.parse("".join(lines)) if lines else None
    except SyntaxError:  # the file was changed since
        tree = None
    written = [
        (line, column)
        for line, end, column, last in code.co_positions()
        if line and column is not None and (line, column) != (end, last)  # a function's beginning has no text
    ]
    for node in sorted(_functions(tree), key=_size) if tree else []:
        first = min([node.lineno, *(one.lineno for one in getattr(node, "decorator_list", []))])
        is_named = getattr(node, "name", "<lambda>") == code.co_name
        if is_named and first == code.co_firstlineno and all(_holds(node, place) for place in written):
            return "\n".join(line.strip() for line in (ast.get_source_segment("".join(lines), node) or "").split("\n"))
    raise UsageError("has no source that can be had: define it in a file or in a cell of a notebook")


def _functions(tree: ast.AST) -> list[ast.FunctionDef | ast.Lambda]:
    return [node for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.Lambda))]


def _size(node: ast.FunctionDef | ast.Lambda) -> tuple[int, int]:
    assert node.end_lineno is not None
    assert node.end_col_offset is not None
    return node.end_lineno - node.lineno, node.end_col_offset - node.col_offset


def _holds(node: ast.FunctionDef | ast.Lambda, place: tuple[int, int]) -> bool:
    first = min([node.lineno, *(one.lineno for one in getattr(node, "decorator_list", []))])
    end = (node.end_lineno or node.lineno, node.end_col_offset or 0)
    start = (first, 0) if isinstance(node, ast.FunctionDef) else (node.lineno, node.col_offset)
    return start <= place <= end
