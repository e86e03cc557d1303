"""One tidy line a row and metric, or a pair of rows, for spreadsheets: plain numbers, empty for what can't be known."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, TextIO

from actbench.analysis.table.factors import Value, show
from actbench.analysis.table.result import Comparison, Comparisons, Contrast, Row, mean_numbers
from actbench.schema.metrics import METRICS
from actbench.schema.record import OUTCOMES
from actbench.system.text import printable

Decimal = Literal["point", "comma"]
"""The decimal sign of numbers."""

MEAN = ("mean", "low", "high", "sd", "min", "max", "n", "beyond_scale", "prediction_low", "prediction_high")
PAIR = ("difference", "low", "high", "beyond_scale", "p", "p_adjusted", "n_pairs", "wins")
CHANCE = ("chance", "chance_low", "chance_high", "worse", "same", "better")
VERSUS = (*PAIR, "pairing_gain", "significant", *CHANCE)
REACH_COLUMNS = ("metric", "level", "epochs", "reached", "n")


_FORMULA = re.compile("'*[=+@\uff1d\uff0b\uff0d\uff20-]")
"""How a spreadsheet's formula begins, in the wide letters of East Asian keyboards too; apostrophes keep one apart."""

_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?\Z")


class CsvReport:
    """A file with one header; differences to the baseline stand in the columns that begin with ``versus_``.

    All pairs of rows, when they were asked for, stand in the rows' place: one file can't hold two tables.

    Args:
        decimal: As ``write_lines`` has it.
    """

    def __init__(self, decimal: Decimal = "point") -> None:
        self._decimal = decimal

    def render(self, comparisons: Comparisons, target: TextIO) -> None:
        """Write the header and one line per row and metric, or per pair; warnings and methods have no place here."""
        header, lines = lines_of(comparisons)
        write_lines(header, lines, target, self._decimal)


def write_lines(
    header: Sequence[str], lines: Iterable[Mapping[str, Any]], target: TextIO, decimal: Decimal = "point"
) -> None:
    """Write a header and lines by column.

    Args:
        header: The columns.
        lines: Column -> value; a column that a line does not have is an empty field.
        target: The file.
        decimal: ``comma`` for ``0,95`` and semicolons between fields, as spreadsheets read them in the countries that
            write numbers so; ``point`` for ``0.95`` and commas.
    """
    has_comma = decimal == "comma"
    writer = csv.DictWriter(target, header, delimiter=";" if has_comma else ",", lineterminator="\n")
    writer.writerow({key: safe_field(key) for key in header})
    for line in lines:
        fields = {key: safe_field(value) for key, value in line.items()}
        writer.writerow({key: _with_comma(value) for key, value in fields.items()} if has_comma else fields)


def _with_comma(value: Any) -> Any:
    return repr(value).replace(".", ",") if isinstance(value, float) else value


def lines_of(comparisons: Comparisons) -> tuple[list[str], list[dict[str, Any]]]:
    """Return the file's header, and its lines by column: a line a row and metric, or a pair where these were asked for.

    A column that a line has no value for is not in it.
    """
    found = comparisons.comparisons
    factors = tuple(dict.fromkeys(key for comparison in found for key in _factors(comparison)))
    tuned = ["tuned"] if any(comparison.tuned for comparison in found) else []
    context = [key for key in ("dataset", "model") if key not in factors]
    if any(comparison.pairs is not None for comparison in found):
        header = ["study", *context, *tuned, *_pair_columns(found)]
        lines = [line for comparison in found for line in _pair_lines(comparison)]
    else:
        header = ["study", *context, *factors, *tuned, *_row_columns(found)]
        lines = [line for comparison in found for row in comparison.rows for line in _lines(comparison, row)]
    return header, lines


