"""The command line: one file a command. No other room prints, or reads the arguments of the program."""

from __future__ import annotations

import errno
import sys
import traceback
from io import StringIO
from typing import Any, NoReturn, cast

import typer

from actbench.cli import compare, cost, diff, doctor, list_, plan, plot, report, run, show, status, verify
from actbench.cli.output import print_note
from actbench.errors import ActbenchError, UsageError
from actbench.system.streams import unfailing_streams
from actbench.system.text import shortened

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

MAX_LINE, MAX_ERROR = 1_000, 10_000
"""Characters of a line of an error, and of all its lines: a name in it may be as long as a file, and there may be many
problems."""

# Typer's error about arguments; it is public, but not by a name that all versions have.
_ArgumentError = cast("type[Any]", typer.BadParameter.__bases__[0])

app = typer.Typer(
    name="actbench",
    help="Compare neural-network activations and initialisations on real images.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "auto_envvar_prefix": "ACTBENCH"},
)
app.command("run")(run.run)
app.command("plan")(plan.plan)
app.command("status")(status.status)
app.command("compare")(compare.compare)
app.command("plot")(plot.plot)
app.command("report")(report.report)
app.command("show")(show.show)
app.command("diff")(diff.diff)
app.command("list")(list_.list_)
app.command("verify")(verify.verify)
app.command("cost")(cost.cost)
app.command("doctor")(doctor.doctor)


@app.callback()
def log(context: typer.Context) -> None:
    """Print warnings while a command runs."""
    from actbench.system.log import printable_log  # not for --help, which has none

    context.with_resource(printable_log())


def main() -> NoReturn:
    """Run the command line and exit; a deliberate error becomes one message on stderr and its exit code.

    Results that could not be written, on a full disk, say, are an error. A reader who has seen enough, as ``head`` has,
    is not; and where nobody reads standard error, nothing but the messages is lost.
    """
    if "" not in sys.path:
        sys.path.insert(0, "")  # a user's own modules lie where the command is typed, as with `python -m`
    with unfailing_streams() as streams:
        code = _exit_code()
        sys.stdout.flush()  # so that it is known whether that fails
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
