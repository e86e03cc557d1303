"""The first two entries of a ``result.json``, for commands that scan thousands of results."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from actbench.system.files import parse_json, read_file

_WHOLE = re.compile(rb'\{\s*"schema": (\d{1,9}),\s*"outcome": "([a-z]+)",\n(?s:.*)\n\}\s*')
"""As actbench writes it: these two come first, and only the last brace begins a line."""


def schema_and_outcome(path: Path) -> tuple[Any, Any]:
    """Return the schema version and the outcome that a result holds, not checked yet.

    A file as actbench writes it is not parsed, which would take six times as long as reading it; any other one is.

    Raises:
        OSError: When there is no such file, or it can't be read.
        ValueError: When it does not hold a whole JSON mapping.
    """
    content = read_file(path)
    found = _WHOLE.fullmatch(content)
    if found:
        return int(found[1]), found[2].decode("ascii")
    whole = parse_json(content)
    if not isinstance(whole, dict):
        raise ValueError(f"{path.name} holds no mapping")
    return whole.get("schema"), whole.get("outcome")
