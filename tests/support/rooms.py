"""The rooms of the package and what each may import, as in ``docs/architecture.md``."""

from __future__ import annotations

ALLOWED: dict[str, set[str]] = {
    "errors": set(),
    "_version": set(),
    "schema": {"errors", "_version"},
    "system": {"errors", "_version"},
    "completion": {"errors", "_version", "schema", "system"},
    "config": {"errors", "_version", "schema", "system"},
    "nn": {"errors", "_version", "schema", "system"},
    "datasets": {"errors", "_version", "schema", "system"},
    "health": {"errors", "_version", "schema", "system", "nn", "datasets"},
    "storage": {"errors", "_version", "schema", "system", "config"},
    "training": {"errors", "_version", "schema", "system", "nn", "datasets", "health"},
    "analysis": {"errors", "_version", "schema", "system", "config", "storage"},
    "execution": {"errors", "_version", "schema", "system", "config", "storage"},
}
"""A room -> the rooms that it may import from, besides its own. ``diagnostics``, ``cli`` and the package's own files
may import from all that stand here."""

TOP = {"diagnostics", "cli", "__init__", "__main__"}
