"""``actbench compare``: tables across runs, with differences to a baseline."""

from __future__ import annotations

from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from actbench.comparison import Comparisons
    from actbench.reports import Report


def compare(
    paths: Annotated[
        list[Path] | None, typer.Argument(help="Results, studies or runs. [default: results]", metavar="PATH")
    ] = None,
    by: Annotated[
        list[str] | None, typer.Option(help="Keep these factors, average over the others.", metavar="FACTOR,…")
    ] = None,
    baseline: Annotated[
        list[str] | None, typer.Option(help="What the others are compared to.", metavar="KEY=VALUE,…")
    ] = None,
    metric: Annotated[list[str] | None, typer.Option(help="See `actbench list metrics`.", metavar="NAME,…")] = None,
    where: Annotated[list[str] | None, typer.Option(help="Only these runs.", metavar="KEY=VALUE,…")] = None,
    form: Annotated[
        str, typer.Option("-f", "--format", help="See `actbench list reports`.", envvar="ACTBENCH_COMPARE_FORMAT")
    ] = "table",
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Write to this file.")] = None,
    alpha: Annotated[float, typer.Option(help="One minus the intervals' coverage.")] = 0.05,
    as_json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
) -> None:
    """Compare finished runs: means with intervals, paired differences to a baseline, outcomes, dead units."""
    from actbench.cli.output import listed, pairs
    from actbench.comparing import compare as compare_records
    from actbench.plugins import load
    from actbench.store import read_results

    chosen = "json" if as_json else form
    report = load("reports", chosen)
    found = compare_records(
        read_results(*(paths or [Path("results")])),
        by=listed(by),
        baseline=pairs("--baseline", baseline),
        metric=listed(metric),
        where=pairs("--where", where),
        alpha=alpha,
    )
    if chosen == "csv":  # a table of numbers has no place for sentences
        for warning in found.warnings:
            typer.echo(f"warning: {warning}", err=True)
    _write(report, found, output)


def _write(report: Report, found: Comparisons, output: Path | None) -> None:
    from actbench.cli.output import stdout
    from actbench.files import write_atomically

    if output is None:
        report.render(found, stdout())
        return
    text = StringIO()
    report.render(found, text)
    write_atomically(output, text.getvalue())
