"""docs/commands.md: the help pages of all commands as one page, from the same texts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from actbench.cli.help_pages import argument_rows, option_sections, usage

HEAD = """\
# Commands

Every command with its options and examples, as `actbench help COMMAND` prints them. Made from the program's own texts
by `actbench help --markdown`. In place of `actbench`, `python -m actbench` does as well.
"""

FOOT = """\

## Environment variables

Every option has a variable that holds where the option is not given: `ACTBENCH_`, the command's name and the option's,
as in `ACTBENCH_RUN_RESULTS` for `actbench run --results`. `actbench help environment` lists them all. What a command
returns to a script: [exit codes](reliability.md#exit-codes)."""


def commands_page(program: Any, context: Any) -> str:
    """Return the page.

    Args:
        program: The command group, with its commands in the order of its help page.
        context: Its context.
    """
    sections: dict[str, list[str]] = {}
    for name, command in program.commands.items():
        sections.setdefault(command.rich_help_panel, []).append(name)
    lines = [HEAD, "| command | what it does |", "|---|---|"]
    for names in sections.values():
        lines += [f"| [`{name}`](#actbench-{name}) | {_cell(_paragraphs(program, name)[0])} |" for name in names]
    for title, names in sections.items():
        lines += ["", f"## {title}"]
        for name in names:
            own = type(context)(program.commands[name], info_name=name, parent=context)
            lines += ["", *_command_lines(name, program.commands[name], own)]
    return "\n".join([*lines, FOOT])


def _paragraphs(program: Any, name: str) -> list[str]:
    return [" ".join(text.split()) for text in str(program.commands[name].help).split("\n\n")]


def _command_lines(name: str, command: Any, context: Any) -> Iterator[str]:
    """Yield the section of one command."""
    yield f"### actbench {name}"
    for text in _paragraphs(context.parent.command, name):
        yield from ("", text)
    yield from ("", "```text", f"actbench {name} {' '.join(usage(command, context))}", "```")
    for title, rows in [("Arguments", argument_rows(command, context)), *option_sections(command, context).items()]:
        if rows:
            yield from ("", f"| {title.lower()} | |", "|---|---|")
            yield from (f"| `{_cell(names)}` | {_cell(text)} |" for names, text in rows)
    # The commands themselves, each below its meaning as a comment.
    examples = [line.strip() for line in command.epilog.splitlines()[1:]]
    yield from ("", "```text")
    for meaning, example in zip(examples[::2], examples[1::2], strict=True):
        yield from (f"# {meaning.removesuffix(':')}", example)
    yield "```"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
