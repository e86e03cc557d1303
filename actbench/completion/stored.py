"""What lies below results folders: studies, run ids, and the factors of studies with their values as written."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

CASE = "case"
"""The factor that the ``cases`` of a study make; its name is written here once more, to import nothing."""

MAX_BYTES = 200_000
"""Of a config beside runs that is read while a key is pressed; the longest one that is shipped has under 2,000."""

MAX_STUDIES = 20
"""Studies whose configs are read while a key is pressed."""


def studies(results: Path) -> list[str]:
    """Return the names of the studies in a results folder."""
    return sorted(name for name in _folders(results) if (results / name / "runs").is_dir())


def run_ids(results: Path) -> list[str]:
    """Return the ids of all runs in a results folder."""
    return sorted({run for study in studies(results) for run in _folders(results / study / "runs")})


def factor_values(paths: Iterable[Path]) -> Mapping[str, list[str]]:
    """Return factor -> its values, of the studies at or below some paths, by the configs beside their runs."""
    found: dict[str, list[str]] = {}
    for study in list(_studies(paths))[:MAX_STUDIES]:
        for key, values in _swept(study / "study.yaml"):
            own = found.setdefault(key, [])
            own += [value for value in values if value not in own]
    return found


def cases_of(config: Path) -> list[str]:
    """Return the names of a config's cases."""
    return next((values for key, values in _swept(config) if key == CASE), [])


def _studies(paths: Iterable[Path]) -> Iterator[Path]:
    for path in paths:
        if (path / "study.yaml").is_file():
            yield path
        elif (path.parent.parent / "study.yaml").is_file():  # a run
            yield path.parent.parent
        else:
            yield from (path / name for name in studies(path))


def _swept(config: Path) -> Iterator[tuple[str, list[str]]]:
    import yaml

    try:
        with config.open("rb") as file:
            # every scalar is the text that is written: 0.0 stays 0.0, and null is a word
            content = yaml.load(file.read(MAX_BYTES), yaml.BaseLoader)
    except (OSError, yaml.YAMLError, RecursionError):
        return
    if not isinstance(content, dict):
        return
    cases = content.get("cases")
    if isinstance(cases, dict) and cases:
        yield CASE, [name for name in cases if isinstance(name, str)]
    for section in ("sweep", "zip"):
        lists = content.get(section)
        for key, values in lists.items() if isinstance(lists, dict) else ():
            if isinstance(key, str) and isinstance(values, list):
                yield key, [text for value in values if (text := _label(value)) is not None]


def _label(value: Any) -> str | None:
    """Return a value as tables print it; None for one that is nested deeper."""
    match value:
        case str():
            return value
        case [*items] if all(isinstance(one, str) for one in items):
            return f"[{', '.join(items)}]"
        case {"name": str() as name, **options}:
            shown = {key: one for key, one in options.items() if key != "path"}
            if all(isinstance(one, str) for one in shown.values()):
                return f"{name}({','.join(f'{key}={one}' for key, one in shown.items())})" if shown else name
    return None


def _folders(path: Path) -> list[str]:
    try:
        with os.scandir(path) as entries:
            return [entry.name for entry in entries if not entry.name.startswith(".") and entry.is_dir()]
    except OSError:
        return []
