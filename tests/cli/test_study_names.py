"""Studies by name, ``show STUDY``, and values that stand for their factor."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from commands import Run, in_this_process
from factories import grid, save, smooth

STUDY = """\
# a comment of the author's
study: demo
description: What biases do.
sweep: {activation: [relu, elu, "max(x, 0)"], bias_init: [0.0, 0.01]}
seeds: 3
"""


@pytest.fixture
def actbench(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    save(tmp_path / "results", grid(smooth), text=STUDY)
    return in_this_process(monkeypatch, capfd)


@pytest.mark.parametrize("command", ["compare", "status", "runs"])
def test_a_study_is_named_as_well_as_its_folder(actbench: Run, command: str) -> None:
    by_path, by_name = actbench(command, "results/demo"), actbench(command, "demo")

    assert (by_name.returncode, by_name.stdout) == (0, by_path.stdout)
    assert by_name.stdout


def test_a_page_and_charts_are_made_of_a_study_by_its_name(actbench: Run) -> None:
    assert actbench("report", "demo").returncode == 0
    assert actbench("plot", "demo", "-o", "chart.svg", "--chart", "differences").returncode == 0
    assert Path("report.html").exists()
    assert Path("chart.svg").exists()


def test_a_folder_of_the_name_wins(actbench: Run) -> None:
    Path("demo").mkdir()

    assert "no runs in demo" in actbench("compare", "demo").stderr


@pytest.mark.parametrize("command", ["compare", "status", "runs"])
def test_a_misspelled_study_is_answered_with_the_nearest(actbench: Run, command: str) -> None:
    done = actbench(command, "dmeo")

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "actbench: no results at dmeo, and no study of that name in results — did you mean 'demo'?\n"
    )


def test_show_prints_a_study_with_its_config_as_it_was_written(actbench: Run) -> None:
    shown = actbench("show", "demo").stdout

    assert shown.startswith("demo  What biases do.\n")
    assert "  factors      activation (3), bias_init (2)\n" in shown
    assert "  runs         12 done, 6 to do\n" in shown
    assert shown.rstrip().endswith(STUDY.rstrip())


def test_show_gives_programs_a_study(actbench: Run) -> None:
    (found,) = json.loads(actbench("show", "demo", "--json").stdout)

    assert (found["study"], found["seeds"], found["config"]) == ("demo", [0, 1, 2], STUDY)
    assert found["factors"] == {"activation": ["relu", "elu", "max(x, 0)"], "bias_init": [0.0, 0.01]}
    assert (found["status"]["done"]["ok"], found["status"]["to_do"]) == (12, 6)


def test_show_of_a_study_whose_config_is_broken_says_what_is_wrong_with_it(actbench: Run) -> None:
    Path("results/demo/study.yaml").write_text("seedz: 3\n", "utf-8")

    done = actbench("show", "demo")

    assert done.returncode == 0
    assert "study.yaml:1:1: unknown key 'seedz' — did you mean 'seeds'?" in done.stdout


def test_a_study_is_not_drawn_as_an_activation(actbench: Run) -> None:
    assert "'demo' is a study, and show -o draws activations" in actbench("show", "demo", "-o", "x.svg").stderr


@pytest.mark.parametrize(("value", "setting"), [("elu", "activation=elu"), ("0.01", "bias_init=0.01")])
@pytest.mark.parametrize("option", ["--baseline", "--where"])
def test_a_value_alone_is_its_factors(actbench: Run, option: str, value: str, setting: str) -> None:
    short, long = (actbench("compare", "demo", option, text, "--json") for text in (value, setting))

    assert (short.returncode, short.stdout) == (0, long.stdout)


def test_a_value_alone_goes_with_settings(actbench: Run) -> None:
    short = actbench("compare", "demo", "--baseline", "elu,bias_init=0", "--json")

    assert json.loads(short.stdout)["comparisons"][0]["baseline"] == {"activation": "elu", "bias_init": 0.0}


def test_a_value_that_no_factor_has_is_refused(actbench: Run) -> None:
    done = actbench("compare", "demo", "--baseline", "rleu")

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "actbench: --baseline: 'rleu' is a value of no factor; there are: activation (elu, relu); "
        "bias_init (0, 0.01); or write KEY=VALUE\n"
    )
