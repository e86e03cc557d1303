"""Name -> object: where each kind of component lives, and how one is found by its name.

A kind is either a folder (one file a component; adding the file registers it) or a table (one row a component).
The names of a folder's files are listed without importing them, so that ``list`` and a check of a config need no torch.

>>> load("metrics", "test.accuracy").unit
'fraction'
"""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from actbench.errors import UnknownNameError, UsageError
from actbench.schema import synonyms

PACKAGE = Path(__file__).parents[1]
FOLDERS = {
    "models": "actbench.nn.models",
    "datasets": "actbench.datasets",
    "engines": "actbench.execution.engines",
    "reports": "actbench.analysis.reports",
    "charts": "actbench.analysis.plots",
    "exporters": "actbench.analysis.export",
}
TABLES = {
    "activations": "actbench.nn.activations:ACTIVATIONS",
    "weight_inits": "actbench.nn.initializers:WEIGHT_INITS",
    "optimizers": "actbench.nn.optimizers:OPTIMIZERS",
    "schedules": "actbench.nn.schedules:SCHEDULES",
    "revivals": "actbench.nn.revivals:REVIVALS",
    "metrics": "actbench.schema.metrics:METRICS",
}


@cache
def names(kind: str) -> tuple[str, ...]:
    """Return the valid names of a kind: sorted for a folder, in the table's own order for a table.

    >>> "relu" in names("activations"), names("models")
    (True, ('cnn', 'mlp'))
    """
    if kind in TABLES:
        return tuple(_table(kind))
    folder = PACKAGE.parent.joinpath(*FOLDERS[kind].split("."))
    found = pkgutil.iter_modules([str(folder)])  # names of files alone: nothing is imported
    return tuple(sorted(_spelled(m.name) for m in found if not m.name.startswith("_")))


def load(kind: str, name: str) -> Any:
    """Return the object that a name stands for: a table's row, or a file's ``plugin``.

    Args:
        kind: A key of ``FOLDERS`` or ``TABLES``.
        name: As a config spells it, such as ``mnist-5k``.

    Raises:
        UnknownNameError: With the nearest valid name.
        UsageError: With the reason, for a name well known elsewhere that is not available.
    """
    if name not in names(kind):
        singular = kind.removesuffix("s").replace("_", " ")
        if text := synonyms.explanation(kind, name):
            raise UsageError(f"unknown {singular} '{name}' — {text}")
        raise UnknownNameError(singular, name, names(kind), synonyms.SYNONYMS.get(kind, ()))
    if kind in TABLES:
        return _table(kind)[name]
    return importlib.import_module(f"{FOLDERS[kind]}.{name.replace('-', '_')}").plugin


def import_object(path: str) -> Any:
    """Import the object at ``package.module:attribute``, the form in which users name their own code.

    Raises:
        UsageError: When the path has another form, the module can't be imported, or the attribute does not exist.
    """
    module, _, attribute = path.partition(":")
    if not module or not attribute:
        raise UsageError(f"'{path}' is not of the form package.module:attribute")
    try:
        found = importlib.import_module(module)
    except (Exception, SystemExit) as error:  # whatever a user's own module does when it is imported
        raise UsageError(f"can't import '{module}' (from '{path}'): {type(error).__name__}: {error}") from error
    for part in attribute.split("."):
        if not hasattr(found, part):
            raise UsageError(f"module '{module}' has no '{attribute}' (from '{path}')")
        found = getattr(found, part)
    return found


@cache
def _table(kind: str) -> Mapping[str, Any]:
    table: Mapping[str, Any] = import_object(TABLES[kind])
    return table


def _spelled(module: str) -> str:
    """Spell a file's name as configs do: a module can't be called mnist-5k, so there ``_5k`` stands for ``-5k``."""
    return re.sub(r"_(?=\d)", "-", module)
