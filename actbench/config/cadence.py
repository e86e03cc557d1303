"""``training.checkpoint_every``: the key below ``training`` that says how runs are computed, and so is in no run."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from actbench.config.problems import Fault
from actbench.schema.components import shown
from actbench.schema.runtime import Cadence, Runtime

SECTION, KEY = "training", "checkpoint_every"
DOTTED = f"{SECTION}.{KEY}"

NOT_SWEPT = f"'{KEY}' holds for the whole study and changes no run: write it under '{SECTION}', not in the sweep"

_SECONDS = {"s": 1, "min": 60, "h": 3600}
_TIME = re.compile(r"(?P<number>[0-9]+(?:\.[0-9]+)?) ?(?P<unit>[a-z]+)")
_FORM = f"'{KEY}' should be a number of epochs, a time such as '10 min' or '30 s', or null for only when stopped"


def taken_out(content: Mapping[str, Any]) -> tuple[dict[str, Any], Cadence, list[Fault]]:
    """A study's content without the key, what the key says, and what is wrong with that."""
    section = content.get(SECTION)
    if not isinstance(section, Mapping) or KEY not in section:
        return dict(content), Runtime().checkpoint_every, []
    rest = {**content, SECTION: {key: value for key, value in section.items() if key != KEY}}
    cadence = _read(section[KEY])
    if isinstance(cadence, str):
        return rest, Cadence(), [Fault((SECTION, KEY), cadence)]
    return rest, cadence, []


def _read(value: Any) -> Cadence | str:
    """What it says, or what is wrong with it."""
    if value is None:
        return Cadence()
    if isinstance(value, int) and not isinstance(value, bool) and value >= 1:
        return Cadence(epochs=value)
    found = _TIME.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        return f"{_FORM}, not {shown(value)}"
    if found["unit"] not in _SECONDS:
        return f"unknown unit '{found['unit']}' in {shown(value)} — choose from: {', '.join(_SECONDS)}"
    seconds = float(found["number"]) * _SECONDS[found["unit"]]
    return Cadence(seconds=seconds) if seconds > 0 else f"{_FORM}, not {shown(value)}"
