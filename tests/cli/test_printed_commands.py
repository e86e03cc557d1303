"""Commands that actbench prints to be copied: each is given to a shell in the folder in which it was printed."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from commands import Done, in_this_process
from factories import cells, record, save

from actbench import __main__
from actbench.analysis.compare import compare
from actbench.schema.record import RunRecord
from actbench.storage.reading import read_results
from actbench.storage.store import Store
from actbench.system.command_line import command_text, shown_path

CONFIG = "study: demo\nactivation: relu\nseeds: 10\nsweep:\n  activation: [relu, elu]\n"
NOISE = [0.0, 0.004, -0.003, 0.002, -0.004, 0.001, 0.003, -0.002, -0.001, 0.0005]

STRANGE = ["results", 'it\'s "mine" $HOME', "a=b", "-ünïcode;rm"]
"""Names of results folders, each of which a shell or an option parser could misread."""


def runs(argv: list[str] | None = None) -> list[RunRecord]:
    """Two rows that ten seeds can't tell apart."""
    values = {"relu": [0.93 + s / 1000 for s in range(10)], "elu": [0.93 + s / 1000 + NOISE[s] for s in range(10)]}
    return cells(values, environment={} if argv is None else {"argv": argv})


Actbench = Callable[..., Done]


@pytest.fixture
def actbench(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Actbench:
    """``python -m actbench`` in a folder, in this process: it prints what it would print in one of its own."""
    command = in_this_process(monkeypatch, capfd, program=__main__.__file__)

    def run(*arguments: str | Path, folder: Path) -> Done:
        monkeypatch.chdir(folder)
        return command(*map(str, arguments))

    return run


def shell(command: str, *, folder: Path) -> subprocess.CompletedProcess[str]:
    settings = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    return subprocess.run(["sh", "-c", command], cwd=folder, env=settings, capture_output=True, text=True, check=False)


def printed(text: str, before: str = "") -> str:
    """The command in an output: on a line of its own, or behind some words."""
    (line,) = [line for line in text.splitlines() if line.strip().startswith(before) and "-m actbench " in line]
    return line.strip().removeprefix(before)


def offered(results: Path) -> dict[str, str]:
    (found,) = compare(read_results(results)).comparisons
    assert [text for text in found.verdicts if "needs about" in text]
    return dict(found.commands)


@pytest.mark.slow
@pytest.mark.parametrize("name", STRANGE)
def test_the_command_for_more_seeds_works_as_it_is_printed_whatever_the_folder_is_called(
    actbench: Actbench, tmp_path: Path, name: str
) -> None:
    save(tmp_path / name, runs(), text=CONFIG)
    done = actbench("compare", f"./{name}", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    again = shell(f"{printed(done.stdout)} --dry-run", folder=tmp_path)
    assert again.returncode == 0, again.stderr
    assert ": 20 done, " in again.stdout


@pytest.mark.slow
@pytest.mark.parametrize(("here", "asked"), [("far", "away/results"), ("far/away/results/demo", "."), ("", "far/away")])
def test_the_command_works_from_wherever_a_moved_folder_is_compared(
    actbench: Actbench, tmp_path: Path, here: str, asked: str
) -> None:
    save(tmp_path / "results", runs(["actbench", "run", "configs/gone.yaml", "-o", "results"]), text=CONFIG)
    shutil.move(tmp_path / "results", tmp_path / "far/away/results")
    folder = tmp_path / here
    asked = "far/away/results/demo" if asked == "far/away" else asked
    done = actbench("compare", asked, "--format", "markdown", folder=folder)
    (line,) = [line for line in done.stdout.splitlines() if "needs about" in line]
    again = shell(f"{line.split('`')[1]} --dry-run", folder=folder)
    assert again.returncode == 0, again.stderr
    assert ": 20 done, " in again.stdout
    assert str(tmp_path / "far/away/results/demo") in again.stdout or "results/demo" in again.stdout


def test_the_command_keeps_how_the_runs_were_computed_and_not_which(tmp_path: Path) -> None:
    (tmp_path / "my data").mkdir()
    given = ["--device=cpu", "-j4", "--data-dir", str(tmp_path / "my data"), "--no-capture", "--engine", "inline"]
    chosen = ["--force", "--retry", "all", "--until", "test.accuracy ci < 1pp", "seeds=3", "-o", "old"]
    save(tmp_path / "results", runs(["actbench", "run", "x.yaml", *chosen, *given]), text=CONFIG)
    (command,) = offered(tmp_path / "results").values()
    words = shlex.split(command)
    assert words[:2] == ["actbench", "run"]
    assert words[words.index("--results") + 1] == shown_path(tmp_path / "results")
    kept = words[words.index("--results") + 2 :]
    assert kept == ["--device", "cpu", "-j", "4", "--data-dir", str(tmp_path / "my data"), "--no-capture",
                    "--engine", "inline"]  # fmt: skip
    assert not {"--force", "--retry", "--until", "seeds=3", "old"} & set(words)


@pytest.mark.parametrize(
    "broken", ["no config", "a config that is none", "another config", "data gone", "images gone", "code gone"]
)
def test_where_no_command_would_work_none_is_printed_and_the_sentence_ends_before_it(
    actbench: Actbench, tmp_path: Path, broken: str
) -> None:
    argv = ["a", "run", "x.yaml", "--data-dir", "no such folder"] if broken == "data gone" else None
    own = {
        "images gone": {"dataset": {"name": "image_folder", "root": "no such images"}},
        "code gone": {"model": {"name": "mine", "path": "no_such_module:Model"}},
    }.get(broken, {})
    records = [
        replace(one, spec=type(one.spec).model_validate({**one.spec.to_json(), **own})) for one in runs(argv)
    ]  # fmt: skip
    extra = "".join(f"{key}: {value}\n" for key, value in own.items())
    save(tmp_path / "results", records, text=CONFIG + extra)
    config = tmp_path / "results/demo/study.yaml"
    if broken == "no config":
        config.unlink()
    elif broken == "a config that is none":
        config.write_text("study: [")
    elif broken == "another config":
        config.write_text(CONFIG.replace("elu]", "gelu]"))
    assert offered(tmp_path / "results") == {}
    done = actbench("compare", "results", folder=tmp_path)
    assert "telling 0.1 points apart needs about" in " ".join(done.stdout.split())
    assert "actbench run" not in done.stdout
    assert [line for line in done.stdout.splitlines() if line.endswith(" seeds")]


def test_the_command_of_the_same_study_is_there_where_its_code_and_data_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = {"dataset": {"name": "image_folder", "root": "images"}, "model": {"name": "mine", "path": "own_code:Model"}}
    records = [replace(one, spec=type(one.spec).model_validate({**one.spec.to_json(), **own})) for one in runs()]
    save(tmp_path / "results", records, text=CONFIG + "".join(f"{key}: {value}\n" for key, value in own.items()))
    (tmp_path / "images").mkdir()
    (tmp_path / "own_code.py").write_text("raise SystemExit('a reading command runs no user code')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert len(offered(Path("results"))) == 1


def test_nobody_is_offered_hundreds_of_seeds(tmp_path: Path) -> None:
    wide = [0.9 + 30 * noise for noise in NOISE]
    save(tmp_path / "results", [*runs()[:10], *cells({"elu": wide})], text=CONFIG)
    assert offered(tmp_path / "results") == {}


def test_records_that_lie_in_no_folder_get_no_command(tmp_path: Path) -> None:
    (found,) = compare(runs()).comparisons
    assert found.commands == {}
    for side in ("one", "two"):
        save(tmp_path / side, runs()[:: 1 if side == "one" else 2], text=CONFIG)
    pooled = read_results(tmp_path / "one", tmp_path / "two")
    assert pooled.folders == {}, "two studies of one name: which is meant?"


def test_the_command_is_no_part_of_the_json(actbench: Actbench, tmp_path: Path) -> None:
    save(tmp_path / "results", runs(), text=CONFIG)
    done = actbench("compare", "results", "--json", folder=tmp_path)
    assert "needs about" in done.stdout
    assert "actbench run" not in done.stdout


@pytest.mark.parametrize("name", STRANGE[1:2])
def test_the_command_of_status_works_as_it_is_printed(actbench: Actbench, tmp_path: Path, name: str) -> None:
    save(tmp_path / name, runs(["a", "run", "x.yaml", "--device", "cpu"])[:-1], text=CONFIG)
    done = actbench("status", f"./{name}", folder=tmp_path)
    command = printed(done.stdout, "to go on: ")
    assert command.endswith(" --device cpu")
    again = shell(f"{command} --dry-run", folder=tmp_path)
    assert again.returncode == 0, again.stderr
    assert "20: 19 done, 1 to do" in again.stdout


@pytest.mark.slow
@pytest.mark.parametrize("study", ["007", "1e3", "null", "yes"])
def test_a_study_whose_name_yaml_reads_otherwise_is_resumed_under_its_name(
    actbench: Actbench, tmp_path: Path, study: str
) -> None:
    save(tmp_path / "results", [replace(one, study=study) for one in runs()[:-1]], text=CONFIG.partition("\n")[2])
    done = actbench("status", "..", folder=tmp_path / "results" / study / "runs")
    again = shell(f"{printed(done.stdout, 'to go on: ')} --dry-run", folder=tmp_path / "results" / study / "runs")
    assert again.returncode == 0, again.stderr
    assert ": 19 done, 1 to do" in again.stdout


def test_a_folder_with_a_name_that_no_study_can_have_gets_a_reason_instead_of_a_command(
    actbench: Actbench, tmp_path: Path
) -> None:
    save(tmp_path / "results", runs()[:-1], text=CONFIG)
    (tmp_path / "results/demo").rename(tmp_path / "results/my copy")
    done = actbench("status", folder=tmp_path)
    assert "to go on: " not in done.stdout
    assert "warning: no command to go on from here: 'my copy' can't be the name of a study" in done.stdout


@pytest.mark.slow
def test_the_commands_below_a_finished_study_work_as_they_are_printed(
    actbench: Actbench, tmp_path: Path, data_folder: Path
) -> None:
    (tmp_path / "my study.yaml").write_text(
        "dataset: {name: digits, train_size: 100, test_size: 50}\nmodel: {name: mlp, hidden: [8]}\n"
        "training: {epochs: 1, batch_size: 32}\nsweep:\n  activation: [relu, 'where(x > 0, x, x / 0)']\nseeds: 1\n"
        "study: mine\n"
    )
    settings = ["-o", "all 'mine'", "--data-dir", data_folder, "--engine", "inline"]
    done = actbench("run", "my study.yaml", *settings, folder=tmp_path)
    assert "mine: " in done.stderr
    shown = shell(printed(done.stderr, "compare: "), folder=tmp_path)
    assert shown.returncode == 0, shown.stderr
    assert "mine · digits" in shown.stdout


def test_a_run_that_has_not_finished_is_shown_with_the_command_that_resumes_it(
    actbench: Actbench, tmp_path: Path
) -> None:
    save(tmp_path / "my results", runs()[:-1], text=CONFIG)
    left = runs()[-1].spec
    Store(tmp_path / "my results", "demo").begin(left)
    done = actbench("show", left.run_id, "--results", "my results", folder=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    again = shell(f"{done.stderr.split('`')[1]} --dry-run", folder=tmp_path)
    assert "20: 19 done, 1 to do" in again.stdout
    (tmp_path / "my results/demo/study.yaml").unlink()
    done = actbench("show", left.run_id, "--results", "my results", folder=tmp_path)
    assert "no command resumes it from here, no config at" in done.stderr


def test_a_run_that_is_not_found_is_looked_for_in_the_folder_that_was_named(actbench: Actbench, tmp_path: Path) -> None:
    save(tmp_path / "my results", [record()])
    done = actbench("diff", "a", "b", "--results", "my results", folder=tmp_path)
    command = done.stderr.split("`")[1]
    assert shell(command, folder=tmp_path).returncode == 0


@pytest.mark.parametrize("word", ["a b", "it's", 'say "x"', "$HOME", "a;b", "*", "ü", "--until=x ci < 1pp"])
def test_a_command_is_split_by_a_shell_into_the_words_that_it_was_made_of(word: str) -> None:
    assert shlex.split(command_text(["run", word]))[-2:] == ["run", word]
    said = subprocess.run(["sh", "-c", f"printf %s {shlex.quote(word)}"], capture_output=True, text=True, check=True)
    assert said.stdout == word


def test_a_path_is_shown_relative_to_the_current_folder_or_in_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert shown_path(tmp_path / "results" / "x") == "results/x"
    assert shown_path(Path("-x/y")) == "./-x/y"
    assert shown_path(tmp_path.parent / "z") == str(tmp_path.parent / "z")
