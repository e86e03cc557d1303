"""The texts of a class's options, read from its docstring: one place says what a key means."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from functools import cache

from pydantic import BaseModel

_SECTION = re.compile(r"^Attributes:\n((?:(?: {4}.*)?\n)+)", re.MULTILINE)
_ENTRY = re.compile(r"^ {4}(\w+): ((?:.|\n {8})+)", re.MULTILINE)


@cache
def attribute_texts(options: type[BaseModel]) -> Mapping[str, str]:
    """Return field -> its text, as a reader of a config has it; fields without one are left out.

    ``None`` becomes ``null``, as YAML spells it, and double backticks become single ones.

    >>> from actbench.schema.spec import Training
    >>> attribute_texts(Training)["epochs"]
    'Passes over the training examples; 0 only measures the network at initialisation.'
    """
    found: dict[str, str] = {}
    for one in reversed(options.__mro__):  # a class may repeat a field of its base in words of its own
        section = _SECTION.search(f"{inspect.cleandoc(one.__doc__ or '')}\n")
        for name, text in _ENTRY.findall(section[1] if section else ""):
            found[name] = re.sub(r"\bNone\b", "null", " ".join(text.split()).replace("``", "`"))
    return {name: found[name] for name in options.model_fields if name in found}
