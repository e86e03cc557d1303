"""``training.keep_weights``: which networks are stored beside the results. It changes no result, so it is in no run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from actbench.errors import Problem, suggestion
from actbench.schema.components import shown
from actbench.schema.runtime import KeepWeights

SECTION, KEY = "training", "keep_weights"
DOTTED = f"{SECTION}.{KEY}"

MEANING = (
    "Which networks of each run are stored: last (after the last epoch), best (after the best one by training.monitor, "
    "the first of equally good epochs) or all (after each epoch); null: none. It changes no number. `load_network` "
    "gives them back."
)

NOT_SWEPT = f"'{KEY}' holds for the whole study and changes no run: write it under '{SECTION}', not in the sweep"

CHOICES: tuple[KeepWeights, ...] = get_args(KeepWeights)


def take_out(content: Mapping[str, Any]) -> tuple[dict[str, Any], KeepWeights | None, list[Problem]]:
    """Return a study's content without the key, which weights it keeps, and the problem with the value."""
    section = content.get(SECTION)
    if not isinstance(section, Mapping) or KEY not in section:
        return dict(content), None, []
    rest = {**content, SECTION: {key: value for key, value in section.items() if key != KEY}}
    value = section[KEY]
    if value is None:
        return rest, None, []
    if found := next((choice for choice in CHOICES if choice == value), None):
        return rest, found, []
    hint = suggestion(str(value), CHOICES, otherwise="leave it out to keep none")
    text = f"'{KEY}' should be {', '.join(CHOICES)} or null, not {shown(value)} — {hint}"
    return rest, None, [Problem(text, (SECTION, KEY))]
