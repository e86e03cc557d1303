"""A study's content cut to what runs in seconds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from actbench.config.keys import as_mapping, path_of, put

LIMITS = {"training.epochs": 1, "dataset.max_examples": 512, "health.probe_size": 512}
SEEDS = 2


def smoke_content(content: Mapping[str, Any], *, name: str, seeds: tuple[int, ...]) -> dict[str, Any]:
    """The same study with one epoch, two seeds and few examples, wherever the config or its sweep sets them.

    Args:
        content: A study's checked content.
        name: The study's name; the result's ends in ``-smoke``.
        seeds: The study's seeds, of which the first two stay.
    """
    changed = dict(content)
    for key, limit in LIMITS.items():
        changed = _limited_inside(changed, path_of(key), limit)
    if "sweep" in changed:
        changed["sweep"] = {
            key: _distinct(_limited(key, v) for v in values) for key, values in changed["sweep"].items()
        }
    if "baseline" in changed.get("compare", {}):
        baseline = {key: _limited(key, value) for key, value in changed["compare"]["baseline"].items()}
        changed["compare"] = {**changed["compare"], "baseline": baseline}
    return {**changed, "study": f"{name[:94]}-smoke", "seeds": list(seeds[:SEEDS])}


def _limited(key: str, value: Any) -> Any:
    """The value of a factor within the limits: a limited number itself, or the component that holds it."""
    if key in LIMITS:
        return _least(value, LIMITS[key])
    for name, limit in LIMITS.items():
        if name.startswith(f"{key}."):
            value = _limited_inside(as_mapping(value), path_of(name.removeprefix(f"{key}.")), limit, path_of(key))
    return value


def _limited_inside(
    content: Mapping[str, Any], path: tuple[str, ...], limit: int, above: tuple[str, ...] = ()
) -> dict[str, Any]:
    return put(content, path, _least(_at(content, path), limit), above)


def _at(content: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        content = content.get(name) if isinstance(content, Mapping) else None
    return content


def _least(value: Any, limit: int) -> int:
    """None means all there are."""
    return limit if value is None else min(int(value), limit)


def _distinct(values: Any) -> list[Any]:
    kept: list[Any] = []
    for value in values:
        if value not in kept:
            kept.append(value)
    return kept
