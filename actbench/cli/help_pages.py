"""How help pages look: options in sections, one line each, and examples; the variables have a page of their own."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from typing import Any

from typer.core import TyperCommand, TyperGroup

from actbench.cli.output import print_result, shown_on
from actbench.errors import InterruptedCommandError

OPTIONS, RARE, MORE = "Options", "Rarely needed", "Commands"
"""Titles of sections: of options that name none, of those that few need, and of commands that name none."""

MAX_NAMES = 26
"""Letters of the left column. A longer name stands in a line of its own, so that the texts keep most of 80 columns."""


def examples_text(examples: Mapping[str, str]) -> str:
    """Return the end of a help page.

    Args:
        examples: Command -> what it does, in a few words.
    """
    return "\n".join(["Examples:", *(f"  {meaning}:\n    {command}" for command, meaning in examples.items())])


class CommandPage(TyperCommand):
    """A command whose help page fits 80 columns."""

    def get_help_option(self, ctx: Any) -> Any:
        """Return ``--help``, which prints the page as every other line is printed."""
        return _printing(super().get_help_option(ctx))

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Return the words behind the command's name: ``[OPTIONS] CONFIG [KEY=VALUE]...``."""
        return usage(self, ctx)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write a section for the arguments and one for each panel of options, in the order of the signature."""
        _write_sections(self.get_params(ctx), ctx, formatter)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Write the examples as they are: a command that is broken into lines can't be copied."""
        if self.epilog:
            formatter.write(f"\n{self.epilog}\n")


class ProgramPage(TyperGroup):
    """The program, whose help page lists the commands in sections, each with its first sentence."""

    def get_help_option(self, ctx: Any) -> Any:
        """Return ``--help``, which prints the page as every other line is printed."""
        return _printing(super().get_help_option(ctx))

    def invoke(self, ctx: Any) -> Any:
        """Run the command; Ctrl-C is an error with a message, where typer would leave without a word."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:
            raise InterruptedCommandError("interrupted") from error

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the commands and then the few options of the program itself."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for name in self.list_commands(ctx):
            command: Any = self.get_command(ctx, name)
            if not command.hidden:
                sections.setdefault(command.rich_help_panel or MORE, []).append((name, summary(command)))
        width = max(len(name) for rows in sections.values() for name, _ in rows)
        for title, rows in sections.items():
            with formatter.section(title):
                formatter.write_dl([(name.ljust(width), text) for name, text in rows])
        _write_sections(self.get_params(ctx), ctx, formatter)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Write where to read on, a line each."""
        if self.epilog:
            formatter.write(f"\n{self.epilog}\n")


def _printing(option: Any) -> Any:
    """Return the help option with a callback that leaves characters to the stream: Typer's writes UTF-8 to ASCII."""
    if option is not None:
        option.callback = _print_page
    return option


def _print_page(ctx: Any, parameter: Any, is_asked: bool) -> None:
    if is_asked and not ctx.resilient_parsing:
        print_result(ctx.get_help())
        ctx.exit()


def summary(command: Any) -> str:
    """Return the first sentence of a command's help."""
    return " ".join(str(command.help or "").partition("\n\n")[0].split())


def variables(command: Any, prefix: str) -> dict[str, str]:
    """Return the environment variables that a command reads.

    Args:
        command: A command of the program.
        prefix: That of its variables, such as ``ACTBENCH_RUN``.

    Returns:
        Variable -> the option that it stands for.
    """
    found = {}
    for option in command.params:
        if option.param_type_name != "option" or option.name == "help":
            continue
        own = option.envvar or (f"{prefix}_{option.name.upper()}" if option.allow_from_autoenv else None)
        if own:
            found[own] = _long_name(option)
    return found


def _long_name(option: Any) -> str:
    return str(max(option.opts, key=len))


def _arguments(parameters: Iterable[Any]) -> list[Any]:
    return [one for one in parameters if one.param_type_name == "argument" and not one.hidden]


def usage(command: Any, ctx: Any) -> list[str]:
    """Return the words behind a command's name: ``[OPTIONS] CONFIG [KEY=VALUE]...``."""
    return ["[OPTIONS]", *map(_usage, _arguments(command.get_params(ctx)))]


def _usage(argument: Any) -> str:
    name = _metavar(argument)
    return (name if argument.required else f"[{name}]") + ("..." if argument.nargs != 1 else "")


def _write_sections(parameters: Iterable[Any], ctx: Any, formatter: Any) -> None:
    found = [one for one in parameters if not one.hidden]
    for title, rows in [("Arguments", _argument_rows(found, ctx)), *_option_sections(found, ctx).items()]:
        if rows:
            with formatter.section(title):
                shown = [(shown_on(sys.stdout, name), text) for name, text in rows]
                formatter.write_dl(shown, col_max=MAX_NAMES)


def argument_rows(command: Any, ctx: Any) -> list[tuple[str, str]]:
    """Return each argument of a command with its help."""
    return _argument_rows([one for one in command.get_params(ctx) if not one.hidden], ctx)


def option_sections(command: Any, ctx: Any) -> dict[str, list[tuple[str, str]]]:
    """Return title -> options of a command, each with its help."""
    return _option_sections([one for one in command.get_params(ctx) if not one.hidden], ctx)


def _argument_rows(found: Iterable[Any], ctx: Any) -> list[tuple[str, str]]:
    # one row for the two runs of `diff`
    return list(dict.fromkeys((_metavar(one), _text(one, ctx)) for one in _arguments(found) if one.help))


def _option_sections(found: Iterable[Any], ctx: Any) -> dict[str, list[tuple[str, str]]]:
    sections: dict[str, list[tuple[str, str]]] = {}
    for one in found:
        if one.param_type_name == "option":
            title = getattr(one, "rich_help_panel", None) or OPTIONS
            sections.setdefault(title, []).append((_names(one), _text(one, ctx)))
    return sections


def _metavar(parameter: Any) -> str:
    return str(parameter.metavar or parameter.name.upper())


def _names(option: Any) -> str:
    names = ", ".join(sorted(option.opts, key=len))
    if option.secondary_opts:
        return f"{names} / {', '.join(option.secondary_opts)}"
    return names if option.is_flag else f"{names} {_metavar(option)}"


def _text(parameter: Any, ctx: Any) -> str:
    """Return the help of a parameter, with its default where that is a value of its own."""
    default = parameter.get_default(ctx, call=False)
    is_flag = getattr(parameter, "is_flag", False)
    if is_flag or default in (None, "", [], ()) or not parameter.show_default:
        return str(parameter.help or "")
    return f"{parameter.help} [default: {default}]"
