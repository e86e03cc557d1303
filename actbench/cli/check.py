"""``actbench check``: every mistake in some configs at once, for people, editors and CI; no data and no torch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from actbench.system.text import printable

if TYPE_CHECKING:
    from actbench.config import Study
    from actbench.errors import Problem

EXAMPLES = {
    "actbench check study.yaml": "all mistakes, each with line and column",
    "actbench check . --format github": "all configs of a folder, in the words of a workflow",
}

FORMATS = ("text", "github", "json")
ENDINGS = (".yaml", ".yml")


@dataclass(frozen=True)
class Checked:
    """The outcome of one config's check.

    Args:
        path: The config.
        study: The study that it describes; None where there are problems.
        problems: Its mistakes.
        warnings: What is allowed, and most likely not meant.
    """

    path: Path
    study: Study | None
    problems: tuple[Problem, ...] = ()
    warnings: tuple[str, ...] = ()


def check(
    configs: Annotated[
        list[Path] | None, typer.Argument(help="Configs; a folder stands for those in it.", metavar="CONFIG")
    ] = None,
    form: Annotated[
        str,
        typer.Option(
            "-f",
            "--format",
            help="text, json, or github: annotations of a pull request.",
            envvar="ACTBENCH_CHECK_FORMAT",
        ),
    ] = "text",
    as_json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
) -> None:
    """Check configs without running them: all mistakes at once."""
    from actbench.cli.output import as_json as json_text
    from actbench.cli.output import print_note, print_result
    from actbench.errors import UnknownNameError

    if not configs:
        raise typer.BadParameter("name at least one", param_hint="CONFIG")
    if form not in FORMATS:
        raise UnknownNameError("format", form, FORMATS)
    found = _with_namesakes([_checked(path) for path in _files(configs)])
    if as_json or form == "json":
        print_result(json_text(content_of(found)))
    else:
        for line in dict.fromkeys(github_lines(found) if form == "github" else text_lines(found)):
            print_result(line)
    wrong = [one for one in found if one.problems]
    if wrong:
        print_note(f"actbench: {len(wrong)} of {len(found)} config{'' if len(found) == 1 else 's'} can't run")
        raise typer.Exit(2)


def text_lines(found: Iterable[Checked]) -> Iterator[str]:
    """Yield the mistakes as ``run`` prints them, and a line for each config without any."""
    for one in found:
        yield from map(str, one.problems)
        if one.study is not None:
            yield printable(f"{one.path}: ok, {_runs(one.study)}")
        yield from (printable(f"{one.path}: warning: {text}") for text in one.warnings)


def github_lines(found: Iterable[Checked]) -> Iterator[str]:
    """Yield workflow commands, which GitHub shows beside the lines of a pull request."""
    for one in found:
        for problem in one.problems:
            where: dict[str, Any] = {"file": problem.file or one.path}
            if problem.position is not None:
                where |= {"line": problem.position[0], "col": problem.position[1]}
            yield workflow_command("error", where, problem.message)
        for text in one.warnings:
            yield workflow_command("warning", {"file": one.path}, text)


def workflow_command(name: str, properties: Mapping[str, object], message: str) -> str:
    r"""Return a command of a GitHub workflow, escaped as its toolkit does.

    >>> workflow_command("error", {"file": "a,b.yaml", "line": 3}, "100 %\nwrong")
    '::error file=a%2Cb.yaml,line=3::100 %25%0Awrong'
    """
    given = ",".join(f"{key}={_escaped(str(value), also=':,')}" for key, value in properties.items())
    return f"::{name} {given}::{_escaped(message)}"


def content_of(found: Sequence[Checked]) -> dict[str, Any]:
    """Return the outcome as plain data, for ``--format json``."""
    return {
        "schema": 1,
        "ok": not any(one.problems for one in found),
        "configs": [
            {
                "file": str(one.path),
                "ok": not one.problems,
                "study": one.study and one.study.name,
                "runs": one.study and len(one.study.specs()),
                "problems": [
                    {
                        "file": problem.file or str(one.path),
                        "line": problem.position and problem.position[0],
                        "column": problem.position and problem.position[1],
                        "message": problem.message,
                    }
                    for problem in one.problems
                ],
                "warnings": list(one.warnings),
            }
            for one in found
        ],
    }


def _files(paths: Iterable[Path]) -> list[Path]:
    """Return the configs that are named, each once; a folder stands for those that lie in it."""
    from actbench.errors import UsageError

    files: list[Path] = []
    for path in paths:
        if not path.is_dir():
            files.append(path)
            continue
        inside = sorted(file for file in path.iterdir() if file.suffix in ENDINGS and file.is_file())
        if not inside:
            raise UsageError(f"no config in {path}: none of its files ends in {' or '.join(ENDINGS)}")
        files += inside
    return list(dict.fromkeys(files))


def _checked(path: Path) -> Checked:
    from actbench.analysis.judgements.limits import unjudged_of_plan
    from actbench.config import Study
    from actbench.errors import ConfigError

    try:
        study = Study.from_yaml(path)
    except ConfigError as error:
        return Checked(path, None, error.problems)
    return Checked(path, study, warnings=unjudged_of_plan(study.expect, study.specs()))


def _with_namesakes(found: Sequence[Checked]) -> list[Checked]:
    """Add a warning to each config whose results would go into the folder of an earlier one."""
    from dataclasses import replace

    first: dict[str, Path] = {}
    result = []
    for one in found:
        other = first.setdefault(one.study.name, one.path) if one.study else one.path
        text = f"its study has the name of that in {other}, so their results go into one folder and are pooled"
        result.append(one if other == one.path else replace(one, warnings=(*one.warnings, text)))
    return result


def _runs(study: Study) -> str:
    count = len(study.specs())
    return f"{count:,} run{'' if count == 1 else 's'}"


def _escaped(text: str, *, also: str = "") -> str:
    for letter in f"%\r\n{also}":
        text = text.replace(letter, f"%{ord(letter):02X}")
    return text
