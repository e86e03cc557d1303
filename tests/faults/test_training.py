"""Runs that fail while they are trained, for real: each fails alone, and nothing finished is lost."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from commands import Run
from faulty_studies import check_refused, limited, program, results, train


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the address space has no limit")
def test_a_run_that_does_not_fit_the_memory_fails_alone(actbench: Run, tmp_path: Path) -> None:
    models = "sweep.model=[{name: mlp, hidden: [60000, 60000]}, {name: mlp, hidden: [8]}]"
    done = subprocess.run(
        program("run", "study.yaml", "-j", "1", "--cohort-size", "1", "seeds=1", models),
        check=False,
        capture_output=True,
        text=True,
        preexec_fn=limited(resource.RLIMIT_AS, 8 * 2**30),  # the weights of the large one take 14 GB
    )
    check_refused(done, "failed:", "out of memory: try fewer --jobs", code=1)
    assert len(results(tmp_path)) == 2
    assert len(list(tmp_path.glob("results/faults/runs/*/error.txt"))) == 2


@pytest.mark.slow
@pytest.mark.parametrize(
    "part",
    ["dataset={name: mine, path: 'faulty_parts:fatal_data'}", "model={name: mine, path: 'faulty_parts:fatal_once'}"],
)
def test_a_worker_killed_in_the_check_before_training_costs_no_run(actbench: Run, tmp_path: Path, part: str) -> None:
    done = actbench("run", "study.yaml", "-j", "1", part)
    assert (tmp_path / "killed").read_text() == "before training"
    assert done.returncode == 0, done.stderr
    assert len(results(tmp_path)) == 4
    assert not list(tmp_path.rglob("error.txt"))


@pytest.mark.slow
def test_a_part_that_kills_every_worker_costs_its_own_runs_alone(actbench: Run, tmp_path: Path) -> None:
    models = "sweep.model=[{name: mine, path: 'faulty_parts:fatal_always'}, {name: mlp, hidden: [8]}]"
    check_refused(
        actbench("run", "study.yaml", "-j", "1", "seeds=1", models), "killed by signal 9", "fewer --jobs", code=1
    )
    assert len(results(tmp_path)) == 2
    assert len(list(tmp_path.glob("results/faults/runs/*/error.txt"))) == 2


def test_an_activation_of_the_wrong_shape_is_refused_before_anything_is_trained(actbench: Run, tmp_path: Path) -> None:
    done = train(actbench, "sweep.activation=[relu, {name: mine, path: 'faulty_parts:wrong_shape'}]")
    check_refused(done, "faulty_parts:wrong_shape", "keeps shape and type")
    assert not results(tmp_path)


@pytest.mark.parametrize("attribute", ["faulty_parts:leaves", "broken_activation:raises_when_training"])
def test_an_activation_that_fails_in_training_fails_alone(actbench: Run, tmp_path: Path, attribute: str) -> None:
    wanted = f"sweep.activation=[{{name: mine, path: '{attribute}'}}, relu, tanh]"
    check_refused(train(actbench, wanted), "failed:", "failed runs say why in", code=1)
    assert len(results(tmp_path)) == 4
    assert len(list(tmp_path.glob("results/faults/runs/mine-*/error.txt"))) == 2


def test_fail_fast_stops_and_keeps_what_is_finished(actbench: Run, tmp_path: Path) -> None:
    wanted = "sweep.activation=[{name: mine, path: 'faulty_parts:leaves'}, relu]"
    assert train(actbench, "sweep.activation=[relu]", "seeds=1").returncode == 0
    before = results(tmp_path)
    check_refused(train(actbench, wanted, "--fail-fast"), "failed:", code=1)
    assert results(tmp_path) == before
    assert train(actbench, wanted).returncode == 1
    assert len(results(tmp_path)) == 2


def test_a_loss_that_is_no_number_is_a_result_and_data_that_are_none_are_refused(actbench: Run, tmp_path: Path) -> None:
    done = train(actbench, "sweep.activation=[{name: mine, path: 'faulty_parts:not_a_number'}, relu]", "seeds=1")
    assert done.returncode == 0, done.stderr
    assert sorted(json.loads(text)["outcome"] for _, text in results(tmp_path).values()) == ["diverged", "ok"]
    check_refused(
        train(actbench, "dataset={name: mine, path: 'faulty_parts:data'}"), "train_images are float64", "expected uint8"
    )
