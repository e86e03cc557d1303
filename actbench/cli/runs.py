"""``actbench runs``: one line a run, with what varies in its study."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from actbench.cli.study_names import result_paths
from actbench.system.collection import collection_paused

if TYPE_CHECKING:
    from actbench.analysis.run_list import ListedRun, RunList
    from actbench.system.console import PrintableConsole

EXAMPLES = {
    "actbench runs": "every run below results/",
    "actbench runs --where activation=relu --sort -test.accuracy": "some runs, the best first",
    "actbench runs -o runs.csv": "a line a run for a spreadsheet, with every metric",
}

SHORT_HEADS = {"health.dead_fraction": "dead", "seconds": "s"}

SHORTENED = (24, 16, 12)
"""Letters to which long settings are cut, one after another, before a column is left out."""

GAP = 2
"""Spaces between two columns."""


@dataclass(frozen=True)
class RunColumn:
    """A column of the list.

    Args:
        name: The key by which it is sorted and chosen.
        head: Its heading, in one line or two.
        cells: A text for each run.
        worth: The column with the least worth goes first where there is no room for all.
        is_number: Whether it is flush right.
        is_setting: Whether its texts may be shortened, to a few letters that still tell them apart.
    """

    name: str
    head: str
    cells: tuple[str, ...]
    worth: int
    is_number: bool = False
    is_setting: bool = False

    @cached_property
    def width(self) -> int:
        """The number of letters that it takes."""
        return max(map(len, (*self.head.split("\n"), *self.cells)))


@collection_paused()
def runs(
    paths: Annotated[
        list[Path] | None, typer.Argument(help="Results, studies or runs. [default: results]", metavar="PATH")
    ] = None,
    where: Annotated[
        list[str] | None,
        typer.Option(help="Only these: swept keys, seed, state, any setting.", metavar="KEY=VALUE,…"),
    ] = None,
    sort: Annotated[
        str | None, typer.Option(help="Order by any key or metric; -KEY for the largest first.", metavar="KEY")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
    csv: Annotated[bool, typer.Option("--csv", help="For spreadsheets.")] = False,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE", help="Write the list as .csv or .json.")
    ] = None,
    decimal: Annotated[
        str, typer.Option("--decimal", metavar="point|comma", help="Of numbers in a CSV; comma sets ; between fields.")
    ] = "point",
) -> None:
    """List runs: what varies, how they ended, how far they came."""
    from actbench.analysis.run_list import list_runs
    from actbench.cli.output import as_json, pairs, print_note
    from actbench.cli.output_form import check_decimal
    from actbench.errors import UsageError
    from actbench.storage.reading import read_outlines

    if json and csv:
        raise UsageError("--json and --csv are two forms of one list: give one of them")
    form = "json" if json else "csv" if csv else _form_of(output)
    if check_decimal(decimal) == "comma" and form != "csv":
        raise UsageError("--decimal comma is for CSV: add --csv, or write -o FILE.csv")
    found = list_runs(read_outlines(*result_paths(paths)))
    if where:
        found = found.where(pairs("--where", where))
    if sort is not None:
        found = found.sort(sort)
    if form == "json":
        _write(f"{as_json(found.to_dict())}\n", output)
        return
    for warning in found.warnings:
        print_note(f"warning: {warning}")
    if form == "csv":
        _write(_csv(found, has_comma=decimal == "comma"), output)
    else:
        _print_lists(found)


def _form_of(output: Path | None) -> str:
    """Return the form that a file's ending stands for; the list for a reader without a file."""
    from actbench.errors import UsageError

    if output is None:
        return "list"
    form = output.suffix.lower().removeprefix(".")
    if form not in ("csv", "json"):
        raise UsageError(f"-o {output}: runs are written as .csv or .json; compare -o FILE.xlsx has them as a sheet")
    return form


def _write(text: str, output: Path | None) -> None:
    from actbench.cli.output import print_result
    from actbench.system.files import write_output

    if output is None:
        print_result(text.removesuffix("\n"))
    else:
        write_output(output, text)


def _print_lists(found: RunList) -> None:
    from actbench.system.console import console_for

    console = console_for(sys.stdout)
    for index, study in enumerate(found.studies()):
        own = [run for run in found.runs if run.study == study]
        if index:
            console.print()
        console.print(f"{study}: {len(own):,} run{'' if len(own) == 1 else 's'}\n", style="bold")
        _print_list(console, list(_columns(own, found.swept[study], found.metrics[study])))


def _columns(own: Sequence[ListedRun], swept: Sequence[str], metrics: Sequence[str]) -> Iterator[RunColumn]:
    """Yield the columns in the order in which they stand; what tells the runs apart is worth most."""
    yield RunColumn("run", "run", tuple(run.run for run in own), 100)
    for place, key in enumerate(swept):
        yield RunColumn(key, key.rpartition(".")[2], _settings(own, key), 80 - place, is_setting=True)
    yield RunColumn("seed", "seed", tuple(str(run.seed) for run in own), 70, is_number=True)
    yield RunColumn("state", "state", tuple(run.state for run in own), 90)
    yield RunColumn("epoch", "epoch", tuple(map(_epoch, own)), 20, is_number=True)
    for place, name in enumerate(metrics):
        worth = 60 if place == 0 else 10 if name == "seconds" else 40 - place
        head = SHORT_HEADS.get(name, name.replace(".", ".\n"))
        yield RunColumn(name, head, _metrics(own, name), worth, is_number=True)


