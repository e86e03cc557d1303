"""``actbench compare``: tables across runs, with differences to a baseline."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from actbench.analysis.compare_options import DEFAULT_ALPHA, DEFAULT_DELTA
from actbench.cli.output import listed, print_note
from actbench.cli.row_settings import settings
from actbench.cli.study_names import result_paths
from actbench.system.collection import collection_paused
from actbench.system.text import printable

if TYPE_CHECKING:
    from actbench.analysis.reports import Report
    from actbench.analysis.table.result import Comparisons
    from actbench.storage.reading import Records

GATES_VARIABLE = "ACTBENCH_COMPARE_FAIL_IF"
"""Its gates stand between semicolons. Typer would split it at spaces, which every gate has."""

EXAMPLES = {
    "actbench compare results/study": "the table, what it means, and verdicts",
    "actbench compare results/study --baseline activation=tanh --metric test.loss": "against another row",
    "actbench compare results/study --methods -o table.tex": "for a paper",
    "actbench compare results/study --fail-if 'test.accuracy drop > 0.5pp'": "in CI: exit with 1 where that is shown",
}

ADD, JUDGE, FURTHER = "What to add", "How to judge", "Other tables"

Paths = Annotated[
    list[Path] | None,
    typer.Argument(
        help="Results, studies or runs, pooled; BASE NEW, two folders with the same runs, compares NEW with BASE. "
        "[default: results]",
        metavar="PATH",
    ),
]
By = Annotated[list[str] | None, typer.Option(help="Keep these factors, average the others.", metavar="FACTOR,…")]
Baseline = Annotated[list[str] | None, typer.Option(help="What the others are compared to.", metavar="KEY=VALUE,…")]
Metric = Annotated[list[str] | None, typer.Option(help="See `actbench list metrics`.", metavar="NAME,…")]
Where = Annotated[
    list[str] | None, typer.Option(help="Show only these rows; no number changes.", metavar="KEY=VALUE,…")
]
Form = Annotated[
    str,
    typer.Option(
        "-f", "--format", metavar="NAME", help="See `actbench list reports`.", envvar="ACTBENCH_COMPARE_FORMAT"
    ),
]
Output = Annotated[
    Path | None,
    typer.Option("-o", "--output", metavar="FILE", help="Write .txt, .csv, .xlsx, .tex, .md, .json, .html."),
]
DecimalSign = Annotated[
    str, typer.Option("--decimal", metavar="point|comma", help="Of numbers in a CSV; comma sets ; between fields.")
]
Alpha = Annotated[
    float,
    typer.Option(metavar="LEVEL", help="One minus the coverage of intervals.", rich_help_panel=JUDGE),
]
Delta = Annotated[str, typer.Option(help="Too small to matter, as 0.2pp.", metavar="POINTS", rich_help_panel=JUDGE)]
Tune = Annotated[
    list[str] | None,
    typer.Option(help="A table with each row's own best of these.", metavar="FACTOR,…", rich_help_panel=ADD),
]
FailIf = Annotated[
    list[str] | None,
    typer.Option(
        help="Exit with code 1 where this is shown.",
        metavar="EXPR",
        allow_from_autoenv=False,
        rich_help_panel=JUDGE,
    ),
]
Against = Annotated[
    list[Path] | None, typer.Option(help="Earlier results, row by row.", metavar="BASE", rich_help_panel=JUDGE)
]
Verdicts = Annotated[str, typer.Option(help="Sentences below a table.", metavar="N|all", rich_help_panel=ADD)]
Methods = Annotated[
    bool, typer.Option("--methods", help="A paragraph on the methods, for a paper.", rich_help_panel=ADD)
]
Reach = Annotated[
    str | None,
    typer.Option(help="Epochs to a validation accuracy, as 90%.", metavar="ACCURACY", rich_help_panel=ADD),
]
AllPairs = Annotated[bool, typer.Option("--all-pairs", help="Every pair of rows (exploratory).", rich_help_panel=ADD)]
Prediction = Annotated[bool, typer.Option("--prediction", help="The interval of one more run.", rich_help_panel=ADD)]
ChanceOption = Annotated[
    bool, typer.Option("--chance", help="To be better on a new seed, and beyond ±delta.", rich_help_panel=ADD)
]
Anytime = Annotated[
    bool,
    typer.Option("--anytime", help="Intervals and p that hold at every look.", rich_help_panel=JUDGE),
]
Summary = Annotated[
    Path | None,
    typer.Option(help="Published figures: name,mean,sd,n in a CSV.", metavar="FILE", rich_help_panel=FURTHER),
]
AcrossFactor = Annotated[
    str | None,
    typer.Option("--across", help="Ranks over its values, as dataset.", metavar="FACTOR", rich_help_panel=FURTHER),
]
Components = Annotated[
    bool, typer.Option("--components", help="What moves results: weights or batches.", rich_help_panel=FURTHER)
]
Json = Annotated[bool, typer.Option("--json", help="The same as --format json.")]

SHARED_WITH_REPORT = ("by", "baseline", "metric", "where", "alpha", "delta", "tune", "against", "anytime")
"""Options that ``report`` has, too, with the same default; the command that is printed for a page hands them on."""


@collection_paused()
def compare(
    context: typer.Context,
    paths: Paths = None,
    by: By = None,
    baseline: Baseline = None,
    metric: Metric = None,
    where: Where = None,
    form: Form = "table",
    as_json: Json = False,
    output: Output = None,
    decimal: DecimalSign = "point",
    tune: Tune = None,
    reach: Reach = None,
    all_pairs: AllPairs = False,
    prediction: Prediction = False,
    chance: ChanceOption = False,
    summary: Summary = None,
    across: AcrossFactor = None,
    components: Components = False,
    verdicts: Verdicts = "5",
    methods: Methods = False,
    fail_if: FailIf = None,
    against: Against = None,
    alpha: Alpha = DEFAULT_ALPHA,
    delta: Delta = f"{DEFAULT_DELTA:g}pp",
    anytime: Anytime = False,
) -> None:
    """Show a table of finished runs, with differences to a baseline.

    Means with intervals, differences paired by seed, outcomes and dead units. Words in it: actbench explain WORD.
    """
    from actbench.analysis.compare import compare_with
    from actbench.analysis.compare_options import CompareOptions
    from actbench.cli.further_tables import asked_for, write_further_table
    from actbench.cli.output_form import PAGE, WORKBOOK, chosen_form, report_for, write_page_of, write_workbook
    from actbench.config import amounts

    if (further := asked_for(context)) is not None:
        write_further_table(context, further)
        return
    chosen = chosen_form(context, form, output, as_json=as_json)
    report = None if chosen in (PAGE, WORKBOOK) and decimal == "point" else report_for(chosen, decimal)
    max_verdicts = _max_verdicts(verdicts)
    has_curves = reach is not None or chosen == PAGE
    new, base = read_sides(result_paths(paths), result_paths(against) if against else [], curves=has_curves)
    if chosen == "table" and output is None and base is None and sys.stdout.isatty():
        report = _with_curves(new)
    options = CompareOptions(
        **chosen_rows(new, by, baseline, metric, where),
        alpha=alpha,
        delta=100 * amount("--delta", amounts.difference, "test.accuracy", delta),
        tune=listed(tune),
        against=base,
        fail_if=fail_if or _gates_of_environment(),
        methods=methods,
        reach=None if reach is None else amount("--reach", amounts.level, "val.accuracy", reach),
        all_pairs=all_pairs,
        prediction=prediction,
        chance=chance,
        anytime=anytime,
    )
    found = replace(compare_with(new, options), max_verdicts=max_verdicts)
    if chosen in ("csv", WORKBOOK):  # numbers alone, and a file that is not read at once
        for warning in found.all_warnings:
            print_note(printable(f"warning: {warning}"))
    if report is not None:
        _write(report, found, output)
    elif output is not None:
        (write_page_of if chosen == PAGE else write_workbook)(new, found, options, output)
    if chosen == "table" and output is None and sys.stdout.isatty():
        print_note(f"as a page: {_page_command(context.params)}")
    if _report_gates(found):
        raise typer.Exit(1)


def chosen_rows(
    records: Records,
    by: list[str] | None,
    baseline: list[str] | None,
    metric: list[str] | None,
    where: list[str] | None,
) -> dict[str, Any]:
    """Read the options that choose rows and metrics, as ``analysis.compare`` takes them."""
    return {
        "by": listed(by),
        "baseline": settings("--baseline", baseline, records),
        "metric": listed(metric),
        "where": settings("--where", where, records),
    }


def read_sides(paths: list[Path], against: list[Path], *, curves: bool) -> tuple[Records, Records | None]:
    """Read the results, and those to compare them with; curves only where something needs them.

    Two paths that hold the same runs of a study are its old and its new results (BASE NEW): pooling them would only
    find those runs twice. So are two studies of any names that have all their runs in common, as a copy has.
    """
    from actbench.storage.reading import read_results

    if not against and len(paths) == 2:
        base, new = (read_results(path, curves=curves) for path in paths)
        earlier = {(record.study, record.spec.digest) for record in base}
        later = {(record.study, record.spec.digest) for record in new}
        names = [{study for study, _ in side} for side in (earlier, later)]
        is_copy = max(map(len, names)) == 1 and {run for _, run in earlier} == {run for _, run in later}
        if earlier & later or is_copy:
            return new, base
    return read_results(*paths, curves=curves), read_results(*against, curves=curves) if against else None


def amount(option: str, read: Callable[[str, str], float], metric: str, text: str) -> float:
    """Read an option's number as an amount of a metric, a refusal of which names the option."""
    from actbench.errors import UsageError

    try:
        return read(metric, text)
    except UsageError as error:
        raise UsageError(f"{option}: {error}") from error


