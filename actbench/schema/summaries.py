"""A line about each name of a kind, without importing what is heavy."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

from actbench.schema import registry


@cache
def summaries(kind: str) -> Mapping[str, str]:
    """Return name -> a line about it; the files of a folder are parsed, not imported.

    >>> summaries("schedules")["constant"]
    'The same learning rate at every step, after the warm-up if there is one.'
    """
    if kind in registry.FOLDERS:
        return {name: _of_file(kind, name) for name in registry.names(kind)}
    return {name: _of_row(registry.load(kind, name)) for name in registry.names(kind)}


def _of_file(kind: str, name: str) -> str:
    file = resources.files(registry.FOLDERS[kind]).joinpath(f"{name.replace('-', '_')}.py")
    text = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    return text.partition("\n\n")[0].replace("\n", " ").replace("``", "")


def _of_row(row: Any) -> str:
    """Return a row's own summary, else the first line of its class's docstring."""
    own = getattr(row, "summary", None) or getattr(row, "text", None)
    return str(own or row.__doc__ or "").partition("\n")[0].replace("``", "")
