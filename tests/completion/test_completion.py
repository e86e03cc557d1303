"""Completion: what each shell gets for a line that is typed, and that a real bash takes it."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from io import BytesIO, TextIOWrapper
from pathlib import Path
from typing import Any

import pytest
from commands import Run, in_this_process
from factories import cells, save
from typer.main import get_command

from actbench.cli import app
from actbench.cli.command_index import index_text
from actbench.completion import complete as answer_shell
from actbench.completion import schema_keys
from actbench.completion.candidates import VALUES
from actbench.completion.commands import FILE
from actbench.completion.shells import SHELLS, VARIABLE, Candidate, TypedLine, answer, script, split_line
from actbench.config.cadence import DOTTED as CHECKPOINT_EVERY
from actbench.config.design import Design
from actbench.config.kept_weights import DOTTED as KEEP_WEIGHTS
from actbench.config.shipped import shipped
from actbench.config.unknown_keys import refusal
from actbench.schema import registry

PROGRAM: Any = get_command(app)
BREAKS = " \t\n\"'><=;|&(:"
STUDY = """\
dataset: digits
sweep:
  activation: [relu, {name: elu, alpha: 0.2}, x * tanh(x), {name: mine, path: "my_parts:bump"}]
  bias_init: [0.0, null, pytorch]
zip: {model.hidden: [[8], [8, 8]]}
seeds: 3
"""

Ask = Callable[..., list[str]]
"""The arguments of a shell's script -> the lines that it gets."""

Complete = Callable[[str], list[str]]


