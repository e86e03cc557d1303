"""``--smoke``: a study's content cut to a size that runs in seconds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from actbench.config import cases
from actbench.config.excluding import fitted
from actbench.config.keys import as_mapping, path_of, put
from actbench.schema.spec import CASE, RunSettings

LIMITS = {"training.epochs": 1, "dataset.max_examples": 512, "health.probe_size": 512}
SEEDS = 2


def smoke_content(content: Mapping[str, Any], *, name: str, seeds: tuple[int, ...]) -> dict[str, Any]:
    """Cut a study to one epoch, two seeds and few examples, wherever the config, its sweep or its baseline set them.

    Args:
        content: A study's checked content.
        name: The study's name; the result's ends in ``-smoke``.
        seeds: The study's seeds, of which the first two stay.
    """
    changed = dict(content)
    for key, limit in LIMITS.items():
        changed = _limited_inside(changed, path_of(key), limit)
    if "sweep" in changed:
        sweep: dict[str, list[Any]] = {}
        for key, values in changed["sweep"].items():
            sweep[key] = []
            for value in (_limited_factor(key, value) for value in values):
                if value not in sweep[key]:  # epochs 5 and 10 are now both 1
                    sweep[key].append(value)
        changed["sweep"] = sweep
    if "zip" in changed:
        keys, lists = tuple(changed["zip"]), changed["zip"].values()
        rows = [tuple(map(_limited_factor, keys, row)) for row in zip(*lists, strict=True)]
        distinct = [row for index, row in enumerate(rows) if row not in rows[:index]]
        changed["zip"] = {key: [row[place] for row in distinct] for place, key in enumerate(keys)}
    if cases.KEY in changed:
        changed[cases.KEY] = _limited_cases(changed)
        if CASE in changed:
            changed[CASE] = [name for name in cases.chosen(content) if name in changed[cases.KEY]]
    if "exclude" in changed:
        changed["exclude"] = [
            {key: _limited_factor(key, value) for key, value in entry.items()} for entry in changed["exclude"]
        ]
    if "baseline" in changed.get("compare", {}):
        baseline = {key: _limited_factor(key, value) for key, value in changed["compare"]["baseline"].items()}
        changed["compare"] = {**changed["compare"], "baseline": baseline}
    changed = fitted(changed)  # an entry may be about a value that is cut now
    return {**changed, "study": f"{name[:94]}-smoke", "seeds": list(seeds[:SEEDS])}


def _limited_cases(content: Mapping[str, Any]) -> dict[str, Any]:
    """Limit the values that cases set, without a case that is now the same as an earlier one."""
    run = {key: value for key, value in content.items() if key in RunSettings.model_fields}
    found: dict[str, Any] = {}
    seen: list[dict[str, Any]] = []
    for name, settings in cases.readable(content).items():
        limited = {key: _limited_factor(key, value) for key, value in settings.items()}
        made = cases.put_case(run, limited)
        if made not in seen:
            seen.append(made)
            found[name] = limited
    return found


def _limited_factor(key: str, value: Any) -> Any:
    """Limit a factor's value: the number itself, or one inside the component or section that the key stands for."""
    for name, limit in LIMITS.items():
        if name == key:
            value = _at_most(limit, value)
        elif name.startswith(f"{key}."):
            value = _limited_inside(as_mapping(value), path_of(name.removeprefix(f"{key}.")), limit, path_of(key))
    return value


def _limited_inside(
    content: Mapping[str, Any], path: tuple[str, ...], limit: int, above: tuple[str, ...] = ()
) -> dict[str, Any]:
    value: Any = content
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return put(content, path, _at_most(limit, value), above)


def _at_most(limit: int, value: Any) -> int:
    return limit if value is None else min(int(value), limit)  # None means all there are
