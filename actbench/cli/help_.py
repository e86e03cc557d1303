"""``actbench help``: the page of a command, and that of the environment variables."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

EXAMPLES = {
    "actbench help run": "what `run` takes",
    "actbench help environment": "the variables that stand for options",
}

ENVIRONMENT = "environment"

OTHERS = {
    "ACTBENCH_DATA": "folder of datasets, as --data-dir",
    "ACTBENCH_COMPARE_FAIL_IF": "gates of compare --fail-if, between semicolons",
    "ACTBENCH_HOST": "name of this machine, where several have the same",
    "CI": "true: plain lines, no display that moves",
    "NO_COLOR": "anything: no colours",
    "COLUMNS": "letters a line, in place of the terminal's",
    "TERM": "dumb: plain lines, no colours",
}
"""Variables that stand for no option of one command alone, or are read otherwise -> what they do."""

if TYPE_CHECKING:
    from typer.core import TyperGroup


def help_(
    context: typer.Context,
    name: Annotated[
        str | None, typer.Argument(metavar="COMMAND", help="A command, or `environment` for the variables.")
    ] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="The pages of all commands as one page.")] = False,
) -> None:
    """Show what a command takes, with examples."""
    from actbench.cli.output import print_result
    from actbench.cli.vocabulary import found
    from actbench.errors import UnknownNameError, UsageError
    from actbench.system.command_line import command_text

    above: Any = context.parent
    program: TyperGroup = above.command
    if markdown and name is not None:
        raise UsageError("--markdown is the page of all commands: give it without a name")
    if markdown:
        from actbench.cli.help_markdown import commands_page

        print_result(commands_page(program, above))
    elif name is None:
        print_result(above.get_help())
    elif name == ENVIRONMENT:
        print_result("\n".join(environment_lines(program)))
    elif (command := program.commands.get(name)) is None:
        if found(name):
            raise UsageError(f"'{name}' is no command but a word: {command_text(['explain', name])}")
        raise UnknownNameError("command", name, [*program.commands, ENVIRONMENT])
    else:
        own = type(context)(command, info_name=name, parent=above)
        print_result(command.get_help(own))


def environment_lines(program: TyperGroup) -> Iterator[str]:
    """Yield the page of the variables: the rule, then those of every command, then the others."""
    from actbench.cli.help_pages import variables

    yield "Every option has a variable, which holds where the option is not given."
    yield "A flag is on for 1 and off for 0; several values stand between spaces."
    for name, command in program.commands.items():
        found = variables(command, f"ACTBENCH_{name.upper()}")
        own = {variable: option for variable, option in found.items() if variable not in OTHERS}
        if own:
            yield from ("", f"{name}:")
            yield from _aligned(own)
    yield from ("", "others:")
    yield from _aligned(OTHERS)


def _aligned(rows: dict[str, str]) -> Iterator[str]:
    width = max(map(len, rows))
    return (f"  {variable:<{width}}  {text}" for variable, text in rows.items())
