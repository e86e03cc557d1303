"""``actbench report``: one offline page with everything about finished runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from actbench.analysis.compare_options import DEFAULT_ALPHA, DEFAULT_DELTA
from actbench.cli.compare import (
    Against,
    Alpha,
    Anytime,
    Baseline,
    By,
    Delta,
    Metric,
    Paths,
    Tune,
    Where,
    amount,
    chosen_rows,
    read_sides,
)
from actbench.cli.output import listed, print_result
from actbench.cli.study_names import result_paths

EXAMPLES = {
    "actbench report results/study": "into report.html",
    "actbench report results/study --baseline activation=tanh -o tanh.html": "against another row, into another file",
}

Output = Annotated[Path, typer.Option("-o", "--output", metavar="FILE", help="Write to this file.")]


def report(
    paths: Paths = None,
    output: Output = Path("report.html"),
    by: By = None,
    baseline: Baseline = None,
    metric: Metric = None,
    where: Where = None,
    alpha: Alpha = DEFAULT_ALPHA,
    delta: Delta = f"{DEFAULT_DELTA:g}pp",
    tune: Tune = None,
    against: Against = None,
    anytime: Anytime = False,
) -> None:
    """Write one page with everything about finished runs.

    Tables, charts, verdicts and every run, for any browser; it fetches nothing from elsewhere.
    """
    from actbench.analysis.compare_options import CompareOptions
    from actbench.cli.page_file import write_page
    from actbench.config import amounts
    from actbench.system.collection import out_of_collection

    new, base = read_sides(result_paths(paths), result_paths(against) if against else [], curves=True)
    options = CompareOptions(
        **chosen_rows(new, by, baseline, metric, where),
        alpha=alpha,
        delta=100 * amount("--delta", amounts.difference, "test.accuracy", delta),
        tune=listed(tune),
        against=base,
        anytime=anytime,
    )
    with out_of_collection():
        print_result(write_page(new, output, options))
