"""``actbench export``: what it prints, and one sentence for each thing that is in its way."""

import sys

import pytest
from commands import in_this_process
from factories import record, save

from actbench.schema import registry

PACKAGES = {"mlflow": "mlflow", "parquet": "polars", "tensorboard": "tensorboard", "wandb": "wandb"}


@pytest.fixture
def command(monkeypatch, capfd, tmp_path):
    """A command beside a folder of results with two runs."""
    monkeypatch.chdir(tmp_path)
    save(tmp_path / "results", [record(0.9, seed=seed) for seed in range(2)])
    return in_this_process(monkeypatch, capfd)


def test_it_says_what_was_written_and_how_to_look_at_it(command):
    first, second = (command("export", "tensorboard") for _ in range(2))
    assert (first.returncode, first.stderr) == (0, "")
    assert first.stdout == ("tensorboard: 2 runs written\nto look at them: tensorboard --logdir tensorboard\n")
    assert second.stdout.startswith("tensorboard: 0 runs written, 2 there already\n")


def test_parquet_names_its_files(command):
    done = command("export", "parquet", "results", "-o", "my tables", "--layers")
    assert done.stdout == (
        "my tables/runs.parquet, my tables/epochs.parquet, my tables/layers.parquet: 2 runs written\n"
    )


@pytest.mark.parametrize("name", PACKAGES)
def test_a_package_that_is_not_installed_is_named_with_the_command_that_installs_it(command, monkeypatch, name):
    package = PACKAGES[name]
    for module in [one for one in sys.modules if one.partition(".")[0] == package]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, package, None)  # so that Python finds no module of this name
    done = command("export", name)
    assert done.returncode == 2
    assert done.stderr == (
        f"actbench: export {name} needs the package {package}, which is not installed: pip install {package}\n"
    )


def test_every_exporter_has_its_package_here():
    assert {name: registry.load("exporters", name).package for name in registry.names("exporters")} == PACKAGES


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["excel"], "unknown exporter 'excel' — choose from: mlflow, parquet, tensorboard, wandb"),
        (["parket"], "unknown exporter 'parket' — did you mean 'parquet'?"),
        (["parquet", "nowhere"], "no results at nowhere: it does not exist"),
        (["tensorboard", "-o", "taken"], "can't write taken: "),
        (["parquet", "-o", "taken"], "can't write taken: "),
        (["wandb", "-o", "taken"], "can't write taken: "),
        pytest.param(
            ["mlflow", "-o", "taken"],
            "MLflow can't write to taken: file is not a database",
            marks=pytest.mark.slow,
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_is_in_its_way_is_one_sentence(command, tmp_path, words, sentence):
    (tmp_path / "taken").write_text("not a folder\n")
    done = command("export", *words)
    assert done.returncode == 2
    assert done.stderr.startswith(f"actbench: {sentence}")
    assert done.stderr.count("\n") == 1
    assert (tmp_path / "taken").read_text() == "not a folder\n"
