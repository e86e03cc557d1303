"""How a run ended, as its health tells it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from actbench.schema.spec import Health


def is_collapsed(health: Mapping[str, Any], settings: Health) -> bool:
    """Whether more than ``collapse_at`` of the hidden units are inert, or every unit of one layer is.

    Args:
        health: One run's, as ``UnitHealth.of_run`` gives it.
        settings: Holds ``collapse_at``.
    """
    if not health["units"]:
        return False
    return bool(_silent_layers(health)) or bool(health["inert_fraction"] > settings.collapse_at)


def collapse_in_words(health: Mapping[str, Any]) -> str:
    """What has collapsed, for the run's record."""
    share = f"{health['inert_fraction']:.0%} of the hidden units are inert (dead or constant)"
    silent = _silent_layers(health)
    return f"{share}; every unit of {', '.join(silent)} is" if silent else share


def _silent_layers(health: Mapping[str, Any]) -> list[str]:
    return [layer["name"] for layer in health["layers"] if layer["inert"] == layer["units"]]
