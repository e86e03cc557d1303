"""Functions as activations: the numbers of built-in ones, finished runs found again, readers that run nothing."""

import json

import pytest
import torch

from actbench.analysis.compare import compare
from actbench.config import Study
from actbench.errors import ConfigError, UsageError
from actbench.execution.runner import run
from actbench.storage.reading import read_results
from actbench.system import session


def study(*activations, **changes):
    fields = {
        "study": "tiny",
        "dataset": {"name": "digits", "train_size": 100, "test_size": 50},
        "model": {"name": "mlp", "hidden": [8]},
        "training": {"epochs": 1, "batch_size": 32},
        "seeds": 1,
        "sweep": {"activation": list(activations)},
    }
    return Study(**fields | changes)


def make(slope):
    def leaky(z):
        return torch.where(z > 0, z, slope * z)

    return leaky


def test_a_function_trains_as_the_built_in_activation_does(tmp_path):
    """With the engines that carry it to other processes: ``tests/conformance``."""
    records = run(study(make(0.2), "leaky_relu(negative_slope=0.2)"), tmp_path, engine="inline", device="cpu")
    assert [record.outcome for record in records] == ["ok", "ok"]
    losses = [record.final["test.loss"] for record in records]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


@pytest.mark.slow
def test_a_finished_run_is_found_by_the_same_function_and_not_by_another(tmp_path):
    for slope, runs in ((0.2, 1), (0.2, 1), (0.3, 2)):
        run(study(make(slope)), tmp_path, engine="inline", device="cpu")
        assert len(read_results(tmp_path)) == runs


@pytest.mark.slow
def test_results_are_read_without_the_function_and_not_trained_without_it(tmp_path, monkeypatch):
    (trained,) = run(study(make(0.25)), tmp_path, engine="inline", device="cpu")
    path = trained.spec.activation.path
    name = path.partition(":")[2]
    monkeypatch.delitem(session._packed, name)
    monkeypatch.delattr(session, name)
    (stored,) = (tmp_path / "tiny" / "runs").iterdir()

    spec = json.loads((stored / "spec.json").read_text())
    assert spec["activation"] == {"name": "leaky", "path": path}
    assert compare(read_results(tmp_path)).comparisons[0].rows[0].factors["activation"] == "leaky"
    again = Study.from_yaml(tmp_path / "tiny" / "study.yaml", ["seeds=2"])
    with pytest.raises(UsageError, match="'leaky' is a function of a Python session, which no file holds"):
        run(again, tmp_path, engine="inline", device="cpu")


def test_a_function_may_stand_wherever_an_activation_may():
    own = make(0.1)
    named = {"name": "mine", "path": own}
    content = {"name": "leaky", "path": session.path_of(own)}
    assert study("relu", own).specs()[1].activation.to_minimal() == content
    assert Study(activation=own).activation.to_minimal() == content
    assert Study(activation=named).activation.to_minimal() == content | {"name": "mine"}
    swept = study("relu", own, compare={"baseline": {"activation": own}})
    assert swept.compare.baseline == {"activation": content}
    assert Study.from_text(swept.text).specs() == swept.specs()


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"activation": lambda z: missing}, "activation: the function 'lambda' uses 'missing', which is not defined"),  # noqa: F821
        ({"weight_init": make}, "weight_init: a value of type function is not plain data"),
        ({"sweep": {"bias_init": [make]}}, "sweep.bias_init.0: a value of type function is not plain data"),
        ({"sweep": {"activation": [make(1), make(2)]}}, "would both be called 'leaky' in tables"),
        ({"activation": torch.tanh}, "'tanh' is built in, and tables could not tell 'torch:tanh' from it"),
    ],
)
def test_what_can_not_be_an_activation_is_refused_at_its_key(fields, problem):
    with pytest.raises(ConfigError) as caught:
        Study(**fields)
    assert problem in str(caught.value)
