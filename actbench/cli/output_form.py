"""Which format ``compare`` writes: the one that an option names, else the one that the file's ending stands for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from actbench.errors import UsageError

if TYPE_CHECKING:
    from actbench.analysis.compare_options import CompareOptions
    from actbench.analysis.reports import Report
    from actbench.analysis.table.result import Comparisons
    from actbench.storage.reading import Records

PAGE, WORKBOOK = "page", "workbook"
"""Forms that are files alone and no format of ``--format``."""

ENDINGS = {
    ".csv": "csv",
    ".json": "json",
    ".md": "markdown",
    ".markdown": "markdown",
    ".tex": "latex",
    ".xlsx": WORKBOOK,
    ".html": PAGE,
    ".htm": PAGE,
}
"""Ending of a file -> what is written into it; any other gets the table as text."""


def chosen_form(context: typer.Context, form: str, output: Path | None, *, as_json: bool) -> str:
    """Return the format: ``--json``, else ``--format``, else the file's ending, else the variable, else the table.

    Args:
        context: By which it is known whether ``--format`` was typed.
        form: Its value, or that of its variable.
        output: The file.
        as_json: Whether ``--json`` was given.
    """
    if as_json:
        return "json"
    source = context.get_parameter_source("form")
    if output is not None and (source is None or source.name != "COMMANDLINE"):
        return ENDINGS.get(output.suffix.lower(), form)
    return form


def report_for(form: str, decimal: str) -> Report:
    """Return the report of a format, with the decimal sign that was asked for.

    Raises:
        UsageError: For another decimal sign than ``point`` and ``comma``, or a comma where a format has none.
        UnknownNameError: For a format that does not exist.
    """
    from actbench.analysis.reports.csv import CsvReport
    from actbench.schema.registry import load

    if check_decimal(decimal) == "comma":
        if form == WORKBOOK:
            raise UsageError(
                "--decimal comma is for CSV: a workbook has numbers, with the sign that your program shows"
            )
        if form != "csv":
            raise UsageError(f"--decimal comma is for CSV, not for {form}: write -o FILE.csv or --format csv")
        return CsvReport("comma")
    report: Report = load("reports", form)
    return report


def check_decimal(decimal: str) -> str:
    """Return the decimal sign.

    Raises:
        UsageError: For another one than ``point`` and ``comma``.
    """
    if decimal not in ("point", "comma"):
        raise UsageError(f"--decimal: expected point or comma, not '{decimal}'")
    return decimal


def write_page_of(records: Records, found: Comparisons, options: CompareOptions, output: Path) -> None:
    """Write the page of some runs, which compares them itself; print its size.

    Raises:
        UsageError: For all pairs, which a page does not have.
    """
    from actbench.cli.output import print_note
    from actbench.cli.page_file import write_page

    if options.all_pairs:
        raise UsageError("a page does not have the pairs of --all-pairs: write them as .txt, .csv, .xlsx, .md or .tex")
    print_note(write_page(records, output, replace(options, fail_if=())))


def write_workbook(records: Records, found: Comparisons, options: CompareOptions, output: Path) -> None:
    """Write the tables and their runs as a workbook."""
    from actbench.analysis.spreadsheet import workbook
    from actbench.system.files import write_output

    write_output(output, workbook(found, records))
