"""``actbench verify``: reproduce published numbers and closed forms; expected beside measured."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from actbench.diagnostics.verification import Check

EXAMPLES = {
    "actbench verify constants silence": "closed forms, in seconds",
    "actbench verify": "everything, in less than a minute",
}

STYLES = {"ok": "green", "MISS": "bold red", "skipped": "yellow"}
DIGITS = 5


def verify(
    groups: Annotated[
        list[str] | None,
        typer.Argument(metavar="GROUP", help="constants, silence, signal, units, cohort, published. [default: all]"),
    ] = None,
    fashion_mnist: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="The four IDX files of Fashion-MNIST."),
    ] = None,
    data_dir: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Datasets. [default: the user's cache folder]", envvar="ACTBENCH_DATA"),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="For programs: one object a check.")] = False,
) -> None:
    """Reproduce published numbers and closed forms.

    Expected stands beside measured; the exit code is 1 when one is missed. Fashion-MNIST is looked for where Debian's
    package puts it, and in the data folder.
    """
    from actbench.cli.output import as_json, print_result
    from actbench.datasets import data_folder
    from actbench.diagnostics import verification

    folders = verification.Folders(data_folder(data_dir), fashion_mnist)
    found = list(verification.run_checks(groups or verification.GROUPS, folders))
    if json:
        print_result(as_json([check.to_json() for check in found]))
    else:
        _print(found)
    if any(check.verdict == "MISS" for check in found):
        raise typer.Exit(1)


def _print(found: Sequence[Check]) -> None:
    from actbench.system.console import console_for

    console = console_for(sys.stdout)
    console.print(_table(found))
    console.print()
    for reason in dict.fromkeys(check.skipped for check in found if check.skipped):
        names = "; ".join(check.name for check in found if check.skipped == reason)
        console.print(f"skipped: {names}: {reason}", style="yellow", soft_wrap=True)
    counts = Counter(check.verdict for check in found)
    console.print(", ".join(f"{count} {verdict}" for verdict, count in counts.items()))


def _table(found: Sequence[Check]) -> Any:
    """Return the table, numbers at the right; long names and sources wrap."""
    from rich.text import Text

    from actbench.analysis.reports.table import grid

    table = grid()
    for name in ("check", "expected", "measured", "tolerance", "source", ""):
        number = name in ("expected", "measured", "tolerance")
        table.add_column(
            name, justify="right" if number else "left", overflow="fold", no_wrap=name in ("", "tolerance")
        )
    for check in found:
        expected = _numbers(check.expected, " to " if check.between else ", ")
        words = (check.name, expected, _numbers(check.measured), _tolerance(check.tolerance))
        table.add_row(*map(Text, (*words, check.source)), Text(check.verdict, style=STYLES[check.verdict]))
    return table


def _numbers(values: Sequence[float], separator: str = ", ") -> str:
    return separator.join(f"{value:.{DIGITS}g}" for value in values) or "–"


def _tolerance(value: float) -> str:
    return f"± {value:.2g}" if value else "exact"
