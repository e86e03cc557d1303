"""The command line: one file a command. No other room prints, or reads the arguments of the program."""

from __future__ import annotations

import errno
import sys
import traceback
from collections.abc import Callable
from io import StringIO
from typing import Annotated, Any, NoReturn, cast

import typer

from actbench._version import __version__
from actbench.cli import (
    check,
    compare,
    completion,
    cost,
    diff,
    doctor,
    explain,
    export,
    help_,
    init,
    list_,
    merge,
    pack,
    plan,
    plot,
    report,
    run,
    runs,
    schema,
    show,
    status,
    verify,
)
from actbench.cli.help_pages import CommandPage, ProgramPage, examples_text
from actbench.cli.output import print_note, print_result
from actbench.errors import ActbenchError, UsageError
from actbench.system.streams import unfailing_streams
from actbench.system.text import shortened

READER_LEFT = 141
"""The exit code where the reader of the results left before their end: 128 and the number of ``SIGPIPE``."""

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

MAX_LINE, MAX_ERROR = 1_000, 10_000
"""Characters of a line of an error, and of all its lines: a name in it may be as long as a file, and there may be many
problems."""

# Typer's error about arguments; it is public, but not by a name that all versions have.
_ArgumentError = cast("type[Any]", typer.BadParameter.__bases__[0])

app = typer.Typer(
    name="actbench",
    cls=ProgramPage,
    help="Compare neural-network activations and initialisations on real images.",
    epilog="actbench help COMMAND: what a command takes, with examples.\nactbench explain WORD: what a word means.",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,  # `completion` prints scripts of our own: those of Typer know no KEY=VALUE
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "auto_envvar_prefix": "ACTBENCH"},
)

TRAIN, LOOK, LEARN, CHECK = "Plan and train", "Look at results", "Look something up", "Check this machine"
"""Sections of ``actbench --help``, in the order of a day's work."""

_COMMANDS: tuple[tuple[str, str, Any, Callable[..., None]], ...] = (
    (TRAIN, "init", init, init.init),
    (TRAIN, "check", check, check.check),
    (TRAIN, "plan", plan, plan.plan),
    (TRAIN, "run", run, run.run),
    (TRAIN, "status", status, status.status),
    (LOOK, "compare", compare, compare.compare),
    (LOOK, "plot", plot, plot.plot),
    (LOOK, "report", report, report.report),
    (LOOK, "export", export, export.export),
    (LOOK, "show", show, show.show),
    (LOOK, "diff", diff, diff.diff),
    (LOOK, "runs", runs, runs.runs),
    (LOOK, "merge", merge, merge.merge),
    (LOOK, "pack", pack, pack.pack),
    (LEARN, "list", list_, list_.list_),
    (LEARN, "explain", explain, explain.explain),
    (LEARN, "schema", schema, schema.schema),
    (LEARN, "completion", completion, completion.completion),
    (LEARN, "help", help_, help_.help_),
    (CHECK, "doctor", doctor, doctor.doctor),
    (CHECK, "verify", verify, verify.verify),
    (CHECK, "cost", cost, cost.cost),
)
"""Section, name, module and function of each command, as ``actbench --help`` lists them; a module has ``EXAMPLES``."""

for _section, _name, _module, _function in _COMMANDS:
    _epilog = examples_text(_module.EXAMPLES)
    _settings = getattr(_module, "SETTINGS", None)
    app.command(_name, cls=CommandPage, epilog=_epilog, rich_help_panel=_section, context_settings=_settings)(_function)


def _print_version(is_asked: bool) -> None:
    if is_asked:
        print_result(f"actbench {__version__}")
        raise typer.Exit


@app.callback()
def log(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Print warnings while a command runs."""
    from actbench.system.log import printable_log  # not for --help, which has none

    context.with_resource(printable_log())


def main() -> NoReturn:
    """Run the command line and exit; a deliberate error becomes one message on stderr and its exit code.

    Results that could not be written, on a full disk, say, are an error. Where a reader has seen enough, as ``head``
    has, the command ends with the code of other tools, which ``SIGPIPE`` ends: as a gate neither tripped nor passed.
    Where nobody reads standard error, nothing but the messages is lost.
    """
    if "" not in sys.path:
        sys.path.insert(0, "")  # a user's own modules lie where the command is typed, as with `python -m`
    with unfailing_streams() as streams:
        code = _exit_code()
        sys.stdout.flush()  # so that it is known whether that fails
        if streams.reader_left and code in (0, 1):
            code = READER_LEFT
        if streams.lost is not None:
            remedy = "; make room where it goes" if streams.lost.errno in _FULL else ""
            print_note(f"actbench: can't write the output: {streams.lost.strerror}{remedy}")
            code = code or UsageError.exit_code
    sys.exit(code)


def _exit_code() -> int:
    """Run the command that the arguments name; print an error that ends it."""
    try:
        return app(standalone_mode=False) or 0
    except ActbenchError as error:
        print_note(f"actbench: {_cut(str(error))}")
        return error.exit_code
    except _ArgumentError as error:
        text = StringIO()
        error.show(text)
        print_note(_cut(text.getvalue().rstrip("\n")))
        return int(error.exit_code)
    except KeyboardInterrupt:
        print_note("actbench: interrupted")
        return 130
    except Exception:  # a defect of actbench, which is reported with its traceback
        print_note(_cut(traceback.format_exc()))
        return 1


def _cut(text: str) -> str:
    return shortened("\n".join(shortened(line, MAX_LINE) for line in text.split("\n")), MAX_ERROR)
