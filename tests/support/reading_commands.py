"""``compare``, ``show`` and ``list`` in this process, and the whole command in one of its own."""

import os
import subprocess
import sys

import typer
from factories import cells, record
from typer.testing import CliRunner

from actbench.cli.compare import compare
from actbench.cli.list_ import list_
from actbench.cli.show import show

app = typer.Typer(pretty_exceptions_enable=False)
app.command("compare")(compare)
app.command("show")(show)
app.command("list")(list_)

RECORDS = [
    *cells({"relu": [0.90, 0.91, 0.92], "elu": [0.912, 0.918, 0.933]}),
    record(None, outcome="failed", activation="tanh"),
    record(0.93, activation={"name": "elu", "alpha": 0.2}, bias_init=0.01),
]


def call(*arguments):
    """Standard output; a deliberate error is raised as it is."""
    found = CliRunner().invoke(app, list(map(str, arguments)), catch_exceptions=False)
    assert found.exit_code == 0, found.output
    return found.stdout


def python(*arguments, **environment):
    """A Python of its own, so that nothing is imported yet."""
    variables = {**os.environ, "PYTHONPATH": os.pathsep.join(["", *sys.path]), **environment}
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, env=variables, check=False)


def command(*arguments, **environment):
    """Standard output of ``actbench``."""
    found = python("-m", "actbench", *map(str, arguments), **environment)
    assert found.returncode == 0, found.stderr
    return found.stdout