def _settings(own: Sequence[ListedRun], key: str) -> tuple[str, ...]:
    from actbench.analysis.table.factors import distinct_cells, show

    texts = {id(cell): show(cell.get(key)) for cell in distinct_cells(run.settings for run in own)}
    return tuple(texts[id(run.settings)] for run in own)


def _metrics(own: Sequence[ListedRun], name: str) -> tuple[str, ...]:
    from actbench.analysis.judgements.formatting import quantities

    texts = quantities(name, [run.final.get(name) for run in own])
    return tuple(text.removesuffix(" s") for text in texts)


def _epoch(run: ListedRun) -> str:
    return f"{'–' if run.epoch is None else run.epoch}/{run.spec.training.epochs}"


def _print_list(console: PrintableConsole, columns: list[RunColumn]) -> None:
    """Print a table that fits: with the digits that end each id where whole ids take too much, and fewer columns."""
    from rich.cells import cell_len

    from actbench.cli.output import print_result

    shown, left_out = _fitting(columns, console.width)
    # Not a table of rich, which breaks and paints each cell by itself: that takes a minute for 20,000 runs.
    heads = max(column.head.count("\n") for column in shown) + 1
    padded = [_padded(column, heads, console) for column in shown]
    lines = [(" " * GAP).join(cells) for cells in zip(*padded, strict=True)]
    console.out("\n".join(lines[:heads]), style="bold", highlight=False)
    print_result("\n".join([console.shown("─") * cell_len(lines[0]), *lines[heads:]]))
    if left_out:
        console.print(f"\nno room here for {', '.join(left_out)}: --csv and --json have all", style="dim")


def _padded(column: RunColumn, heads: int, console: PrintableConsole) -> list[str]:
    """Return so many lines of a column's heading, the last one at the bottom, and its cells, all equally wide."""
    from rich.cells import cell_len

    from actbench.system.text import printable

    head = column.head.split("\n")
    texts = [*([""] * (heads - len(head))), *head, *column.cells]
    whole = "".join(texts)
    is_plain = whole.isascii() and whole.isprintable()  # as almost all are: nothing to ask of each text
    shown = {text: text if is_plain else console.shown(printable(text)) for text in texts}
    widths = {text: len(found) if is_plain or found.isascii() else cell_len(found) for text, found in shown.items()}
    width = max(widths.values())
    for text, found in shown.items():
        spaces = " " * (width - widths[text])
        shown[text] = f"{spaces}{found}" if column.is_number else f"{found}{spaces}"
    return [shown[text] for text in texts]


def _fitting(columns: list[RunColumn], width: int) -> tuple[list[RunColumn], list[str]]:
    """Return the columns that a line has room for, long settings shortened if need be, and the names of the others."""
    from dataclasses import replace

    def needed(some: Sequence[RunColumn]) -> int:
        return sum(column.width for column in some) + GAP * (len(some) - 1)

    shown = columns
    if needed(shown) > width:  # the digits alone name a run to every command
        run, *rest = shown
        shown = [replace(run, cells=tuple(name.rpartition("-")[2] for name in run.cells)), *rest]
    for most in SHORTENED:
        if needed(shown) > width:
            shown = [_shortened(column, most) if column.is_setting else column for column in shown]
    left_out: list[RunColumn] = []
    while needed(shown) > width and len(shown) > 2:
        least = min(shown, key=lambda column: column.worth)
        left_out.append(least)
        shown = [column for column in shown if column is not least]
    return shown, [column.name for column in columns if any(column.name == one.name for one in left_out)]


def _shortened(column: RunColumn, most: int) -> RunColumn:
    """Return a column with its long texts cut in the middle, or around the place in which they differ."""
    from dataclasses import replace

    from actbench.analysis.plots._names import shorten_apart

    values = list(dict.fromkeys(column.cells))
    short = dict(zip(values, shorten_apart(values, most), strict=True))
    return replace(column, cells=tuple(short[text] for text in column.cells))


def _csv(found: RunList, *, has_comma: bool) -> str:
    """Return a header and a line a run, with every metric as it is stored and fields that harm no spreadsheet."""
    from io import StringIO

    from actbench.analysis.reports.csv import write_lines
    from actbench.analysis.table.factors import show
    from actbench.schema.metrics import METRICS

    factors = list(dict.fromkeys(key for study in found.studies() for key in found.swept[study]))
    metrics = [name for name in METRICS if any(name in run.final for run in found.runs)]
    header = ["study", "run", *factors, "seed", "state", "epoch", "epochs", *metrics, "message"]
    lines = (
        {
            "study": run.study,
            "run": run.run,
            **{key: show(None) if (value := run.settings.get(key)) is None else value for key in factors},
            "seed": run.seed,
            "state": run.state,
            "epoch": run.epoch,
            "epochs": run.spec.training.epochs,
            **{name: run.final.get(name) for name in metrics},
            "message": run.message,
        }
        for run in found.runs
    )
    target = StringIO()
    write_lines(header, lines, target, "comma" if has_comma else "point")
    return target.getvalue()
