"""A user's code that changes settings of the whole process changes no other run."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
import torch
import vandals

import actbench
from actbench.schema import registry
from actbench.system import user_code

CLEAN = """\
dataset: {name: digits, train_size: 200, test_size: 60}
model: {name: mlp, hidden: [12]}
training: {epochs: 2, batch_size: 32, optimizer: {name: adam, lr: 0.01}}
seeds: 2
"""

VANDALS = {
    "an activation's call": "activation: [relu, {name: vandal, path: 'vandals:act'}, tanh]",
    "an activation's gradient": "activation: [relu, {name: vandal, path: 'vandals:act_with_gradient'}, tanh]",
    "an activation's import": "activation: [relu, {name: vandal, path: 'vandal_import:act'}, tanh]",
    "a model's factory": "model: [{name: vandal, path: 'vandals:factory'}, {name: mlp, hidden: [12]}]",
    "a model's forward": "model: [{name: vandal, path: 'vandals:Net'}, {name: mlp, hidden: [12]}]",
    "a dataset": "dataset: [{name: vandal, path: 'vandals:digits'}, {name: digits, train_size: 200, test_size: 60}]",
    "a dataset's import": (
        "dataset: [{name: vandal, path: 'vandal_import:digits'}, {name: digits, train_size: 200, test_size: 60}]"
    ),
}

TOGETHER = {
    "activations": (
        "activation: [relu, {name: call, path: 'vandals:act'}, {name: slope, path: 'vandals:act_with_gradient'}, "
        "{name: import, path: 'vandal_import:act'}, tanh]"
    ),
    "models": (
        "model: [{name: factory, path: 'vandals:factory'}, {name: forward, path: 'vandals:Net'}, "
        "{name: mlp, hidden: [12]}]"
    ),
    "datasets": (
        "dataset: [{name: call, path: 'vandals:digits'}, {name: import, path: 'vandal_import:digits'}, "
        "{name: digits, train_size: 200, test_size: 60}]"
    ),
}
"""The same in one study for each kind of part: a worker takes seconds to start."""


@pytest.fixture(autouse=True)
def as_before(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Work in an empty folder; forget the vandal's module, so that its import changes the settings anew."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "vandal_import", raising=False)


def curves(text: str, results: str, engine: str) -> dict[str, list[dict]]:
    """Train a study; return the digest of each run -> its rows without seconds."""
    records = actbench.run(actbench.Study.from_text(text), results, engine=engine, jobs=1)
    assert {record.outcome for record in records} <= {"ok", "collapsed"}, [record.message for record in records]
    found = {}
    for path in Path(results).glob("*/runs/*/metrics.jsonl"):
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        spec = json.loads((path.parent / "result.json").read_text())
        found[spec["digest"]] = [{k: v for k, v in row.items() if k != "seconds"} for row in rows] + [
            {k: v for k, v in spec["final"].items() if k != "seconds"}
        ]
    return found


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict]]:
    results = tmp_path_factory.mktemp("clean")
    return curves(f"study: clean\n{CLEAN}sweep:\n  activation: [relu, tanh]\n", str(results), "inline")


@pytest.mark.parametrize(
    ("sweep", "engine"),
    [
        *(pytest.param(sweep, "inline", id=place) for place, sweep in VANDALS.items()),
        *(pytest.param(sweep, "pool", id=f"{kind}-pool", marks=pytest.mark.slow) for kind, sweep in TOGETHER.items()),
    ],
)
def test_what_a_users_code_changes_in_the_process_changes_no_other_run(
    sweep: str, engine: str, clean: dict[str, list[dict]]
) -> None:
    if not sweep.startswith("activation"):
        sweep += "\n  activation: [relu, tanh]"
    before = vandals.seen()
    found = curves(f"study: vandalised\n{CLEAN}sweep:\n  {sweep}\n", "results", engine)
    after = vandals.seen()
    assert len(found) > len(clean)
    assert {digest: found[digest] for digest in clean} == clean
    kept = before.keys() - {"random streams"}  # actbench draws nothing from them, but loads libraries that may
    assert {name: after[name] for name in kept} == {name: before[name] for name in kept}


@pytest.mark.parametrize("change", vandals.CHANGES)
def test_each_setting_is_put_back(change: str) -> None:
    before = vandals.seen()
    with user_code.contained():
        vandals.CHANGES[change]()
    assert vandals.seen() == before


def test_hooks_of_the_caller_come_back_in_their_order() -> None:
    def twice(saved: torch.Tensor) -> torch.Tensor:
        return 2 * saved

    def slope() -> float:
        z = torch.ones(1, requires_grad=True)
        return float(torch.autograd.grad(z * z, z)[0])

    hooks = torch.autograd.graph.saved_tensors_hooks
    with hooks(twice, lambda saved: saved):
        with hooks(lambda saved: 5 * saved, lambda saved: saved):
            with user_code.contained():
                vandals.CHANGES["saved tensors"]()
            assert slope() == 10
        assert slope() == 4
    assert slope() == 2


def wrong_by_half() -> torch.autograd.graph.saved_tensors_hooks:
    return torch.autograd.graph.saved_tensors_hooks(lambda saved: saved / 2, lambda saved: saved)


@pytest.mark.parametrize("context", [torch.inference_mode, torch.no_grad, wrong_by_half])
def test_what_the_caller_has_set_for_gradients_changes_no_run(
    context: Callable[[], AbstractContextManager[object]], clean: dict[str, list[dict]]
) -> None:
    with context():
        before = vandals.seen()
        found = curves(f"study: clean\n{CLEAN}sweep:\n  activation: [relu, tanh]\n", "results", "inline")
        after = vandals.seen()
    assert found == clean
    for name in ("gradients", "inference", "saved tensors"):
        assert after[name] == before[name]
    assert (vandals.seen()["inference"], vandals.seen()["saved tensors"]) == (False, 2)


def test_settings_are_put_back_after_an_error() -> None:
    def fail() -> None:
        with user_code.contained():
            vandals.vandalise()
            raise ZeroDivisionError

    before = vandals.seen()
    with pytest.raises(ZeroDivisionError):
        fail()
    assert vandals.seen() == before


def test_an_import_is_contained_and_its_variables_come_back_for_its_functions() -> None:
    before = vandals.seen()
    user_code.contained_import(registry.import_object, "vandal_import:digits")
    assert vandals.seen() == before
    with user_code.contained("vandal_import"):
        assert vandals.seen()["environment"] == ("/nonexistent", "was here")
    assert vandals.seen() == before


def test_a_users_gradient_is_contained() -> None:
    before = vandals.seen()
    z = torch.ones(3, requires_grad=True)
    user_code.backward(vandals.act_with_gradient(z).sum())
    assert vandals.seen() == before
    (slope,) = user_code.gradients(vandals.act_with_gradient(z).sum(), [z])
    assert vandals.seen() == before
    assert torch.equal(slope, -torch.sin(torch.ones(3)))


def test_folders_added_to_the_module_path_stay_behind_those_that_were_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", ["a", "b"])
    with user_code.contained():
        sys.path[:] = ["new", "b"]
    assert sys.path == ["a", "b", "new"]


def test_the_callers_settings_change_no_run_and_are_put_back(clean: dict[str, list[dict]]) -> None:
    """As in a notebook that has chosen another type, device and precision, and calls within no_grad."""
    before = vandals.seen()
    with user_code.contained():
        for change in ("matmul precision", "gradients", "type", "device", "threads", "autocast", "oneDNN"):
            vandals.CHANGES[change]()
        chosen = vandals.seen()
        text = f"study: caller\n{CLEAN}sweep:\n  activation: [relu, tanh]\n"
        assert curves(text, "results", "inline") == clean
        assert vandals.seen() == chosen
    assert vandals.seen() == before
    assert torch.is_grad_enabled()
