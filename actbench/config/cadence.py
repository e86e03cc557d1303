"""``training.checkpoint_every``: the one key of ``training`` that changes no result, and so is in no run."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from actbench.errors import ConfigError, Problem
from actbench.schema.components import shown
from actbench.schema.runtime import Cadence, Runtime

SECTION, KEY = "training", "checkpoint_every"
DOTTED = f"{SECTION}.{KEY}"

DEFAULT = "10 min"
"""That of ``Runtime``, as a config would write it."""

MEANING = (
    "How often a training that goes on is saved: a number of epochs, or a time such as `10 min`; null: only when it is "
    "stopped. It changes no number."
)

NOT_SWEPT = f"'{KEY}' holds for the whole study and changes no run: write it under '{SECTION}', not in the sweep"

SECONDS = {"s": 1, "min": 60, "h": 3600}
_TIME = re.compile(r"(?P<number>[0-9]+(?:\.[0-9]+)?) ?(?P<unit>[a-z]+)")
_FORM = f"'{KEY}' should be a number of epochs, a time such as '10 min' or '30 s', or null for only when stopped"


def take_out(content: Mapping[str, Any]) -> tuple[dict[str, Any], Cadence, list[Problem]]:
    """Return a study's content without the key, the cadence that the key sets, and the problem with the value."""
    section = content.get(SECTION)
    if not isinstance(section, Mapping) or KEY not in section:
        return dict(content), Runtime().checkpoint_every, []
    rest = {**content, SECTION: {key: value for key, value in section.items() if key != KEY}}
    try:
        return rest, _parse(section[KEY]), []
    except ConfigError as error:
        return rest, Cadence(), [problem.below((SECTION, KEY)) for problem in error.problems]


def _parse(value: Any) -> Cadence:
    if value is None:
        return Cadence()
    if isinstance(value, int) and not isinstance(value, bool) and value >= 1:
        return Cadence(epochs=value)
    found = _TIME.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise ConfigError(f"{_FORM}, not {shown(value)}")
    if found["unit"] not in SECONDS:
        units = ", ".join(SECONDS)
        raise ConfigError(f"unknown unit '{found['unit']}' in {shown(value)} — choose from: {units}")
    seconds = float(found["number"]) * SECONDS[found["unit"]]
    if seconds <= 0:
        raise ConfigError(f"{_FORM}, not {shown(value)}")
    return Cadence(seconds=seconds)
