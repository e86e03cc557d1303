"""Help pages: short, complete and with examples that work; the version; the variables that stand for options."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer
from commands import Run, in_this_process
from factories import cells, save
from layered_runs import layered
from typer.main import get_command

from actbench import __version__
from actbench.cli import app
from actbench.cli.help_ import OTHERS, environment_lines
from actbench.cli.help_pages import variables

ROOT = Path(__file__).parents[2]
PROGRAM: Any = get_command(app)
COMMANDS = list(PROGRAM.commands)
STUDY = """\
dataset: {name: digits, train_size: 100, test_size: 50}
model: {name: mlp, hidden: [8]}
training: {epochs: 1, batch_size: 32}
sweep: {activation: [relu, tanh]}
seeds: 2
"""
MEASURES = {"cost", "verify"}
"""Commands whose examples take long; they are parsed, not run."""


@pytest.fixture
def actbench(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    monkeypatch.setenv("COLUMNS", "80")
    return in_this_process(monkeypatch, capfd)


def examples(name: str) -> list[str]:
    """The commands at the end of a help page."""
    text = PROGRAM.commands[name].epilog
    return [line.strip() for line in text.splitlines() if line.startswith("    ")]


EXAMPLES = [example for name in COMMANDS for example in examples(name)]


def parsed(words: list[str]) -> Any:
    """The context of a command, as the real parser makes it from the words behind ``actbench``."""
    program = PROGRAM.make_context("actbench", words, auto_envvar_prefix="ACTBENCH")
    name, command, rest = PROGRAM.resolve_command(program, [*program._protected_args, *program.args])
    return command.make_context(name, rest, parent=program)


@pytest.mark.parametrize("name", ["", *COMMANDS])
def test_a_help_page_fits_80_columns_and_names_no_variable_and_no_type(actbench: Run, name: str) -> None:
    page = actbench(*filter(None, [name]), "--help").stdout

    assert [line for line in page.splitlines() if len(line) > 80] == []
    assert "env var" not in page
    assert "ACTBENCH_" not in page
    assert re.findall(r"<\w+", page) == []
    assert "..." not in page.replace("]...", "")


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_an_option_takes_two_lines_at_most_and_every_one_has_some(actbench: Run, name: str) -> None:
    page = actbench(name, "--help").stdout
    for option in PROGRAM.commands[name].params:
        if option.param_type_name == "option":
            assert option.help, option.name
            assert max(option.opts, key=len) in page
            assert len(option.help) <= 60, option.help


def test_the_program_lists_every_command_with_its_whole_first_sentence(actbench: Run) -> None:
    page = actbench("--help").stdout

    for name in COMMANDS:
        assert re.search(rf"^  {name} +[A-Z][^.]+\.$", page, re.MULTILINE), name


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_has_two_to_four_examples_the_first_of_itself(name: str) -> None:
    assert 2 <= len(examples(name)) <= 4
    assert shlex.split(examples(name)[0])[:2] == ["actbench", name]


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_is_accepted_by_the_parser(example: str) -> None:
    words = shlex.split(example)

    assert words[0] == "actbench"
    assert parsed(words[1:]).command.name == words[1]


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in COMMANDS if name not in MEASURES])
def test_the_examples_of_a_command_work_one_after_the_other_beside_a_study_and_its_results(
    actbench: Run, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = cells({"relu": [0.90, 0.92, 0.95], "tanh": [0.91, 0.93, 0.94]}, study="study")
    save(tmp_path / "results", [layered(one).record for one in runs], text=STUDY)
    (tmp_path / "study.yaml").write_text(STUDY, "utf-8")
    monkeypatch.chdir(tmp_path)
    for example in examples(name):
        words = shlex.split(example)[1:]
        done = actbench(*words, *(["--dry-run"] if words[0] == "run" else []))
        assert done.returncode == 0, (example, done.stderr)


@pytest.mark.parametrize("name", COMMANDS)
def test_help_with_a_name_prints_the_page_of_that_command(actbench: Run, name: str) -> None:
    assert actbench("help", name).stdout == actbench(name, "--help").stdout


def test_help_alone_prints_the_page_of_the_program(actbench: Run) -> None:
    assert actbench("help").stdout == actbench("--help").stdout


def test_help_for_no_command_offers_the_nearest(actbench: Run) -> None:
    done = actbench("help", "compaer")

    assert (done.returncode, done.stdout) == (2, "")
    assert "did you mean 'compare'?" in done.stderr


def test_help_for_a_word_leads_to_explain(actbench: Run) -> None:
    done = actbench("help", "dead")

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.rstrip().endswith("actbench explain dead")


def test_the_version_is_printed(actbench: Run) -> None:
    done = actbench("--version")

    assert (done.returncode, done.stdout) == (0, f"actbench {__version__}\n")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_variable_on_the_page_stands_for_its_option(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    command = PROGRAM.commands[name]
    needed = {argument.name for argument in command.params if argument.param_type_name == "argument"}
    for variable, option in variables(command, f"ACTBENCH_{name.upper()}").items():
        sources = {_source(command, option, variable, value, len(needed)) for value in ("1", "5", "failed", "auto")}
        assert "ENVIRONMENT" in sources, variable


def _source(command: Any, option: str, variable: str, value: str, arguments: int) -> str:
    """Where the parser took an option's value from; empty where it refuses the value."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(variable, value)
        words = [command.name, *["x"] * arguments, *(["-o", "x.svg"] if command.name == "plot" else [])]
        words = [word for word in words if option != "--output" or word not in ("-o", "x.svg")]
        try:
            context = parsed(words)
        except typer.BadParameter:
            return ""
        (found,) = (one for one in command.params if option in one.opts)
        return str(context.get_parameter_source(found.name).name)


def test_the_page_of_variables_has_one_for_every_option(actbench: Run) -> None:
    page = actbench("help", "environment").stdout
    options = [
        (name, max(option.opts, key=len))
        for name, command in PROGRAM.commands.items()
        for option in command.params
        if option.param_type_name == "option" and option.name != "help"
    ]

    assert page.splitlines() == list(environment_lines(PROGRAM))
    assert [line for line in page.splitlines() if len(line) > 80] == []
    missing = []
    for name, option in options:
        own = page.partition(f"\n{name}:\n")[2].partition("\n\n")[0]
        if not re.search(rf"  {option}$", own, re.MULTILINE) and option not in " ".join(OTHERS.values()):
            missing.append((name, option))
    assert missing == []


def test_a_page_is_readable_in_60_columns(actbench: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    page = actbench("help", "compare").stdout.partition("\nExamples:")[0]

    assert max(map(len, page.splitlines())) <= 60


def test_the_page_of_commands_is_what_help_prints(actbench: Run) -> None:
    page = (ROOT / "docs" / "commands.md").read_text("utf-8")

    assert page == actbench("help", "--markdown").stdout, "actbench help --markdown > docs/commands.md"


@pytest.mark.parametrize("name", COMMANDS)
def test_the_page_of_commands_has_every_option_and_example(name: str) -> None:
    page = (ROOT / "docs" / "commands.md").read_text("utf-8")
    own = page.partition(f"\n### actbench {name}\n")[2].partition("\n### ")[0]
    options = [one for one in PROGRAM.commands[name].params if one.param_type_name == "option"]

    assert [example for example in examples(name) if f"\n{example}\n" not in own] == []
    assert [one.name for one in options if max(one.opts, key=len) not in own] == []


def test_the_page_of_all_commands_has_no_name(actbench: Run) -> None:
    done = actbench("help", "run", "--markdown")

    assert (done.returncode, done.stdout) == (2, "")
    assert "give it without a name" in done.stderr
