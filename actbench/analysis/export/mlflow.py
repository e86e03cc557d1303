"""MLflow: a database file with an experiment a study, which `mlflow ui` shows."""

from __future__ import annotations

import logging
import os
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from actbench.analysis.export._runs import Exported, ExportedRun
from actbench.analysis.table.factors import show
from actbench.errors import UsageError
from actbench.system.text import shell_command

FINGERPRINT, DIGEST = "actbench.fingerprint", "actbench.digest"
"""The tags by which an export finds the runs of an earlier one: what was exported, and which run it is."""

MAX_METRICS, MAX_PARAMETERS, MAX_TEXT = 1000, 100, 6000
"""What MLflow takes at once, and the letters of a parameter."""

_NOT_IN_NAMES = re.compile(r"[^\w./ -]")


class MLflow:
    """Writes with MLflow's client into a SQLite file; a run that is there with the same content is left as it is."""

    package = "mlflow"
    default = Path("mlflow.db")

    def export(self, runs: Sequence[ExportedRun], target: Path) -> Exported:
        """Write to the file ``TARGET``, which may hold other experiments."""
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # read when it is imported: nothing is sent
        target.parent.mkdir(parents=True, exist_ok=True)
        written = 0
        with _quiet():
            from mlflow import MlflowClient
            from mlflow.exceptions import MlflowException
            from sqlalchemy.exc import SQLAlchemyError

            address = f"sqlite:///{target.resolve()}"
            try:
                client = MlflowClient(tracking_uri=address)
                for study in dict.fromkeys(run.record.study for run in runs):
                    own = [run for run in runs if run.record.study == study]
                    written += _export_study(client, study, own)
            except (MlflowException, SQLAlchemyError) as error:
                reason = getattr(error, "orig", None) or error  # the database's own words, without the statement
                raise UsageError(f"MLflow can't write to {target}: {reason}") from error
        command = shell_command(["mlflow", "ui", "--backend-store-uri", f"sqlite:///{target}"])
        return Exported(written, len(runs) - written, [target], command)


def _export_study(client: Any, study: str, runs: Sequence[ExportedRun]) -> int:
    """Add the runs that an experiment does not have; return their number."""
    name = _name(study)
    found = client.get_experiment_by_name(name)
    experiment = client.create_experiment(name) if found is None else found.experiment_id
    there = _present(client, experiment)
    waiting = [run for run in runs if run.fingerprint not in there.get(run.record.spec.digest, {})]
    for run in waiting:
        for old in there.get(run.record.spec.digest, {}).values():
            client.delete_run(old)
        _export_run(client, experiment, run)
    return len(waiting)


def _present(client: Any, experiment: str) -> dict[str, dict[str, str]]:
    """Return digest -> fingerprint -> MLflow's id of the runs there; delete what an interrupted export has left."""
    there: dict[str, dict[str, str]] = {}
    token = None
    while True:
        page = client.search_runs([experiment], max_results=1000, page_token=token)
        for run in page:
            tags = run.data.tags
            if FINGERPRINT not in tags:
                continue  # another program's
            if run.info.status == "RUNNING":
                client.delete_run(run.info.run_id)
            else:
                there.setdefault(tags[DIGEST], {})[tags[FINGERPRINT]] = run.info.run_id
        token = page.token
        if not token:
            return there


def _export_run(client: Any, experiment: str, run: ExportedRun) -> None:
    from mlflow.entities import Metric, Param

    record = run.record
    times = [round(1000 * time) for time in run.times()] or [round(1000 * (run.ended or 0))]
    tags = {FINGERPRINT: run.fingerprint, DIGEST: record.spec.digest, "actbench.outcome": record.outcome}
    if record.message:
        tags["mlflow.note.content"] = record.message[:MAX_TEXT]
    made = client.create_run(experiment, start_time=times[0], tags=tags, run_name=record.run_id).info.run_id
    parameters = [Param(_name(key), show(value)[:MAX_TEXT]) for key, value in run.settings.items()]
    metrics = [
        Metric(_name(name), value, time, epoch)
        for (epoch, numbers), time in zip(run.epochs, times, strict=False)  # a run without epochs has a time
        for name, value in numbers.items()
    ]
    last = run.epochs[-1][1] if run.epochs else {}
    metrics += [
        Metric(_name(name), value, times[-1], run.last_epoch) for name, value in run.final.items() if name not in last
    ]
    for part in _parts(parameters, MAX_PARAMETERS):
        client.log_batch(made, params=part)
    for part in _parts(metrics, MAX_METRICS):
        client.log_batch(made, metrics=part)
    client.set_terminated(made, "FAILED" if record.outcome == "failed" else "FINISHED", end_time=times[-1])


def _parts(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    return (items[first : first + size] for first in range(0, len(items), size))


def _name(text: str) -> str:
    """Return a name with underscores for the characters that MLflow takes in no name."""
    return _NOT_IN_NAMES.sub("_", text)


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence what MLflow and its libraries report about themselves, which no user of the export can act on."""
    logger = logging.getLogger("mlflow.store.db.utils")
    level = logger.level
    logger.setLevel(logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        finally:
            logger.setLevel(level)


plugin = MLflow()
