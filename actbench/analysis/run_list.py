"""One line a run, whatever became of it: what varies in its study, its state, how far it came, its metrics."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import repeat
from pathlib import Path
from typing import Any, NamedTuple

from actbench.analysis.leading_metric import default_metric
from actbench.analysis.table.factors import (
    CONTEXT,
    FlatSpec,
    Value,
    check_keys,
    distinct_cells,
    distinct_settings,
    flat_specs,
    is_among,
    matching_value,
    named_keys,
    older_keys,
    varying,
)
from actbench.schema.metrics import METRICS
from actbench.schema.record import RunOutline, RunRecord
from actbench.schema.spec import CASE, RunSpec
from actbench.storage.reading import UNFINISHED, Reading
from actbench.storage.run_folders import study_of
from actbench.storage.status import Running, Stale, look_at, progress, resumable
from actbench.storage.study_settings import with_case
from actbench.system.collection import collection_paused
from actbench.system.files import read_json

MAIN_METRICS = ("health.dead_fraction", "seconds")
"""Metrics that each line shows besides those of the study's config."""

OWN_KEYS = ("study", "run", "state", "epoch", "seed")
"""Columns of the list by which runs can be chosen and sorted, besides all metrics and settings."""


class ListedRun(NamedTuple):
    """One run.

    Args:
        study: Its study.
        run: Its id.
        spec: Its settings; the seed in them may be another.
        seed: Its seed.
        state: Its outcome; without one ``running``, ``paused`` (it goes on from a checkpoint) or ``stale``.
        epoch: The last epoch that had ended; None before the first.
        settings: The spec by dotted key, as tables show it.
        final: Its metrics.
        message: Why the state is not ``ok``, in words.
    """

    study: str
    run: str
    spec: RunSpec
    seed: int
    state: str
    epoch: int | None
    settings: FlatSpec
    final: Mapping[str, float | None]
    message: str = ""

    def value(self, key: str) -> Value:
        """Return one of ``OWN_KEYS``, a metric, or a setting; None where the run has none."""
        if key in OWN_KEYS:
            found: Value = getattr(self, key)
            return found
        return self.final.get(key) if key in METRICS else self.settings.get(key)


@dataclass(frozen=True)
class RunList:
    """Runs of one or more studies.

    Args:
        runs: The runs, by study, seed and id unless they were sorted otherwise.
        swept: Study -> the keys in which its runs differ.
        metrics: Study -> the metrics that its lines show.
        warnings: What could not be read, one sentence each.
    """

    runs: tuple[ListedRun, ...]
    swept: Mapping[str, tuple[str, ...]]
    metrics: Mapping[str, tuple[str, ...]]
    warnings: tuple[str, ...] = ()

    def studies(self) -> tuple[str, ...]:
        """Return the studies of the runs that are left, in their order."""
        return tuple(dict.fromkeys(run.study for run in self.runs))

    def where(self, chosen: Mapping[str, Any]) -> RunList:
        """Return the runs with these values, each as ``ListedRun.value`` has it.

        Raises:
            UsageError: For a key or a value that no run has.
        """
        self._check(chosen)
        kept = self.runs
        for key, given in chosen.items():
            value = matching_value(key, given, [run.value(key) for run in kept])
            kept = tuple(run for run in kept if run.value(key) == value)
        return replace(self, runs=kept)

    def sort(self, key: str) -> RunList:
        """Return the runs in the order of a value, largest first for ``-key``; those without one come last.

        Raises:
            UnknownNameError: For a key that no run has.
        """
        name, largest_first = key.removeprefix("-"), key.startswith("-")
        self._check([name])

        def order(run: ListedRun) -> tuple[Any, ...]:
            """Put numbers before words and None last, which a reversed sort needs first."""
            value = run.value(name)
            return (value is None) != largest_first, isinstance(value, str), 0 if value is None else value

        return replace(self, runs=tuple(sorted(self.runs, key=order, reverse=largest_first)))

    def _check(self, keys: Iterable[str]) -> None:
        columns: FlatSpec = dict.fromkeys((*METRICS, *OWN_KEYS))
        check_keys("key", keys, [*distinct_cells(run.settings for run in self.runs), columns])

    def to_dict(self) -> dict[str, Any]:
        """Return the content of the JSON."""
        return {
            "schema": 1,
            "runs": [
                {
                    "study": run.study,
                    "run": run.run,
                    "factors": {key: run.settings.get(key) for key in self.swept[run.study]},
                    "seed": run.seed,
                    "state": run.state,
                    "epoch": run.epoch,
                    "epochs": run.spec.training.epochs,
                    "metrics": {name: run.final[name] for name in METRICS if name in run.final},
                    "message": run.message,
                }
                for run in self.runs
            ],
            "warnings": list(self.warnings),
        }