def _gates_of_environment() -> list[str]:
    return [text.strip() for text in os.environ.get(GATES_VARIABLE, "").split(";") if text.strip()]


def _page_command(given: Mapping[str, Any]) -> str:
    """Return the command that writes the same comparison as a page.

    Args:
        given: Parameter of this command -> its value.
    """
    from inspect import signature

    from actbench.system.command_line import command_text, shown_path

    options, known = [], signature(compare).parameters
    for name in SHARED_WITH_REPORT:
        value = given[name]
        if value is None or value == known[name].default:
            continue
        if value is True:
            options.append(f"--{name}")
            continue
        for one in value if isinstance(value, (list, tuple)) else [value]:
            options.append(f"--{name}={shown_path(one) if isinstance(one, Path) else one}")
    return command_text(["report", *options, "-o", "report.html", *(given["paths"] or ())])


def _max_verdicts(verdicts: str) -> int | None:
    from actbench.errors import UsageError

    if verdicts == "all":
        return None
    if not verdicts.isdecimal():
        raise UsageError(f"--verdicts: expected a number or 'all', not '{verdicts}'")
    return int(verdicts)


def _report_gates(found: Comparisons) -> bool:
    """Print each gate that tripped or could not be decided on stderr; return whether any tripped."""
    for gate in found.gates:
        if gate.undecided_reason:
            print_note(printable(f"warning: --fail-if '{gate.text}': {gate.undecided_reason}"))
        if gate.tripped_reason:
            print_note(printable(f"actbench: --fail-if '{gate.text}' tripped: {gate.tripped_reason}"))
    return any(gate.tripped_reason for gate in found.gates)


def _with_curves(records: Records) -> Report:
    """Return the table that draws each row's curves beside its numbers, where the terminal has room for them."""
    from functools import partial

    from actbench.analysis.reports.table import TableReport
    from actbench.storage.reading import curve_at

    return TableReport(partial(curve_at, records))


def _write(report: Report, found: Comparisons, output: Path | None) -> None:
    from actbench.system.files import write_output

    if output is None:
        report.render(found, sys.stdout)
        return
    text = StringIO()
    report.render(found, text)
    write_output(output, text.getvalue())
