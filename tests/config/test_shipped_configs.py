"""Every shipped config is valid, small when asked to be, and says what it takes."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from factories import record

from actbench import datasets
from actbench.analysis.compare import compare
from actbench.analysis.judgements.limits import limits_of_plan
from actbench.analysis.statistics import seeds_needed
from actbench.config import Study
from actbench.schema.record import RunRecord
from actbench.schema.spec import RunSpec
from actbench.storage.reading import Records

FOLDER = Path(__file__).parents[2] / "configs"
CONFIGS = sorted(FOLDER.rglob("*.yaml"))
RUNS = {
    "quickstart": 96,
    "smoke": 18,
    "mnist_mlp": 192,
    "mnist_cnn": 96,
    "cifar10_cnn": 42,
    "dying_relu": 112,
    "bias_init": 1000,
    "collapse": 600,
    "cures": 88,
    "classroom_bias": 30,
    "classroom_depth": 36,
    "classroom_dying": 48,
    "classroom_winner": 60,
    "claims/activations": 2400,
    "claims/activations_cnn": 320,
    "claims/bias": 2880,
    "claims/explosions": 1500,
    "claims/gradients": 960,
    "claims/leaky": 1280,
    "claims/prelu": 200,
    "claims/sparsity": 280,
    "claims/useless": 1200,
    "published/dying_adam": 20,
    "published/narrow_collapse": 2000,
    "published/snn_mnist": 20,
    "published/uva_activations": 60,
}


def name(path: Path) -> str:
    return path.relative_to(FOLDER).as_posix().removesuffix(".yaml")


ABOUT_ACTIVATIONS = [path for path in CONFIGS if path.parent == FOLDER and not path.stem.startswith("classroom_")]
"""The others are lessons, claims that may be refuted, and published values; what each shows its own runs show."""


def test_the_shipped_configs_are_those_listed_here() -> None:
    assert {name(path) for path in CONFIGS} == set(RUNS)


@pytest.mark.parametrize("path", CONFIGS, ids=name)
def test_a_shipped_config_stands_for_its_number_of_different_runs(path: Path) -> None:
    specs = Study.from_yaml(path).specs()

    assert len(specs) == RUNS[name(path)]
    assert len({spec.digest for spec in specs}) == len(specs)


@pytest.mark.parametrize("path", CONFIGS, ids=name)
def test_a_shipped_config_begins_with_what_it_shows_and_how_long_it_takes(path: Path) -> None:
    comments = [line for line in path.read_text("utf-8").splitlines() if line.startswith("#")]

    assert path.read_text("utf-8").startswith("# ")
    assert [line for line in comments if re.match(r"# Takes: \d", line)]


@pytest.mark.parametrize("path", CONFIGS, ids=name)
def test_a_shipped_config_has_the_seeds_that_its_hypotheses_need(path: Path) -> None:
    """Of n seeds, sign flips reach 2^(1 − n), which Holm's method multiplies by the number of hypotheses."""
    study = Study.from_yaml(path)
    about_shares = [text for text in study.expect if text.startswith("health.")]
    if about_shares:
        assert len(study.expect) * 2.0 ** (1 - len(study.seeds)) < 0.05


@pytest.mark.parametrize("path", CONFIGS, ids=name)
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


@pytest.mark.slow
@pytest.mark.parametrize("path", CONFIGS, ids=name)
def test_the_smoke_version_of_a_shipped_config_finds_enough_data(
    path: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    spec = Study.from_yaml(path).smoke().specs()[0]
    if spec.dataset.name in ("cifar10", "fashion_mnist"):
        pytest.skip(f"{spec.dataset.name} is not at hand")
    folder = request.getfixturevalue("mnist_folder") if spec.dataset.name == "mnist" else tmp_path

    data = datasets.load(spec.dataset, folder)

    for labels in (data.train_labels, data.val_labels, data.test_labels):
        assert 100 < len(labels) <= 512


@pytest.mark.parametrize("path", CONFIGS, ids=name)
def test_a_shipped_config_compares_with_a_baseline_that_is_run(path: Path) -> None:
    study = Study.from_yaml(path)

    assert set(study.compare.baseline) <= set(study.factors)
    if path.parent == FOLDER:  # a baseline that leaves factors out is matched: each row with the one of its own setting
        assert set(study.compare.baseline) == set(study.factors)


@pytest.mark.parametrize("path", CONFIGS, ids=name)
def test_no_shipped_study_is_a_table_in_which_nothing_can_be_shown(path: Path) -> None:
    study = Study.from_yaml(path)

    assert limits_of_plan(study.compare.metric, study.expect, len(study.seeds), alpha=0.05) == ()


@pytest.mark.parametrize("path", CONFIGS, ids=name)
def test_a_shipped_study_has_the_seeds_for_a_clear_difference_in_accuracy(path: Path) -> None:
    study = Study.from_yaml(path)
    if path.stem == "smoke":
        pytest.skip("it asks whether everything works, and claims nothing about accuracies")
    rows = len(study.specs()) // len(study.seeds)

    # A difference of 2.5 standard deviations of the paired differences; the quick start's are 0.5 at most.
    assert (seeds_needed(2.5, 1.0, comparisons=rows - 1) or 0) <= len(study.seeds)


@pytest.mark.parametrize("path", ABOUT_ACTIVATIONS, ids=name)
def test_a_shipped_study_shows_what_its_runs_agree_on(path: Path) -> None:
    study = Study.from_yaml(path)
    settings = {"metric": study.compare.metric, "baseline": study.compare.baseline, "expect": study.expect}
    names = list(dict.fromkeys(spec.activation.label for spec in study.specs()))
    records = tuple(agreeing(spec, names.index(spec.activation.label)) for spec in study.specs())

    (table,) = compare(Records(records, (), {records[0].study: settings})).comparisons

    assert table.limits == ()
    for metric in study.compare.metric:
        assert any(row.vs_baseline[metric].significant for row in table.rows if row.vs_baseline), metric
    assert [one.verdict for one in table.expectations] == ["supported"] * len(study.expect)


def agreeing(spec: RunSpec, index: int) -> RunRecord:
    """A run of a study whose relu loses units in each seed, fewer with any cure, others none; cures are accurate."""
    blur = 1 + 0.05 * ((7 * spec.seed + 3 * index) % 5)
    is_relu, is_biased = spec.activation.name == "relu", spec.bias_init.to_json() not in (0.0, None)
    is_asymmetric = spec.weight_init.name == "rai"
    is_cured = spec.case is not None and spec.case.name != "none"
    dead = blur * (0.2 if is_biased or is_asymmetric or is_cured else 0.3) if is_relu else 0.0
    values = {"test.accuracy": 0.9 - 0.01 * index * blur + 0.05 * is_cured, "test.loss": 0.3 + 0.02 * index * blur}
    values |= {"test.r2": blur * (0.1 * is_asymmetric + 0.1 * index)}
    shares = ("dead_fraction", "worst_layer_dead_fraction", "born_dead_fraction")
    values |= {f"health.{name}": dead for name in shares}
    return replace(record(), spec=spec, final={**values, "parameters": 1e3, "seconds": 1.0})
