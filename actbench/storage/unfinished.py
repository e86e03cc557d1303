"""Find the runs of a stored study that are planned or begun, and have not ended."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from actbench.config import Study
from actbench.errors import ConfigError, UsageError
from actbench.schema.spec import RunSpec
from actbench.storage.store import Store
from actbench.system.files import read_json


def unfinished_runs(folder: Path) -> tuple[RunSpec, ...]:
    """Return the runs without a result that can be read and without an error: those of the kept config, those begun.

    Args:
        folder: The study's folder.

    Raises:
        UsageError: When the config that is kept beside the runs can't be read, so that nobody knows what was planned.
        ResultsError: When the folder can't be read, or a newer actbench has written to it.
    """
    folder = folder.resolve()
    try:
        study = Study.from_yaml(folder / "study.yaml")
    except ConfigError as error:
        raise UsageError(f"what was planned for '{folder.name}' is not known: {error}") from error
    store = Store(folder.parent, folder.name, study.factors)
    planned = {store.run_id(spec): spec for spec in study.specs()}
    begun = {store.run_id(spec): spec for spec in _begun(folder, store.begun() - planned.keys())}
    return tuple(spec for spec in (planned | begun).values() if store.outcome(spec) is None)


def _begun(folder: Path, runs: frozenset[str]) -> Iterator[RunSpec]:
    """Yield the settings of runs that have a folder, as by other overrides of the config; foreign folders have none."""
    for run in sorted(runs):
        try:
            yield RunSpec.model_validate(read_json(folder / "runs" / run / "spec.json"))
        except (OSError, ValueError):
            continue