@pytest.fixture
def actbench(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """In a folder with a study, its results, and files of other kinds."""
    save(tmp_path / "results", cells({"relu": [0.9, 0.91], "tanh": [0.9, 0.92]}, study="depth"), text=STUDY)
    (tmp_path / "mine.yaml").write_text(STUDY)
    (tmp_path / "named.yaml").write_text(
        "cases: {none: null, clipped: {training.clip_norm: 1}, bias_0.1: {bias_init: 0.1}}"
    )
    (tmp_path / "notes.txt").touch()
    for name in ("packed.tar.xz", "packed.zip", "packed.txt"):
        (tmp_path / name).touch()
    (tmp_path / "my configs").mkdir()
    (tmp_path / ".hidden.yaml").touch()
    monkeypatch.chdir(tmp_path)
    return in_this_process(monkeypatch, capfd)


@pytest.fixture
def ask(actbench: Run, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Ask:
    monkeypatch.setenv("COMP_WORDBREAKS", BREAKS)

    def lines(shell: str, *arguments: str) -> list[str]:
        answer_shell(shell, arguments)
        return capfd.readouterr().out.splitlines()

    return lines


def completing(shell: str, ask: Ask) -> Complete:
    def words(line: str) -> list[str]:
        if shell == "bash":
            typed = split_line(line, BREAKS)
            return [typed.word[: typed.kept] + shlex.split(row)[0] for row in ask("bash", line)]
        _, *before = shlex.split(line)
        current = "" if line.endswith(" ") else before.pop()
        return [row.split("\t")[0] for row in ask(shell, *before, current)]

    return words


@pytest.fixture
def complete(ask: Ask) -> Complete:
    """The whole words that bash is offered for a line."""
    return completing("bash", ask)


@pytest.mark.parametrize("shell", SHELLS)
def test_the_three_shells_are_offered_the_same(shell: str, ask: Ask) -> None:
    complete = completing(shell, ask)

    assert complete("actbench ru") == ["run", "runs"]
    assert complete("actbench run mine.yaml activation=relu,leaky") == ["activation=relu,leaky_relu"]
    assert complete("actbench compare --where activation=x") == ["activation=x * tanh(x)"]
    assert complete("actbench compare --where 'activation=elu(alpha=0.2)' --metric=test.l") == ["--metric=test.loss"]
    assert complete("actbench run my") == ["my configs/"]
    assert set(complete("actbench list ")) >= {"activations", "configs"}
    assert complete("actbench run mine.yaml seeds=") == []


def test_fish_hands_over_the_word_at_the_cursor_as_it_is_typed(ask: Ask) -> None:
    (row,) = ask("fish", "run", "mine.yaml", "'activation=leaky")

    assert row.startswith("activation=leaky_relu\t")
    assert ask("fish", "compare", "--where", r"activation=x\ ") == ["activation=x * tanh(x)"]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("actbench ru", ["run", "runs"]),
        ("actbench --ver", ["--version"]),
        ("actbench nothing ", []),
        ("actbench run mi", ["mine.yaml"]),
        ("actbench run my", ["my configs/"]),
        ("actbench run quick", ["quickstart"]),
        ("actbench run not", []),
        ("actbench run .h", [".hidden.yaml"]),
        ("actbench check mine.yaml smo", ["smoke"]),
        ("actbench init --from smo", ["smoke"]),
        ("actbench run mine.yaml training.optimizer.e", ["training.optimizer.eps="]),
        ("actbench run mine.yaml training.au", [f"training.augment{end}=" for end in ("", ".crop", ".flip")]),
        ("actbench run mine.yaml training.ch", ["training.checkpoint_every="]),
        ("actbench run mine.yaml training.keep_weights=", [f"training.keep_weights={one}" for one in (
            "last", "best", "all", "null"
        )]),
        ("actbench run mine.yaml activation=leaky", ["activation=leaky_relu"]),
        ("actbench plan mine.yaml activation=relu,relu", ["activation=relu,relu6"]),
        ("actbench run mine.yaml training.decay=", ["training.decay=all", "training.decay=weights"]),
        ("actbench run mine.yaml model.batch_norm=", ["model.batch_norm=true", "model.batch_norm=false"]),
        ("actbench run mine.yaml bias_init=", ["bias_init=pytorch", "bias_init=null"]),
        ("actbench run mine.yaml training.epochs=", []),
        ("actbench run mine.yaml case", []),
        ("actbench run named.yaml cas", ["case="]),
        ("actbench run named.yaml case=none,", ["case=none,clipped", "case=none,bias_0.1"]),
        ("actbench run named.yaml compare.baseline.case=c", ["compare.baseline.case=clipped"]),
        ("actbench run mine.yaml compare.b", ["compare.baseline."]),
        ("actbench run mine.yaml compare.baseline.weight_init=he_u", ["compare.baseline.weight_init=he_uniform"]),
        ("actbench run mine.yaml compare.metric=test.l", ["compare.metric=test.loss"]),
        ("actbench run mine.yaml --retry ", ["failed", "none", "all"]),
        ("actbench run --retry=no", ["--retry=none"]),
        ("actbench run mine.yaml --engine in", ["inline"]),
        ("actbench run mine.yaml -j ", ["auto"]),
        ("actbench run mine.yaml --device c", ["cpu", "cuda"]),
        ("actbench run mine.yaml -o my", ["my configs/"]),
        ("actbench run --smoke mine.yaml seed", ["seeds="]),
        ("actbench run --until test.l", ["test.loss"]),
        ("actbench compare dep", ["depth"]),
        ("actbench compare pa", ["packed.tar.xz", "packed.zip"]),
        ("actbench compare results/d", ["results/depth/"]),
        ("actbench compare --by ", ["activation", "bias_init", "model.hidden"]),
        ("actbench compare --by activation,b", ["activation,bias_init"]),
        ("actbench compare depth --tune mod", ["model.hidden"]),
        ("actbench compare --where ", ["activation=", "bias_init=", "model.hidden="]),
        ("actbench compare --where activation=", [
            "activation=relu", "activation=elu(alpha=0.2)", "activation=x * tanh(x)", "activation=mine"
        ]),
        ("actbench compare --baseline activation=relu,bias_init=n", ["activation=relu,bias_init=null"]),
        ("actbench compare --where model.hidden=", ["model.hidden=[8]", "model.hidden=[8, 8]"]),
        ("actbench compare --where weight_init=ma", ["weight_init=matched"]),
        ("actbench compare --metric test.accuracy,test.l", ["test.accuracy,test.loss"]),
        ("actbench compare --format m", ["markdown"]),
        ("actbench compare -f la", ["latex"]),
        ("actbench compare --fail-if div", ["diverged"]),
        ("actbench compare --all", ["--all-pairs"]),
        ("actbench compare --all-pairs --all", []),
        ("actbench compare --metric test.loss --metr", ["--metric"]),
        ("actbench check --format g", ["github"]),
        ("actbench plot --chart differences,acc", ["differences,accuracy_dead"]),
        ("actbench plot --style s", ["slides", "screen"]),
        ("actbench show el", ["elish", "elu"]),
        ("actbench show dep", ["depth"]),
        ("actbench show --theory mi", ["mine.yaml"]),
        ("actbench show --theory mine.yaml activation=maxo", ["activation=maxout"]),
        ("actbench show --theory mine.yaml activation=se", ["activation=selu", "activation=serf"]),
        ("actbench runs --sort -test.l", ["-test.loss"]),
        ("actbench list opt", ["optimizers"]),
        ("actbench show --al", []),
        ("actbench show -- --js", []),
        ("actbench check -- mine.yaml smo", ["smoke"]),
        ("actbench export par", ["parquet"]),
        ("actbench run mine.yaml --products o", ["onednn"]),
        ("actbench help env", ["environment"]),
        ("actbench run mine.yaml --engine slurm --cluster part", ["partition="]),
        ("actbench run mine.yaml --engine ray --cluster part", []),
        ("actbench plan mine.yaml --cluster gpus", ["gpus="]),
        ("actbench plan mine.yaml --cluster cp", ["cpus="]),
        ("actbench run mine.yaml --cluster named", ["named.yaml"]),
        ("actbench explain collaps", ["collapsed"]),
        ("actbench explain training.b", ["training.batch_size"]),
        ("actbench cost relu gelu_", ["gelu_tanh"]),
        ("actbench verify const", ["constants"]),
        ("actbench completion z", ["zsh"]),
    ],
)  # fmt: skip
def test_a_shell_is_offered_what_may_stand_there(complete: Complete, line: str, expected: list[str]) -> None:
    assert sorted(complete(line)) == sorted(expected)