def safe_field(value: Any) -> Any:
    """Return a number as it is, a list as words in one field, and text so that it can do no harm.

    Text is made printable, with an apostrophe before what a spreadsheet takes for a formula. Whoever reads the file
    again drops one apostrophe of those that stand before ``= + - @``.

    >>> [safe_field(value) for value in ("=1+1", "-x", "relu", "-0.5", -0.5, ["low", "high"])]
    ["'=1+1", "'-x", 'relu', '-0.5', -0.5, 'low high']
    """
    if isinstance(value, list):
        value = " ".join(value)
    if not isinstance(value, str):
        return value
    text = printable(value)
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.match(text) else text


def _factor_fields(factors: Mapping[str, Value], prefix: str = "") -> dict[str, Any]:
    """Return factor -> value, with ``none`` for null: an empty field is a factor that the study does not have."""
    return {f"{prefix}{key}": show(None) if value is None else value for key, value in factors.items()}


def _row_columns(found: Sequence[Comparison]) -> list[str]:
    reach = REACH_COLUMNS if any(row.reach is not None for comparison in found for row in comparison.rows) else ()
    own = ["baseline", "tied_with_best", "runs", *OUTCOMES, "metric", "unit", *MEAN]
    return [*own, *(f"versus_{name}" for name in VERSUS), *(f"reach_{name}" for name in reach)]


def _pair_columns(found: Sequence[Comparison]) -> list[str]:
    factors = dict.fromkeys(key for comparison in found for key in comparison.factors)
    sides = [f"{side}_{key}" for side in ("left", "right") for key in factors]
    return [*sides, "exploratory", "metric", "unit", *PAIR]


def _pair_lines(comparison: Comparison) -> Iterator[dict[str, Any]]:
    if comparison.pairs is None:
        return
    metric = comparison.pairs.metric
    shared = {"study": comparison.study, **comparison.context, "exploratory": True}
    if comparison.tuned:
        shared["tuned"] = " ".join(comparison.tuned.factors)
    for one in comparison.pairs.pairs:
        sides = _factor_fields(one.left, "left_") | _factor_fields(one.right, "right_")
        yield {**shared, **sides, "metric": metric, "unit": METRICS[metric].unit, **one.numbers(metric)}


def _factors(comparison: Comparison) -> tuple[str, ...]:
    """Return all factors, the tuned ones too, whose value is the one picked for the row."""
    return (*comparison.factors, *(comparison.tuned.factors if comparison.tuned else ()))


def _lines(comparison: Comparison, row: Row) -> Iterator[dict[str, Any]]:
    shared = {"study": comparison.study, **comparison.context, **_factor_fields(row.factors)}
    shared |= {"runs": row.runs, **row.outcomes}
    if comparison.tuned:
        shared |= {**_factor_fields(row.picked), "tuned": " ".join(comparison.tuned.factors)}
    shared |= {"baseline": comparison.is_baseline(row.factors), "tied_with_best": row.tied}
    if row.reach is not None:
        shared |= {f"reach_{key}": value for key, value in row.reach.to_dict().items()}
    for name in row.metrics:
        line = {**shared, "metric": name, "unit": METRICS[name].unit, **_mean_fields(row, name)}
        if name in row.vs_baseline:
            line |= _versus_fields(row.vs_baseline[name], name)
        yield line


def _mean_fields(row: Row, metric: str) -> dict[str, Any]:
    prediction = row.predictions.get(metric)
    found = mean_numbers(metric, row.metrics[metric], prediction)
    del found["prediction"]
    return found if prediction is None else found | dict(zip(MEAN[-2:], prediction, strict=True))


def _versus_fields(contrast: Contrast, metric: str) -> dict[str, Any]:
    """Return the difference, and the chances on a new seed without the intervals of the three parts."""
    found = contrast.to_dict(metric)
    del found["new_seed"]
    if (new := contrast.new_seed) is not None:
        parts = (new.better.share, new.better.low, new.better.high, *(one.share for one in new.within or ()))
        found |= dict(zip(CHANCE, parts, strict=False))
    return {f"versus_{key}": value for key, value in found.items()}


plugin = CsvReport()
