"""``actbench check``: all mistakes of all configs, as people, GitHub and programs read them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from commands import Run, in_this_process

from actbench.cli.check import workflow_command

GOOD = "study: good\ndataset: digits\nsweep: {activation: [relu, elu]}\nseeds: 3\n"
BAD = 'lr: 0.1\nsweep: {activation: [relu, gleu]}\nexpect: ["test.accuracy > 90"]\n'


@pytest.fixture
def actbench(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    monkeypatch.chdir(tmp_path)
    Path("good.yaml").write_text(GOOD, "utf-8")
    Path("bad.yaml").write_text(BAD, "utf-8")
    return in_this_process(monkeypatch, capfd)


def test_every_mistake_of_every_config_is_printed_once_and_the_exit_code_is_2(actbench: Run) -> None:
    Path("over.yaml").write_text("base: bad.yaml\nseeds: 0\n", "utf-8")

    done = actbench("check", "good.yaml", "bad.yaml", "over.yaml", "none.yaml")

    lines = [line for line in done.stdout.splitlines() if not line.startswith("  ")]
    assert [re.split(r": |(?<=yaml): ", line)[0] for line in lines] == [
        "good.yaml", "bad.yaml:1:1", "bad.yaml:2:28", "bad.yaml:3:10", "over.yaml:2:8", "none.yaml",
    ]  # fmt: skip
    assert lines[0] == "good.yaml: ok, 6 runs"
    assert "  sweep: {activation: [relu, gleu]}\n                             ^^^^\n" in done.stdout
    assert (done.returncode, done.stderr) == (2, "actbench: 3 of 4 configs can't run\n")


def test_configs_without_a_mistake_exit_with_0_and_nothing_is_written(actbench: Run) -> None:
    done = actbench("check", "good.yaml")

    assert (done.returncode, done.stdout, done.stderr) == (0, "good.yaml: ok, 6 runs\n", "")
    assert sorted(path.name for path in Path().iterdir()) == ["bad.yaml", "good.yaml"]


def test_github_gets_a_command_for_each_mistake_at_its_line(actbench: Run) -> None:
    done = actbench("check", "bad.yaml", "none.yaml", "--format", "github")

    *first, last = done.stdout.splitlines()
    assert first == [
        "::error file=bad.yaml,line=1,col=1::unknown key 'lr' — its full key is training.optimizer.lr: write training: "
        "{optimizer: {name: sgd, lr: 0.1}}",
        "::error file=bad.yaml,line=2,col=28::unknown activation 'gleu' — did you mean 'glu'?",
        "::error file=bad.yaml,line=3,col=10::test.accuracy is a fraction, from 0 to 1: write 90%25, or 0.9",
    ]
    assert last.startswith("::error file=none.yaml::no such file")
    assert done.returncode == 2


def test_what_a_command_of_github_would_read_as_its_own_is_escaped() -> None:
    command = workflow_command("error", {"file": "a:b,c%.yaml", "line": 1}, "::set-output name=x::%0A\r\nend")

    assert command == "::error file=a%3Ab%2Cc%25.yaml,line=1::::set-output name=x::%250A%0D%0Aend"
    assert len(command.splitlines()) == 1


def test_a_file_by_a_hostile_name_gives_no_command_of_its_own(actbench: Run) -> None:
    Path("a\n::error::b.yaml").write_text("seeds: 0\n", "utf-8")

    done = actbench("check", "a\n::error::b.yaml", "--format", "github")

    assert {line.partition(",line=")[0] for line in done.stdout.splitlines()} == {
        "::error file=a%0A%3A%3Aerror%3A%3Ab.yaml"
    }


def test_programs_get_each_mistake_with_its_place(actbench: Run) -> None:
    done = actbench("check", "good.yaml", "bad.yaml", "--json")

    found = json.loads(done.stdout)
    assert (found["schema"], found["ok"], done.returncode) == (1, False, 2)
    good, bad = found["configs"]
    assert good == {
        "file": "good.yaml", "ok": True, "study": "good", "runs": 6, "problems": [], "warnings": [],
    }  # fmt: skip
    assert [(one["file"], one["line"], one["column"]) for one in bad["problems"]] == [
        ("bad.yaml", 1, 1), ("bad.yaml", 2, 28), ("bad.yaml", 3, 10),
    ]  # fmt: skip
    assert actbench("check", "good.yaml", "bad.yaml", "--format", "json").stdout == done.stdout


def test_a_folder_stands_for_the_configs_in_it(actbench: Run) -> None:
    Path("empty").mkdir()

    assert actbench("check", ".").stdout == actbench("check", "bad.yaml", "good.yaml").stdout
    assert actbench("check", "empty").stderr == (
        "actbench: no config in empty: none of its files ends in .yaml or .yml\n"
    )


def test_two_studies_of_one_name_and_a_hypothesis_about_no_run_are_warned_of(actbench: Run) -> None:
    Path("twin.yaml").write_text(f"{GOOD}expect: ['test.accuracy > 90% where bias_init=1']\n", "utf-8")

    done = actbench("check", "good.yaml", "twin.yaml", "--format", "github")

    assert done.returncode == 0
    assert [line.partition("::")[2].partition("::")[0] for line in done.stdout.splitlines()] == [
        "warning file=twin.yaml"
    ] * 2
    assert "can't be judged by these runs: no run has bias_init=1" in done.stdout
    assert "its study has the name of that in good.yaml" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [((), "name at least one"), (("good.yaml", "-f", "gihub"), "unknown format 'gihub' — did you mean 'github'?")],
)
def test_a_check_of_nothing_or_in_no_format_is_refused(actbench: Run, arguments: tuple[str, ...], message: str) -> None:
    done = actbench("check", *arguments)

    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
