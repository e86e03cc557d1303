"""The further tables of ``compare``: ``--summary FILE``, ``--across FACTOR`` and ``--components``."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from actbench.errors import UsageError

if TYPE_CHECKING:
    import typer

    from actbench.analysis.further.across import Across
    from actbench.analysis.further.table import FurtherTable
    from actbench.storage.reading import Records

PICTURES = (".png", ".svg", ".pdf")
SHARED = ("form", "as_json", "output", "decimal", "alpha")
TAKEN = {
    "summary": ("baseline",),
    "across": ("paths", "metric", "baseline"),
    "components": ("paths", "metric"),
}
"""Option that asks for a table -> the parameters of ``compare`` that it takes besides ``SHARED``."""


def asked_for(context: typer.Context) -> str | None:
    """Return the option that asks for a further table; None for the comparison itself.

    Raises:
        UsageError: For two of them, or an option that the table has no use for.
    """
    asked = [name for name in TAKEN if context.params[name]]
    if not asked:
        return None
    if len(asked) > 1:
        raise UsageError(f"{' and '.join(f'--{name}' for name in asked)} are tables of their own: leave one out")
    (name,) = asked
    allowed = {*SHARED, *TAKEN[name], name}
    for parameter in context.command.params:
        source = context.get_parameter_source(parameter.name or "")
        if parameter.name not in allowed and source is not None and source.name == "COMMANDLINE":
            raise UsageError(f"--{name} has no use for {parameter.opts[-1]}: leave it out")
    return name


def write_further_table(context: typer.Context, asked: str) -> None:
    """Compute the table that an option asks for, and write it where ``compare`` would write its own.

    Raises:
        UsageError: As the tables do, and for a file whose ending stands for another format.
    """
    from actbench.cli.output import listed
    from actbench.cli.output_form import check_decimal
    from actbench.system.files import write_output

    given = context.params
    alpha, output = given["alpha"], given["output"]
    if not 0 < alpha < 1:
        raise UsageError(f"alpha should lie between 0 and 1, not {alpha:g}")
    decimal = check_decimal(given["decimal"])
    if asked == "summary":
        from actbench.analysis.further.published_figures import published_table

        table = published_table(given["summary"], _one_name(given["baseline"]), alpha)
    elif asked == "across":
        found = _across(given, alpha)
        if output is not None and output.suffix.lower() in PICTURES:
            _draw(found, output)
            return
        from actbench.analysis.further.across import across_table

        table = across_table(found)
    else:
        from actbench.analysis.further.variance_sources import variance_sources, variance_table

        table = variance_table(*variance_sources(_records(given), metric=listed(given["metric"]), alpha=alpha), alpha)
    form = _form(context, asked, output)
    if decimal == "comma" and form != "csv":
        raise UsageError(f"--decimal comma is for CSV, not for {form}: write -o FILE.csv or --format csv")
    if output is None:
        table.render(form, sys.stdout, decimal)
        return
    write_output(output, _text(table, form, decimal))


def _across(given: Mapping[str, Any], alpha: float) -> Across:
    from actbench.analysis.further.across import across
    from actbench.cli.output import listed
    from actbench.cli.row_settings import settings

    records = _records(given)
    baseline = settings("--baseline", given["baseline"], records)
    return across(records, given["across"], metric=listed(given["metric"]), baseline=baseline, alpha=alpha)


def _records(given: Mapping[str, Any]) -> Records:
    from actbench.cli.study_names import result_paths
    from actbench.storage.reading import read_results

    return read_results(*result_paths(given["paths"]))


def _form(context: typer.Context, asked: str, output: Path | None) -> str:
    from actbench.analysis.further.table import FORMS
    from actbench.cli.output_form import chosen_form

    form = chosen_form(context, context.params["form"], output, as_json=context.params["as_json"])
    if form not in FORMS:
        raise UsageError(f"--{asked} is written as {', '.join(FORMS)}, not as {form}")
    return form


def _text(table: FurtherTable, form: str, decimal: str) -> str:
    target = StringIO()
    table.render(form, target, decimal)
    return target.getvalue()


def _one_name(baseline: list[str] | None) -> str | None:
    if not baseline:
        return None
    if len(baseline) > 1:
        raise UsageError(f"--baseline names one row of the file, not {len(baseline)}")
    return baseline[0].removeprefix("name=")


def _draw(found: Across, output: Path) -> None:
    from actbench.analysis.plots._critical_difference import picture
    from actbench.analysis.plots._figures import format_of, image_bytes
    from actbench.analysis.plots._style import LOOKS
    from actbench.cli.output import print_result
    from actbench.system.files import write_atomically

    look = LOOKS["paper"]
    write_atomically(output, image_bytes(picture(found, look), format_of(output), look))
    print_result(f"{output}: mean ranks across {found.factor}")