def test_run_ids_are_offered_where_a_run_is_named(complete: Complete, tmp_path: Path) -> None:
    ids = sorted(path.name for path in (tmp_path / "results" / "depth" / "runs").iterdir())
    relu = [name for name in ids if name.startswith("relu")]

    assert len(ids) == 4
    assert sorted(complete("actbench diff ")) == ids
    assert complete(f"actbench diff {ids[0]} relu-") == relu
    assert complete("actbench show relu-") == relu
    assert complete("actbench show --results elsewhere relu-") == []
    assert complete(f"actbench diff {ids[0]} {ids[1]} relu-") == []


def test_each_command_offers_its_own_options(complete: Complete) -> None:
    for name, command in PROGRAM.commands.items():
        names = {text for one in command.params for text in one.opts if text.startswith("--")}
        assert set(complete(f"actbench {name} --")) >= names, name


def test_words_have_a_line_on_them_that_fits_a_list(ask: Ask) -> None:
    texts = [row.partition("\t")[2] for row in (*ask("fish", "run", "mine.yaml", ""), *ask("zsh", "explain", ""))]

    assert max(map(len, texts)) == 72
    assert "relu\tcheap, sparse, linear above zero; a unit may die" in ask("fish", "show", "")


@pytest.mark.parametrize("text", ["", "sweep: [", "sweep: {a: [1, [2, [3]]], b: 1, 2: [x]}", "- 1", "sweep: 3", "\0"])
def test_a_config_beside_runs_that_can_t_be_read_offers_nothing_and_says_nothing(
    complete: Complete, tmp_path: Path, text: str, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "results" / "depth" / "study.yaml").write_text(text)

    assert complete("actbench compare --where b") in ([], ["b="])
    assert complete("actbench compare --where act") == []
    assert capfd.readouterr().err == ""


def test_without_results_nothing_is_offered(complete: Complete, tmp_path: Path) -> None:
    (tmp_path / "results").rename(tmp_path / "gone")

    for line in ("actbench compare --where ", "actbench diff ", "actbench compare results/", "actbench show relu-"):
        assert complete(line) == []


def test_letters_that_move_a_cursor_do_not_reach_the_shell(ask: Ask, tmp_path: Path) -> None:
    (tmp_path / "evil\x1b[2Jname.yaml").touch()
    (tmp_path / "two\nlines.yaml").touch()

    assert ask("zsh", "run", "ev") == ask("bash", "actbench run two") == []


def test_a_console_of_another_encoding_gets_stand_ins_in_the_texts(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout", TextIOWrapper(BytesIO(), "ascii"))

    answer_shell("zsh", ["run", "mine.yaml", "activation.alpha"])

    sys.stdout.flush()
    answer = sys.stdout.buffer.getvalue()  # type: ignore[attr-defined]
    assert answer.startswith(b"activation.alpha=\telu, celu: -alpha is the limit for z -> -inf\n")
    assert b"?" not in answer
    assert b"z^2 above z" in answer


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("actbench run ", TypedLine(("run",), "")),
        ("actbench  run   c", TypedLine(("run",), "c")),
        ("actbench run c.yaml activation=re", TypedLine(("run", "c.yaml"), "activation=re", kept=11)),
        ("actbench run 'a b' x", TypedLine(("run", "a b"), "x")),
        (r"actbench run a\ b\ c", TypedLine(("run",), "a b c")),
        ("actbench run ''", TypedLine(("run",), "")),
        ("actbench run 'activation=re", TypedLine(("run",), "activation=re", quote="'")),
        ('actbench run activation="x * ta', TypedLine(("run",), "activation=x * ta", quote='"', kept=11)),
        (r'actbench run "a\"b', TypedLine(("run",), 'a"b', quote='"')),
        (r'actbench show "x \* y', TypedLine(("show",), r"x \* y", quote='"')),
        (r"actbench show 'a\' b", TypedLine(("show", "a\\"), "b")),
        ("actbench show 'a b'c d", TypedLine(("show", "a bc"), "d")),
        ("actbench run a\\", TypedLine(("run",), "a")),
        (r"actbench run a\=b", TypedLine(("run",), "a=b")),
    ],
)
def test_a_line_is_split_as_bash_splits_it(line: str, expected: TypedLine) -> None:
    assert split_line(line, BREAKS) == expected


