"""Runs and comparisons as data frames: columns of one type each, then pandas or polars, whichever is installed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from actbench.analysis.reports.csv import lines_of
from actbench.analysis.table.factors import flat_specs, show, varying
from actbench.analysis.table.result import Comparisons
from actbench.errors import UnknownNameError, UsageError
from actbench.schema.metrics import METRICS
from actbench.schema.record import RunRecord

Backend = Literal["pandas", "polars"]
Per = Literal["run", "epoch", "layer"]
"""A line for each run, for each of its epochs, or for each layer at each of them."""

_OF_EPOCHS = ("epoch", "layers")
"""Fields of a row of ``metrics.jsonl`` that are not numbers measured at that epoch."""


@dataclass(frozen=True)
class Table:
    """Columns of equal length.

    Args:
        columns: Name -> values, all of one type (``str``, ``int``, ``float`` or ``bool``); None where there is none.
        types: Name -> that type.
    """

    columns: Mapping[str, Sequence[Any]]
    types: Mapping[str, type]


def frame_of_runs(records: Sequence[RunRecord], backend: Backend | None = None, per: Per = "run") -> Any:
    """Return runs as a data frame.

    Args:
        records: The runs; with their curves for more than a line a run.
        backend: ``pandas`` or ``polars``; None for the one that is installed, pandas where both are.
        per: What a line stands for.

    Raises:
        UsageError: When the library is not installed, or the records were read without the curves that it takes.
        UnknownNameError: For another backend or unit.
    """
    return as_frame(table_of_runs(records, per), backend)


def frame_of_comparisons(comparisons: Comparisons, backend: Backend | None = None) -> Any:
    """Return the rows of all tables as a data frame: the columns of ``compare --format csv``, a line a row and metric.

    Args:
        comparisons: The tables.
        backend: As ``frame_of_runs`` has it.

    Raises:
        UsageError: When the library is not installed.
        UnknownNameError: For another backend.
    """
    header, lines = lines_of(comparisons)
    return as_frame(_table({name: [_word(line.get(name)) for line in lines] for name in header}), backend)


def table_of_runs(records: Sequence[RunRecord], per: Per = "run") -> Table:
    """Return runs as columns: study, run, what their network and data are, what varies, seed, outcome, numbers.

    A column of a setting holds numbers where each run has one, otherwise words as tables print them (``none``).

    Raises:
        UsageError: When the records were read without the curves that it takes.
        UnknownNameError: For a unit other than ``Per`` has.
    """
    if per not in get_args(Per):
        raise UnknownNameError("unit", per, get_args(Per))
    specs = [record.spec for record in records]
    cells = flat_specs(specs)
    studies = dict.fromkeys(record.study for record in records)
    factors: dict[str, None] = {}
    for study in studies:
        own = [index for index, record in enumerate(records) if record.study == study]
        factors |= dict.fromkeys(varying([specs[index] for index in own], [cells[index] for index in own]))
    lines: list[dict[str, Any]] = []
    for record, cell in zip(records, cells, strict=True):
        settings = {key: show(None) if cell[key] is None else cell[key] for key in factors if key in cell}
        head = {"study": record.study, "run": record.run_id, "dataset": cell["dataset"], "model": cell["model"]}
        head |= {**settings, "seed": record.spec.seed, "outcome": record.outcome}
        if per == "run":
            lines.append({**head, **record.final, "message": record.message})
            continue
        for row in record.curves:
            numbers = {key: value for key, value in row.items() if key not in _OF_EPOCHS}
            if per == "epoch":
                lines.append({**head, "epoch": row["epoch"], **numbers})
                continue
            for layer in row.get("layers") or ():
                plain = {key: value for key, value in layer.items() if not isinstance(value, Mapping)}
                learned = {f"learned.{key}": value for key, value in (layer.get("learned") or {}).items()}
                lines.append({**head, "epoch": row["epoch"], "layer": layer["name"], **plain, **learned})
    if per != "run" and not any(record.curves for record in records) and any(record.final for record in records):
        raise UsageError(
            f"a line a {per} needs the curves: read the runs with read_results(…, curves=True), of a "
            "folder or file that has them"
        )
    names = dict.fromkeys(name for line in lines for name in line if name not in ("name", "message"))
    if per == "run":
        metrics = [name for name in METRICS if name in names]
        others = [name for name in names if name not in METRICS]
        names = dict.fromkeys((*others, *metrics, "message"))
    return _table({name: [line.get(name) for line in lines] for name in names})


def as_frame(table: Table, backend: Backend | None) -> Any:
    """Return a table as a data frame of pandas or polars.

    Raises:
        UsageError: When the library is not installed.
        UnknownNameError: For another backend.
    """
    if backend is not None and backend not in get_args(Backend):
        raise UnknownNameError("backend", backend, get_args(Backend))
    for name in (backend,) if backend else get_args(Backend):
        try:
            return _pandas(table) if name == "pandas" else _polars(table)
        except ModuleNotFoundError as error:
            if error.name != name:
                raise
    wanted = backend or "pandas or polars"
    raise UsageError(f"to_frame needs {wanted}, which is not installed: pip install {backend or 'pandas'}")


def _pandas(table: Table) -> Any:
    import pandas

    return pandas.DataFrame({name: _series(values, table.types[name]) for name, values in table.columns.items()})


def _series(values: Sequence[Any], kind: type) -> Any:
    """Return a column: NaN for a missing number, and pandas' own types, which can miss, for counts and marks."""
    import pandas

    is_missing = any(value is None for value in values)
    if kind is float:
        return pandas.Series(list(values), dtype="float64")
    if kind is int:
        return pandas.Series(list(values), dtype="Int64" if is_missing else "int64")
    if kind is bool:
        return pandas.Series(list(values), dtype="boolean" if is_missing else "bool")
    return pandas.Series(list(values), dtype=None if values else "object")


def _polars(table: Table) -> Any:
    import polars

    kinds = {float: polars.Float64, int: polars.Int64, bool: polars.Boolean, str: polars.String}
    return polars.DataFrame(
        {name: list(values) for name, values in table.columns.items()},
        schema={name: kinds[table.types[name]] for name in table.columns},
    )


def _table(columns: Mapping[str, Sequence[Any]]) -> Table:
    types = {name: _type_of(name, values) for name, values in columns.items()}
    return Table({name: _typed(values, types[name]) for name, values in columns.items()}, types)


def _type_of(name: str, values: Iterable[Any]) -> type:
    """Return the one type that holds all values of a column; a metric is a float, whatever it is of."""
    found = {type(value) for value in values if value is not None}
    if name in METRICS or (found and found <= {int, float} and float in found):
        return float
    return found.pop() if len(found) == 1 and found <= {int, bool, str} else float if not found else str


def _typed(values: Sequence[Any], kind: type) -> list[Any]:
    to_type = show if kind is str else kind
    return [None if value is None else to_type(value) for value in values]


def _word(value: Any) -> Any:
    return " ".join(value) if isinstance(value, list) else value
