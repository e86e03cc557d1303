"""``actbench plot``: charts of finished runs as png, svg or pdf."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from actbench.cli.compare import Baseline, By, Metric, Where, chosen_rows
from actbench.cli.output import listed, print_note, print_result
from actbench.cli.study_names import result_paths

if TYPE_CHECKING:
    from actbench.analysis.plots._figures import Drawn
    from actbench.analysis.table.result import Comparison

EXAMPLES = {
    "actbench plot results/study -o charts.png": "all that the runs have data for, a file each",
    "actbench plot results/study -o lr.pdf --chart learning_curves --columns 1": "one, for a paper's column",
    "actbench plot results/study -o talk.svg --chart differences --style slides": "one, for slides",
}

Paths = Annotated[
    list[Path] | None, typer.Argument(help="Results, studies or runs. [default: results]", metavar="PATH")
]
Output = Annotated[
    Path,
    typer.Option(
        "-o",
        "--output",
        metavar="FILE",
        help="A .png, .svg or .pdf file. [required]",
    ),
]
Charts = Annotated[
    list[str] | None,
    typer.Option("--chart", help="See `actbench list charts`. [default: all]", metavar="NAME,…"),
]
Boundary = Annotated[
    bool,
    typer.Option("--boundary", help="The chart `boundary`, of kept networks."),
]
Style = Annotated[str, typer.Option(help="Sizes: paper, slides or screen.", metavar="NAME")]
Columns = Annotated[int, typer.Option(min=1, max=2, metavar="N", help="Width: one column of a page, or two.")]
Width = Annotated[
    float | None, typer.Option(min=1, max=40, help="Inches, in place of the style's width.", metavar="INCHES")
]
Height = Annotated[
    float | None, typer.Option(min=1, max=40, help="Inches, in place of the style's height.", metavar="INCHES")
]


def plot(
    output: Output,
    paths: Paths = None,
    charts: Charts = None,
    boundary: Boundary = False,
    style: Style = "paper",
    columns: Columns = 2,
    width: Width = None,
    height: Height = None,
    by: By = None,
    baseline: Baseline = None,
    metric: Metric = None,
    where: Where = None,
) -> None:
    """Draw charts of finished runs as png, svg or pdf.

    Several charts become several files: the name of each is put before the ending.
    """
    from dataclasses import replace

    from actbench.analysis.compare import compare
    from actbench.analysis.plots._figures import charts_of, figure_of, format_of, image_bytes
    from actbench.analysis.plots._style import look_named
    from actbench.cli.landscapes import landscapes_of
    from actbench.cli.theory import prediction
    from actbench.errors import UsageError
    from actbench.storage.reading import read_results
    from actbench.system.files import write_atomically

    form, look = format_of(output), look_named(style)
    if width is not None:
        look = replace(look, widths=(width, width))
    records = read_results(*result_paths(paths), curves=True)
    found = compare(records, **chosen_rows(records, by, baseline, metric, where))
    for warning in found.all_warnings:
        print_note(f"warning: {warning}")
    chosen = [*listed(charts), *(["boundary"] if boundary and "boundary" not in listed(charts) else [])]
    drawn = [
        (comparison, one)
        for comparison in found.comparisons
        for one in charts_of(comparison, chosen, predict=prediction, view=landscapes_of(records.folders))
    ]
    if not drawn:
        raise UsageError(
            "these runs have no data for " + (f"the charts {', '.join(chosen)}" if chosen else "any chart")
        )
    for target, one in zip(_targets(output, drawn), (one for _, one in drawn), strict=True):
        figure = figure_of(one, look=look, columns=columns, height=height)
        write_atomically(target, image_bytes(figure, form, look))
        print_result(f"{target}: {one.chart.title}")


def _targets(output: Path, drawn: Sequence[tuple[Comparison, Drawn]]) -> list[Path]:
    """Return a file for each chart: the given one for a single chart, else with its table's number and its name."""
    if len(drawn) == 1:
        return [output]
    tables = list(dict.fromkeys(id(comparison) for comparison, _ in drawn))
    return [
        output.with_stem("-".join((output.stem, *_number(tables, comparison), one.name))) for comparison, one in drawn
    ]


def _number(tables: Sequence[int], comparison: Comparison) -> tuple[str, ...]:
    return (str(tables.index(id(comparison)) + 1),) if len(tables) > 1 else ()
