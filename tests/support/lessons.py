"""What a lesson's table says: the rows and differences by which its statements are judged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from actbench import compare, read_results
from actbench.analysis.table.result import Comparison, Row
from actbench.config import Study


def tables(results: Path, study: str, **options: Any) -> list[Comparison]:
    """All tables of a study, as its config asks for them."""
    config = Study.from_yaml(results / study / "study.yaml")
    options = {"baseline": config.compare.baseline, "metric": config.compare.metric, **options}
    return list(compare(read_results(results / study), **options).comparisons)


def table(results: Path, study: str, **options: Any) -> Comparison:
    """The only table of a study."""
    (found,) = tables(results, study, **options)
    return found


def row(comparison: Comparison, **factors: Any) -> Row:
    wanted = {name.replace("__", "."): value for name, value in factors.items()}
    (found,) = [one for one in comparison.rows if wanted.items() <= one.factors.items()]
    return found


def difference(comparison: Comparison, metric: str, **factors: Any) -> tuple[float, float]:
    """The adjusted p of a row's difference to the baseline, and its mean."""
    contrast = row(comparison, **factors).vs_baseline[metric]
    if contrast.difference.note == "identical":
        return 1.0, 0.0
    assert contrast.p_adjusted is not None
    assert contrast.difference.difference is not None
    return contrast.p_adjusted, contrast.difference.difference
