"""Every shipped config is valid, small when asked to be, and says what it takes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from actbench import datasets
from actbench.config import Study

CONFIGS = sorted((Path(__file__).parents[2] / "configs").glob("*.yaml"))
RUNS = {
    "quickstart": 36,
    "smoke": 12,
    "mnist_mlp": 120,
    "mnist_cnn": 36,
    "cifar10_cnn": 21,
    "dying_relu": 112,
    "bias_init": 500,
}


def test_the_shipped_configs_are_those_listed_here() -> None:
    assert {path.stem for path in CONFIGS} == set(RUNS)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_shipped_config_stands_for_its_number_of_different_runs(path: Path) -> None:
    specs = Study.from_yaml(path).specs()

    assert len(specs) == RUNS[path.stem]
    assert len({spec.digest for spec in specs}) == len(specs)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_shipped_config_begins_with_what_it_shows_and_how_long_it_takes(path: Path) -> None:
    comments = [line for line in path.read_text("utf-8").splitlines() if line.startswith("#")]

    assert path.read_text("utf-8").startswith("# ")
    assert [line for line in comments if re.match(r"# Takes: \d", line)]


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_shipped_config_has_the_seeds_that_its_hypotheses_need(path: Path) -> None:
    """Of n seeds, sign flips reach 2^(1 − n), which Holm's method multiplies by the number of hypotheses."""
    study = Study.from_yaml(path)
    about_shares = [text for text in study.expect if text.startswith("health.")]
    if about_shares:
        assert len(study.expect) * 2.0 ** (1 - len(study.seeds)) < 0.05


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_the_smoke_version_of_a_shipped_config_is_small(path: Path) -> None:
    study = Study.from_yaml(path)
    smoke = study.smoke()

    assert smoke.name == f"{study.name}-smoke"
    assert smoke.factors == study.factors
    assert smoke.seeds == study.seeds[:2]
    for spec in smoke.specs():
        assert spec.training.epochs == 1
        assert spec.dataset.options["max_examples"] == 512
        assert spec.health.probe_size <= 512


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_the_smoke_version_of_a_shipped_config_finds_enough_data(
    path: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    spec = Study.from_yaml(path).smoke().specs()[0]
    if spec.dataset.name == "cifar10":
        pytest.skip("CIFAR-10 is not at hand")
    folder = request.getfixturevalue("mnist_folder") if spec.dataset.name == "mnist" else tmp_path

    data = datasets.load(spec.dataset, folder)

    for labels in (data.train_labels, data.val_labels, data.test_labels):
        assert 100 < len(labels) <= 512


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_shipped_config_compares_with_a_baseline_that_is_run(path: Path) -> None:
    study = Study.from_yaml(path)

    assert set(study.compare.baseline) == set(study.factors)