@collection_paused()
def list_runs(found: Reading[RunOutline] | Reading[RunRecord]) -> RunList:
    """List runs that were read with ``read_outlines`` or ``read_results``, those without an end included.

    Args:
        found: The finished and failed runs, and the folders of the others.
    """
    warnings = [text for text in found.warnings if UNFINISHED not in text]
    ended: dict[str, list[RunOutline | RunRecord]] = {}
    for one in found.runs:
        ended.setdefault(one.study, []).append(one)
    unfinished: dict[str, list[ListedRun]] = {}
    for run in _unfinished(found, warnings):
        unfinished.setdefault(run.study, []).append(run)
    listed: list[ListedRun] = []
    swept: dict[str, tuple[str, ...]] = {}
    metrics: dict[str, tuple[str, ...]] = {}
    for study in sorted(ended.keys() | unfinished.keys()):
        own, others = ended.get(study, []), unfinished.get(study, [])
        specs = [*(one.spec for one in own), *(run.spec for run in others)]
        shared = {id(spec): spec for spec in specs}  # of outlines, one for all seeds of a cell
        of_shared = dict(zip(shared, flat_specs(list(shared.values())), strict=True))
        cells = [of_shared[id(spec)] for spec in specs]
        swept[study] = _swept(list(shared.values()), list(of_shared.values()))
        metrics[study] = _metrics(found.settings.get(study, {}), [one.final for one in own])
        runs = list(map(_ended, own, cells, repeat(found.folders.get(study))))
        runs += [run._replace(settings=cell) for run, cell in zip(others, cells[len(own) :], strict=True)]
        if others:  # the runs that have ended are in this order
            runs.sort(key=lambda run: (run.seed, run.run))
        listed += runs
    return RunList(tuple(listed), swept, metrics, tuple(warnings))


def _ended(run: RunOutline | RunRecord, settings: FlatSpec, folder: Path | None) -> ListedRun:
    """Return the line of a run that has ended.

    Args:
        run: The run.
        settings: Its settings by dotted key.
        folder: Its study's folder, where that is known.
    """
    if run.outcome in ("failed", "diverged"):  # which may have ended before the last epoch
        epoch = None if folder is None else progress(folder / "runs" / run.run_id)[0]
    else:
        epoch = run.epochs_trained
    return ListedRun(run.study, run.run_id, run.spec, run.seed, run.outcome, epoch, settings, run.final, run.message)


def _unfinished(reading: Reading[RunOutline] | Reading[RunRecord], warnings: list[str]) -> list[ListedRun]:
    """Return the runs that have neither finished nor failed; a warning names each that can't be read."""
    found: dict[Path, ListedRun] = {}
    stale: dict[Path, list[Path]] = {}
    for folder in reading.unfinished:
        study = study_of(folder)
        try:
            spec, state = RunSpec.model_validate(read_json(folder / "spec.json")), look_at(folder)
            epoch, _ = progress(folder)
        except (OSError, ValueError) as error:
            warnings.append(f"{study}/runs/{folder.name}: left out, its settings can't be read: {error}")
            continue
        spec = with_case(spec, reading.settings.get(study, {}))
        run = ListedRun(study, folder.name, spec, spec.seed, "stale", epoch, {}, {})
        if isinstance(state, Running):
            who = f"pid {state.pid} on {state.host}" if state.pid else "a process that has only just begun"
            run = run._replace(state="running", message=f"{who} computes it")
        elif isinstance(state, Stale):
            run = run._replace(message=state.why)
            stale.setdefault(folder.parents[1], []).append(folder)
        found[folder] = run
    for of_study, runs in stale.items():
        for name, epoch in resumable(of_study, (run.name for run in runs)).items():
            folder = of_study / "runs" / name
            found[folder] = found[folder]._replace(state="paused", epoch=epoch, message="it goes on from a checkpoint")
    return list(found.values())


def _swept(specs: Sequence[RunSpec], cells: Sequence[FlatSpec]) -> tuple[str, ...]:
    """Return the keys in which runs differ: dataset and model, as a whole or by option, then those of tables."""
    specs, cells = distinct_settings(specs), distinct_cells(cells)
    found = [CASE] if len({cell.get(CASE) for cell in cells}) > 1 else []
    named = (*named_keys(specs), *older_keys(specs))
    for key in CONTEXT:
        parts = dict.fromkeys(name for cell in cells for name in cell if name.startswith(f"{key}."))
        one_name = len({getattr(spec, key).name for spec in specs}) == 1
        tried = [name for name in parts if not name.endswith(".path")] if one_name else [key]
        tried = [name for name in tried if not is_among(name, named)]
        found += [name for name in tried if len({cell.get(name) for cell in cells}) > 1]
    others = (key for key in varying(specs, cells) if key not in found)
    return (*found, *(key for key in others if len({cell.get(key) for cell in cells}) > 1))


def _metrics(settings: Mapping[str, Any], finals: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    given = settings.get("metric") or default_metric(finals)
    names = [given] if isinstance(given, str) else list(given)
    return tuple(dict.fromkeys((*names, *MAIN_METRICS)))
