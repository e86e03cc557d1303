"""The command line: one file a command. No other room prints, or reads the arguments of the program."""

from __future__ import annotations

import errno
import os
import sys

import typer

from actbench.cli import compare, cost, diff, doctor, list_, plan, run, show, status, verify
from actbench.errors import ActbenchError, UsageError

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

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
app.command("show")(show.show)
app.command("diff")(diff.diff)
app.command("list")(list_.list_)
app.command("verify")(verify.verify)
app.command("cost")(cost.cost)
app.command("doctor")(doctor.doctor)


def main() -> None:
    """Run the command line; a deliberate error becomes one message on stderr and its exit code."""
    if "" not in sys.path:
        sys.path.insert(0, "")  # a user's own modules lie where the command is typed, as with `python -m`
    try:
        try:
            app()
        finally:
            sys.stdout.flush()  # here, where a failure to write can still be reported, not when the interpreter ends
    except ActbenchError as error:
        typer.echo(f"actbench: {error}", err=True)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        typer.echo("actbench: interrupted", err=True)
        sys.exit(130)
    except BrokenPipeError:  # the reader has seen enough, as `head` has
        _drop_output()
        sys.exit(1)
    except OSError as error:
        if error.errno not in _FULL or error.filename is not None:
            raise
        _drop_output()
        typer.echo(f"actbench: can't write the output: {error.strerror}; make room where it goes", err=True)
        sys.exit(UsageError.exit_code)


def _drop_output() -> None:
    """Send what is still buffered nowhere: it would fail again when the interpreter ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
