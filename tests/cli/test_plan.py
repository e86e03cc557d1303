"""``actbench plan`` and the time left that a running study shows."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from factories import record, save

from actbench import cli
from actbench.cli.progress import LiveRows, PlainLines
from actbench.config import Study
from actbench.execution.runner import Runner
from actbench.schema.events import EpochDone, Event, Finished, Started
from actbench.schema.runtime import Runtime
from actbench.schema.spec import RunSpec

STUDY = """\
study: tiny
dataset: {name: digits, train_size: 200, test_size: 100}
model: {name: mlp, hidden: [16]}
training: {epochs: 2, batch_size: 32}
seeds: 2
sweep: {activation: [relu, tanh]}
"""

Run = Callable[..., str]


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "study.yaml").write_text(STUDY)
    return tmp_path / "study.yaml"


@pytest.fixture
def said(config: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """What a command prints; it has to end well."""

    def run(*arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", ["actbench", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out, err = capfd.readouterr()
        assert not ended.value.code, err
        return out

    return run


def finished(specs: Sequence[RunSpec], seconds: float, study: str = "earlier") -> None:
    """Results as if these runs had trained together."""
    here = {"device": "cpu", "device_name": platform.machine(), "processors": os.cpu_count()}
    clock = {"cohort_runs": len(specs), "cohort_seconds": seconds, "startup_seconds": 1.0, "opening_seconds": 0.0}
    row = {"epoch": 0, "seconds": 0.1 * seconds / len(specs)}
    shared = replace(record(environment=here), curves=(row,), timing=clock, study=study)
    save(Path("results"), [replace(shared, spec=spec) for spec in specs])


def specs_of(*overrides: str) -> list[RunSpec]:
    return Study.from_text(STUDY, overrides=overrides).specs()


def test_plan_says_what_a_dry_run_says(said: Run) -> None:
    for options in ((), ("seeds=3", "-j", "4"), ("--smoke",), ("--until", "test.accuracy ci < 1pp")):
        assert said("plan", "study.yaml", *options) == said("run", "study.yaml", "--dry-run", *options)


def test_plan_says_first_what_so_many_seeds_will_not_show(said: Run) -> None:
    metrics = "compare.metric=[test.accuracy,health.dead_fraction]"
    few = said("plan", "study.yaml", metrics).splitlines()
    assert few[0] == "warning      nothing can be shown: fewer than 3 seeds"
    three = said("plan", "study.yaml", metrics, "seeds=3").splitlines()
    assert three[0] == (
        "warning      nothing can be shown in health.dead_fraction: with 3 seeds no p can be below 0.05 (smallest "
        "possible adjusted p = .25); 6 seeds are the fewest that can"
    )
    assert three[1].startswith("study ")
    assert json.loads(said("plan", "study.yaml", metrics, "seeds=3", "--json"))["warnings"] == [three[0][13:]]
    assert "warning" not in said("plan", "study.yaml", metrics, "seeds=6")
    assert "warning" not in said("plan", "study.yaml", "seeds=3")
    assert "warning" not in said("plan", "study.yaml", "seeds=1", "activation=relu")  # one row compares nothing
    assert "warning" not in said("plan", "study.yaml", metrics, "--until", "test.accuracy ci < 1pp")
    expect = "expect=['health.dead_fraction: activation=tanh < activation=relu']"
    assert "sign flips can't decide 1 entry on health shares" in said("plan", "study.yaml", "seeds=3", expect)


def test_a_hypothesis_that_can_t_be_judged_is_said_before_training(said: Run, config: Path) -> None:
    expect = "expect=['test.accuracy: bias_init=0.01 > bias_init=0.0']"
    warning = "can't be judged by these runs: no run has bias_init=0.01; there are: 0"
    assert warning in said("plan", "study.yaml", expect)
    assert warning in json.loads(said("plan", "study.yaml", expect, "--json"))["warnings"][-1]
    assert warning in said("run", "study.yaml", expect, "--dry-run")
    done = subprocess.run(
        [sys.executable, "-m", "actbench", "run", config, expect, "seeds=1", "--engine", "inline"],
        check=False,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, warning in done.stderr.partition("runs to do")[0]) == (0, True)


def test_plan_counts_what_is_done_and_writes_nothing(said: Run, tmp_path: Path) -> None:
    assert "4: 0 done, 4 to do" in said("plan", "study.yaml")
    assert not (tmp_path / "results").exists()
    finished(specs_of("seeds=1"), 4.0, study="tiny")
    assert "4: 2 done, 2 to do" in said("plan", "study.yaml")
    assert "4: 0 done, 4 to do" in said("plan", "study.yaml", "--force")


def test_plan_estimates_from_other_studies_of_the_same_kind(said: Run) -> None:
    assert "time         unknown until a run of this kind has finished" in said("plan", "study.yaml")
    finished(specs_of("seeds=[7]"), 40.0)
    told = said("plan", "study.yaml", "-j", "2")
    assert "time         about 41 s, by finished runs of this kind" in told  # a seed a worker, and a second to start
    assert "time         about 81 s" in said("plan", "study.yaml", "-j", "1")
    assert "by runs of this dataset and model, set otherwise" in said("plan", "study.yaml", "training.batch_size=64")
    assert "unknown" in said("plan", "study.yaml", "dataset=mnist-5k")


def test_plan_of_a_finished_study_has_nothing_to_do(said: Run) -> None:
    finished(specs_of(), 4.0, study="tiny")
    assert "time         nothing to do" in said("plan", "study.yaml")


def test_plan_tells_programs_what_it_tells_people(said: Run) -> None:
    finished(specs_of("seeds=1"), 4.0, study="tiny")
    options = ("plan", "study.yaml", "seeds=3", "-j", "2", "--device", "cpu", "--until", "test.accuracy ci < 1pp")
    text, found = said(*options), json.loads(said(*options, "--json"))
    assert (found["study"], found["folder"]) == ("tiny", str(Path("results/tiny")))
    assert found["contexts"] == [{"dataset": "digits(train_size=200,test_size=100)", "model": "mlp(hidden=[16])"}]
    assert (found["factors"], found["seeds"]) == (["activation"], [0, 1, 2])
    assert found["runs"] == {"all": 6, "done": 2, "to_do": 4}
    assert f"{found['cohorts']} on {found['workers']} worker(s), {found['device']}" in text
    assert (found["workers"], found["engine"], found["device"]) == (2, "pool", "cpu")
    assert found["time"] == {"seconds": pytest.approx(5.0), "basis": "kind"}
    assert "about 5 s, by finished runs of this kind" in text
    runs = list(Path("results/tiny/runs").iterdir())
    stored = sum(file.stat().st_size for run in runs for file in run.iterdir())
    assert found["disk"] == {"bytes": 2 * stored, "bytes_a_run": stored / 2}
    assert found["until"] == {"condition": "test.accuracy ci < 1pp", "max_seeds": 30, "is_exact": False}


def test_plan_tells_programs_what_is_not_known_by_null(said: Run) -> None:
    found = json.loads(said("plan", "study.yaml", "--json"))
    assert found["time"] == {"seconds": None, "basis": None}
    assert found["disk"] == {"bytes": None, "bytes_a_run": None}
    assert found["until"] is None
    finished(specs_of("seeds=[7]", "training.batch_size=64"), 40.0)
    assert json.loads(said("plan", "study.yaml", "--json"))["time"]["basis"] == "family"
    finished(specs_of(), 4.0, study="tiny")
    found = json.loads(said("plan", "study.yaml", "--json"))
    assert (found["runs"]["to_do"], found["cohorts"]) == (0, 0)
    assert (found["time"], found["disk"]["bytes"]) == ({"seconds": 0, "basis": None}, 0)


def an_epoch(runner: Runner) -> list[Event]:
    """The first cohort: begun, and a second for epoch 0."""
    cohort = runner.cohorts[0]
    row = {"epoch": 0, "seconds": 1.0, "train.loss": 2.0, "val.accuracy": 0.1}
    return [Started(cohort), EpochDone(cohort, [row] * len(cohort.specs))]


def test_plain_lines_tell_the_time_left_from_the_start(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    finished(specs_of("seeds=[7]"), 40.0)
    shown = PlainLines(Runner(Study.from_yaml(config), Path("results"), Runtime("cpu", jobs=1)))
    assert capsys.readouterr().err == "tiny: 4 of 4 runs to do, 1 worker(s) on cpu, about 81 s left\n"
    for event in an_epoch(Runner(Study.from_yaml(config), Path("results"), Runtime("cpu", jobs=1))):
        shown.update(event)
    assert "0/4 runs, about " in capsys.readouterr().err


def test_plain_lines_tell_no_time_that_is_not_known(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runner = Runner(Study.from_yaml(config), Path("results"), Runtime("cpu", jobs=1))
    shown = PlainLines(runner)
    assert "left" not in capsys.readouterr().err
    for event in an_epoch(runner):
        shown.update(event)
    assert " left " in capsys.readouterr().err, "the first epoch that ended tells something"


def test_the_live_rows_count_down_to_the_end(config: Path) -> None:
    from rich.console import Console
    from rich.progress import Progress, TextColumn

    finished(specs_of("seeds=[7]"), 40.0)
    runner = Runner(Study.from_yaml(config), Path("results"), Runtime("cpu", jobs=1))
    screen = StringIO()
    bars = Progress(TextColumn("{task.description} {task.fields[left]}"), console=Console(file=screen, width=80))
    shown = LiveRows(runner, bars)
    assert "tiny about 81 s" in drawn(bars, screen)
    for cohort in runner.cohorts:
        shown.update(Started(cohort))
        for spec in cohort.specs:
            shown.update(Finished(replace(record(), spec=spec)))
    assert "tiny about 1 s" in drawn(bars, screen)


def drawn(bars: object, screen: StringIO) -> str:
    screen.seek(0)
    screen.truncate()
    bars.console.print(bars.get_renderable())
    return screen.getvalue()


@pytest.mark.parametrize(
    ("arguments", "absent"),
    [
        (["plan", "study.yaml"], ["torch", "scipy", "matplotlib", "sklearn", "torchvision", "pandas"]),
        (
            ["run", "study.yaml"],
            ["torch", "scipy", "matplotlib", "sklearn", "rich.table", "actbench.analysis.compare"],
        ),
    ],
    ids=["plan", "run with nothing to do"],
)
def test_what_trains_nothing_imports_nothing_heavy(config: Path, arguments: list[str], absent: list[str]) -> None:
    finished(specs_of(), 4.0, study="tiny")
    check = (
        f"import sys; sys.argv = ['actbench', *{arguments}]\nfrom actbench import cli\n"
        f"try: cli.main()\nexcept SystemExit as end: print(end.code or 0, [n for n in {absent} if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "0 []", done.stderr


def test_plan_tells_the_sizes_of_networks_whose_activations_change_the_width(said: Run) -> None:
    words = ("dataset=digits", "model={name: mlp, hidden: [32, 24]}", "activation=relu,swiglu,crelu")
    wide = said("plan", "study.yaml", *words).splitlines()
    (at,) = (place for place, line in enumerate(wide) if line.startswith("sizes "))
    assert wide[at : at + 3] == [
        "sizes        relu: 3,122 weights and biases at widths 32-24",
        "             swiglu: 5,994 weights and biases at widths 32-24",
        "             crelu: 1,686 weights and biases at widths 32-24",
    ]
    matched = json.loads(said("plan", "study.yaml", *words, "model.match=parameters", "--json"))["network_sizes"]
    assert matched[1] == "swiglu: 3,070 weights and biases at widths 18-15"
    assert json.loads(said("plan", "study.yaml", "--json"))["network_sizes"] == []
