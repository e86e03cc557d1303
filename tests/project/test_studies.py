"""What the shipped studies promise, on the real images they name; minutes rather than seconds."""

from __future__ import annotations

from pathlib import Path

import pytest

from actbench import Study, run
from actbench.schema.record import RunRecord

CONFIGS = Path(__file__).parents[2] / "configs"


@pytest.mark.slow
def test_the_cures_study_kills_relu_units_which_leaky_relu_and_a_lower_rate_do_not(tmp_path: Path) -> None:
    study = Study.from_yaml(CONFIGS / "cures.yaml", ["case=none,leaky_relu,lower_rate", "seeds=1"])
    dead = {
        record.spec.case.label: record.final["health.dead_fraction"] or 0.0
        for record in run(study, tmp_path, engine="inline")
        if record.spec.case
    }

    assert dead["none"] > 0.25
    assert dead["leaky_relu"] == 0
    assert dead["lower_rate"] < 0.1


def trained(folder: Path, data: Path | None, config: str, *overrides: str) -> dict[str, RunRecord]:
    """Records by activation of a shipped study cut down by overrides."""
    study = Study.from_yaml(CONFIGS / config, overrides)
    return {record.spec.activation.label: record for record in run(study, folder, engine="inline", data_folder=data)}


@pytest.mark.slow
def test_the_quick_start_reaches_90_percent_with_relu(tmp_path: Path) -> None:
    records = trained(tmp_path, None, "quickstart.yaml", "activation=relu", "bias_init=0", "seeds=1")
    assert records["relu"].final["test.accuracy"] >= 0.9


@pytest.mark.slow
def test_full_mnist_reaches_97_and_a_half_percent_after_five_epochs(tmp_path: Path, mnist_folder: Path) -> None:
    (record,) = trained(tmp_path, mnist_folder, "mnist_mlp.yaml", "activation=relu", "bias_init=0", "seeds=1").values()
    assert record.spec.model.to_json()["hidden"] == [256, 256]
    assert record.spec.training.epochs == 5
    assert record.final["test.accuracy"] >= 0.975


@pytest.mark.slow
def test_the_dying_relu_recipe_kills_relu_units_and_no_leaky_ones(tmp_path: Path, mnist_folder: Path) -> None:
    records = trained(tmp_path, mnist_folder, "dying_relu.yaml", "activation=relu,leaky_relu", "bias_init=0", "seeds=1")
    assert records["relu"].final["health.dead_fraction"] > 0.1
    assert records["leaky_relu"].final["health.dead_fraction"] == 0
    born_dead = records["relu"].final["health.born_dead_fraction"]
    assert born_dead is not None
    assert born_dead < 0.02, "they died, they were not born dead"