def test_bash_replaces_what_stands_behind_its_last_break_and_gets_it_escaped() -> None:
    formula, key = Candidate("activation=x * tanh(x)"), Candidate("activation=")

    assert answer("bash", split_line("actbench run c activation=x", BREAKS), [formula]) == r"x\ \*\ tanh\(x\) "
    assert answer("bash", split_line("actbench run c activation=x", " "), [formula]) == r"activation=x\ \*\ tanh\(x\) "
    assert answer("bash", split_line("actbench run c 'activation=x", BREAKS), [formula]) == "activation=x * tanh(x)"
    assert answer("bash", split_line("actbench run c act", BREAKS), [key]) == "activation="


def test_a_real_bash_completes(actbench: Run, tmp_path: Path) -> None:
    program = tmp_path / "bin" / "actbench"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m actbench "$@"\n')
    program.chmod(0o755)
    lines = {
        "actbench ru": ["run ", "runs "],
        "actbench run mine.yaml activation=relu,leaky": ["relu,leaky_relu "],
        "actbench run mine.yaml 'activation=leaky": ["activation=leaky_relu"],
        "actbench compare --where activation=x": [r"x\ \*\ tanh\(x\) "],
        "actbench run my": [r"my\ configs/"],
    }
    asked = [script("bash"), "complete -p actbench"]
    for line in lines:
        asked.append(f"COMP_LINE={shlex.quote(line)}; COMP_POINT=${{#COMP_LINE}}; _actbench_completion actbench")
        asked.append('printf "%s|" "${COMPREPLY[@]}"; echo')
    environment = {**os.environ, "PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}"}
    environment["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parents[2]), *filter(None, sys.path)])

    done = subprocess.run(
        ["bash", "--norc", "-c", "\n".join(asked)], capture_output=True, text=True, env=environment, cwd=tmp_path
    )

    settings, *replies = done.stdout.splitlines()
    assert settings == "complete -o nospace -F _actbench_completion actbench"
    assert replies == ["".join(f"{word}|" for word in words) for words in lines.values()], done.stderr


@pytest.mark.parametrize("shell", SHELLS)
def test_the_script_of_a_shell_asks_this_program_by_the_variable(actbench: Run, shell: str) -> None:
    done = actbench("completion", shell)

    assert (done.returncode, done.stdout) == (0, script(shell))
    assert f"{VARIABLE}={shell}" in done.stdout or f"{VARIABLE} {shell}" in done.stdout
    assert f"actbench completion {shell}" in done.stdout.splitlines()[0] + done.stdout.splitlines()[1]


def test_another_shell_is_one_sentence(actbench: Run) -> None:
    done = actbench("completion", "fsh")

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "actbench: unknown shell 'fsh' — did you mean 'fish'?\n"


def test_every_key_that_is_offered_may_be_set() -> None:
    own = {*Design.model_fields, *(f"compare.{name}" for name in ("metric",)), CHECKPOINT_EVERY, KEEP_WEIGHTS}
    keys = [one.word.removesuffix("=") for one in schema_keys.settable_keys()]

    assert [key for key in keys if key != schema_keys.BASELINE and key not in own and refusal(key)] == []
    assert len(keys) == len(set(keys)) > 60


@pytest.mark.parametrize(
    "kind", ["activations", "models", "datasets", "weight_inits", "optimizers", "schedules", "revivals", "metrics"]
)
def test_the_names_that_are_offered_are_those_that_need_no_option(kind: str) -> None:
    offered = {one.word for one in schema_keys.names(kind)}

    assert offered <= set(registry.names(kind))
    assert set(registry.names(kind)) - offered <= {"expression", "idx", "image_folder", "step"}


def test_every_parameter_with_words_of_its_own_is_one_of_a_command() -> None:
    names = {one.name for command in PROGRAM.commands.values() for one in command.params}

    assert set(VALUES) <= names


def test_the_file_of_the_commands_lists_those_that_there_are() -> None:
    """After a change of an option: python -m actbench.cli.command_index > actbench/completion/commands.json."""
    assert FILE.read_text("utf-8") == index_text()


def test_the_shipped_configs_are_offered(complete: Complete) -> None:
    assert {*shipped()} <= set(complete("actbench run "))
    assert {*complete("actbench run published/")} == {name for name in shipped() if name.startswith("published/")}
