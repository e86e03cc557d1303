"""Every command that the README, the tutorial, a how-to, a lesson or a page shows is typed here, in its order."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from forked_commands import Server
from shown_commands import REASONS, Step, cut_short, expanded, steps_of
from typer.main import get_command

from actbench.cli import app

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [
    path
    for path in (ROOT / "README.md", *sorted(DOCS.rglob("*.md")))
    if path.stem not in ("benchmarks", "scaling") and "\n```sh\n" in path.read_text("utf-8")
]
"""All texts with commands but that of the benchmarks, which take minutes to hours and have tests of their own."""

PROGRAM: Any = get_command(app)


def name_of(path: Path) -> str:
    return path.stem.lower()  # no two texts with commands have the same


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_a_command_that_is_not_run_has_a_reason(path: Path) -> None:
    steps = [step for step in steps_of(path) if step.words]

    assert steps
    assert [step.line for step in steps if step.reason and step.reason not in REASONS] == []
    assert [step.line for step in steps if not step.reason and not _is_known(step)] == []


def _is_known(step: Step) -> bool:
    return step.words[0] == "actbench" or (step.words[0] == "python" and step.words[1].endswith(".py"))


def test_only_trainings_that_download_or_need_a_machine_are_left_out() -> None:
    """Of actbench's own commands all but these few are run."""
    left_out = [step for path in PAGES for step in steps_of(path) if step.reason and step.words[0] == "actbench"]

    assert {step.reason for step in left_out} <= {
        "downloads",
        "needs a GPU",
        "needs a server",
        "needs Slurm",
        "needs Ray",
        "never ends",
    }


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_every_command_is_accepted_by_the_parser(path: Path) -> None:
    inside = [shlex.split(words) for words in re.findall(r"`(actbench\s[^`]+)`", path.read_text("utf-8"))]
    inside = [words for words in inside if len(words) > 2]  # a name alone stands for the command, in a sentence
    fenced = [[*step.words] for step in steps_of(path) if step.words and step.words[0] == "actbench"]

    assert [shlex.join(words) for words in (*fenced, *inside) if not _is_accepted(words)] == []


def _is_accepted(words: list[str]) -> bool:
    try:
        program = PROGRAM.make_context("actbench", words[1:])
        name, command, rest = PROGRAM.resolve_command(program, [*program._protected_args, *program.args])
        command.make_context(name, rest, parent=program)
    except typer.Exit:
        return True  # --help and --version
    except typer.BadParameter.__bases__[0]:
        return False
    return True


@pytest.mark.slow
@pytest.mark.parametrize("path", [path for path in PAGES if path.stem != "classroom"], ids=name_of)
def test_the_commands_of_a_text_work_one_after_another(path: Path, server: Server, tmp_path: Path) -> None:
    run_all(path, server, tmp_path)


@pytest.mark.slow
def test_the_workflow_of_the_how_to_works_line_by_line(server: Server, tmp_path: Path) -> None:
    run_all(DOCS / "howto" / "ci.md", server, tmp_path)  # writes the workflow, and its study
    workflow = yaml.safe_load((tmp_path / ".github" / "workflows" / "activations.yml").read_text("utf-8"))
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
    summary = tmp_path / "summary.md"

    for step in steps:
        line, _, target = step.get("run", "").partition(" >> ")
        if line.startswith("actbench"):
            assert server.do(tmp_path, *shlex.split(line)[1:], ACTBENCH_RUN_ENGINE="inline") == 0, line
        if target:
            assert target == '"$GITHUB_STEP_SUMMARY"'
            summary.write_text((tmp_path / "stdout").read_text("utf-8"), "utf-8")

    assert [step["run"] for step in steps if "run" in step and not step["run"].startswith("actbench")] == [
        "python -m pip install ./vendor/actbench"
    ]
    assert "| activation |" in summary.read_text("utf-8")
    assert (tmp_path / "report.html").stat().st_size > 10_000


def test_the_workflow_uses_the_actions_of_our_own() -> None:
    """Their versions are kept up in one place: what our own workflow needs, the how-to names too."""
    (text,) = [step.text for step in steps_of(DOCS / "howto" / "ci.md") if step.file.endswith("activations.yml")]
    own = (ROOT / ".github" / "workflows" / "ci.yml").read_text("utf-8")
    used = re.findall(r"uses: (\S+)", text)

    assert {name for name in used if "checkout" in name or "python" in name} <= set(re.findall(r"uses: (\S+)", own))
    assert set(yaml.safe_load(text)) == {"name", True, "permissions", "jobs"}  # YAML 1.1 reads the key `on` as true


def test_the_script_of_a_job_array_runs_a_command_that_exists() -> None:
    (text,) = [step.text for step in steps_of(DOCS / "howto" / "cluster.md") if step.file == "array.sh"]
    (line,) = [line for line in text.splitlines() if line.startswith("srun ")]

    assert _is_accepted(shlex.split(line.replace('"${SLURM_CPUS_PER_TASK:-1}"', "4"))[1:])
    assert subprocess.run(["bash", "-n"], input=text, text=True, check=False).returncode == 0


def run_all(path: Path, server: Server, folder: Path) -> None:
    """Save the files of a text and type its commands."""
    for step in steps_of(path):
        if step.file:
            (folder / step.file).parent.mkdir(parents=True, exist_ok=True)
            (folder / step.file).write_text(step.text, "utf-8")
        elif step.words[0] == "python" and not step.reason:
            subprocess.run([sys.executable, *step.words[1:]], cwd=folder, check=True)
        elif not step.reason:
            words = expanded(cut_short(step)[1:], folder)
            settings = {"ACTBENCH_RUN_ENGINE": "inline", "COLUMNS": "100", **dict(step.settings)}
            settings |= {f"WANDB_{name}_DIR": str(folder / "wandb-own") for name in ("CONFIG", "CACHE", "DATA")}
            code = server.do(folder, *words, **settings)
            assert code == step.code, f"{step.line}\n{(folder / 'stderr').read_text()}"


def test_the_texts_that_lead_a_reader_by_the_hand_have_commands() -> None:
    names = {path.relative_to(ROOT).as_posix() for path in PAGES}

    assert {"README.md", "docs/tutorial.md", "docs/classroom.md"} < names
    assert {path.relative_to(ROOT).as_posix() for path in (DOCS / "howto").glob("*.md")} < names


def test_a_note_above_a_block_is_understood() -> None:
    notes = [
        note
        for path in PAGES
        for note in re.findall(r"<!-- ([^>]*) -->\n+```sh", path.read_text("utf-8"))
        if not re.fullmatch(r"exit code \d+|as shown", note) and note.removeprefix("not run: ") not in REASONS
    ]

    assert notes == []
