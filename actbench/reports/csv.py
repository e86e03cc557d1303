"""One tidy line a row and metric, for spreadsheets and data frames; plain numbers, empty for what can't be known."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any, TextIO

from actbench.comparison.result import Comparison, Comparisons, Row
from actbench.record import METRICS, OUTCOMES

MEAN = ("mean", "low", "high", "sd", "min", "max", "n")
VERSUS = ("difference", "low", "high", "p", "p_adjusted", "n_pairs", "wins", "pairing_gain", "significant")


class CsvReport:
    """A file with one header; what is compared to the baseline stands in the columns that begin with ``versus_``."""

    def render(self, comparisons: Comparisons, target: TextIO) -> None:
        """Write the header and one line a row and metric; warnings have no place here."""
        found = comparisons.comparisons
        factors = tuple(dict.fromkeys(key for comparison in found for key in comparison.factors))
        context = tuple(key for key in ("dataset", "model") if key not in factors)
        header = ["study", *context, *factors, "baseline", "tied_with_best", "runs", *OUTCOMES, "metric", "unit", *MEAN]
        writer = csv.DictWriter(target, [*header, *(f"versus_{name}" for name in VERSUS)], lineterminator="\n")
        writer.writeheader()
        for comparison in found:
            for row in comparison.rows:
                writer.writerows(_lines(comparison, row))


def _lines(comparison: Comparison, row: Row) -> Iterator[dict[str, Any]]:
    shared = {"study": comparison.study, **comparison.context, **row.factors, "runs": row.runs, **row.outcomes}
    shared |= {"baseline": comparison.is_baseline(row), "tied_with_best": row.tied}
    for name, interval in row.metrics.items():
        line = {
            **shared,
            "baseline": comparison.is_baseline(row),
            "tied_with_best": row.tied,
            "metric": name,
            "unit": METRICS[name].unit,
        }
        line |= asdict(interval)
        if name in row.vs_baseline:
            line |= {f"versus_{key}": value for key, value in row.vs_baseline[name].to_dict().items()}
        yield line


plugin = CsvReport()
