"""Weights on the disk: stored whole before a run has finished, found again by ``load_network``, gone with a new try."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import stopping_parts
import torch

import actbench
from actbench import load_network, measure_health
from actbench.config import Study
from actbench.errors import UsageError
from actbench.execution.runner import Runner
from actbench.schema.events import Finished, Started
from actbench.schema.runtime import Cohort, Runtime
from actbench.storage.leftovers import remove_leftovers
from actbench.storage.reading import read_results
from actbench.storage.store import weight_files
from actbench.system import cancellation
from actbench.training.state import TrainState

STUDY = """\
study: kept
dataset: {name: digits, train_size: 200, test_size: 100}
model: {name: mlp, hidden: [16, 8]}
training: {epochs: 3, batch_size: 32, checkpoint_every: 1, keep_weights: KEEP}
seeds: 2
sweep: {activation: [relu, prelu]}
"""


@pytest.fixture(autouse=True)
def _unasked() -> Iterator[None]:
    cancellation.reset()
    yield
    cancellation.reset()


def study(keep: str, **changes: str) -> Study:
    text = STUDY.replace("KEEP", keep)
    for old, new in changes.items():
        text = text.replace(old, new)
    return Study.from_text(text)


def runner(chosen: Study, folder: Path, data_folder: Path, *, force: bool = False) -> Runner:
    return Runner(chosen, folder, Runtime(device="cpu", engine="inline", data_folder=data_folder), force=force)


def files(folder: Path) -> dict[str, list[int]]:
    """Run id -> epochs of its weights."""
    return {path.name: list(weight_files(path)) for path in sorted((folder / "kept/runs").iterdir())}


def contents(folder: Path) -> dict[str, bytes]:
    return {f"{path.parent.name}/{path.name}": path.read_bytes() for path in folder.rglob("*.safetensors")}


@pytest.mark.parametrize("engine", ["inline", "pool"])
def test_a_study_keeps_what_it_is_asked_to_and_gives_it_back(tmp_path: Path, data_folder: Path, engine: str) -> None:
    records = actbench.run(study("last"), tmp_path, jobs=1, device="cpu", engine=engine, data_folder=data_folder)
    assert {tuple(epochs) for epochs in files(tmp_path).values()} == {(3,)}
    for record in records:
        networks = [
            load_network(text, results=tmp_path)
            for text in (record, record.run_id, record.spec.digest[:8], tmp_path / "kept/runs" / record.run_id)
        ]
        state = TrainState.open(Cohort((record.spec,)), Runtime(device="cpu", data_folder=data_folder))
        examples = state.images.train.first(record.spec.health.probe_size)
        ((x, _),) = state.images.in_order(examples, len(examples))
        found = [measure_health(network, x[0]) for network in networks]
        assert {report.dead_fraction for report in found} == {record.final["health.dead_fraction"]}
        assert [layer.dead for layer in found[0].layers] == [layer["dead"] for layer in record.health["layers"]]


def test_all_keeps_a_file_an_epoch_of_which_the_last_is_given_unless_asked(tmp_path: Path, data_folder: Path) -> None:
    list(runner(study("all"), tmp_path, data_folder).run())
    assert {tuple(epochs) for epochs in files(tmp_path).values()} == {(0, 1, 2, 3)}
    run = next(iter(files(tmp_path)))
    x = torch.randn(4, 1, 8, 8)
    outputs = [load_network(run, results=tmp_path, epoch=epoch)(x) for epoch in (0, 2, 3)]
    assert torch.equal(load_network(run, results=tmp_path)(x), outputs[-1])
    assert not torch.equal(outputs[0], outputs[1])
    with pytest.raises(UsageError, match=r"kept no weights of epoch 7; there are those of: 0, 1, 2, 3"):
        load_network(run, results=tmp_path, epoch=7)


def test_a_run_without_weights_says_which_key_to_set(tmp_path: Path, data_folder: Path) -> None:
    list(runner(study("null"), tmp_path, data_folder).run())
    run = next(iter(files(tmp_path)))
    with pytest.raises(UsageError, match=r"set training.keep_weights to last, best or all in its config, and train"):
        load_network(run, results=tmp_path)


@pytest.mark.parametrize("keep", ["last", "best", "all"])
def test_a_study_that_was_stopped_in_the_middle_keeps_the_same_files(
    tmp_path: Path, data_folder: Path, keep: str
) -> None:
    asking = {"[relu, prelu]": "[{name: asks, path: 'stopping_parts:asks'}]", "epochs: 3": "epochs: 5"}
    stopping_parts.begin(-1)
    list(runner(study(keep, **asking), tmp_path / "whole", data_folder).run())
    stopping_parts.begin(50)
    list(runner(study(keep, **asking), tmp_path / "stopped", data_folder).run())
    stopping_parts.begin(-1)
    cancellation.reset()
    before = contents(tmp_path / "stopped")
    again = runner(study(keep, **asking), tmp_path / "stopped", data_folder)
    assert again.saved(), "it was stopped in training"
    started = [event for event in again.run() if isinstance(event, Started)]
    assert started[0].resumes
    assert contents(tmp_path / "stopped") == contents(tmp_path / "whole")
    assert before.items() <= contents(tmp_path / "whole").items()
    assert bool(before) == (keep == "all"), "only files that are final are written before the end"


def test_a_run_has_its_weights_when_it_has_its_result(tmp_path: Path, data_folder: Path) -> None:
    training = runner(study("best"), tmp_path, data_folder)
    for event in training.run():
        if isinstance(event, Finished):
            folder = training.store.run_folder(event.record.spec)
            assert (folder / "result.json").exists()
            assert len(weight_files(folder)) == 1


def test_weights_of_an_earlier_try_go_when_the_run_starts_anew(tmp_path: Path, data_folder: Path) -> None:
    list(runner(study("all"), tmp_path, data_folder).run())
    list(runner(study("last"), tmp_path, data_folder, force=True).run())
    assert {tuple(epochs) for epochs in files(tmp_path).values()} == {(3,)}
    list(runner(study("null"), tmp_path, data_folder, force=True).run())
    assert {tuple(epochs) for epochs in files(tmp_path).values()} == {()}


def test_finished_runs_without_the_weights_that_are_asked_for_now_are_named(
    tmp_path: Path, data_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    list(runner(study("null"), tmp_path, data_folder).run())
    with caplog.at_level(logging.WARNING):
        assert list(runner(study("last"), tmp_path, data_folder).run()) == []
    assert caplog.messages == [
        "4 finished runs kept no weights, since training.keep_weights was set later: --force trains them again"
    ]
    caplog.clear()
    list(runner(study("last"), tmp_path, data_folder, force=True).run())
    assert list(runner(study("last"), tmp_path, data_folder).run()) == []
    assert caplog.messages == []


def test_a_half_written_file_is_removed_with_the_other_leftovers(tmp_path: Path, data_folder: Path) -> None:
    list(runner(study("last"), tmp_path, data_folder).run())
    run = tmp_path / "kept/runs" / next(iter(files(tmp_path)))
    half = run / f".weights-3.safetensors.{'0' * 16}"
    half.write_bytes(b"half")
    remove_leftovers(tmp_path / "kept")
    assert not half.exists()
    assert list(weight_files(run)) == [3]


def test_records_and_comparison_do_not_mind_weights(tmp_path: Path, data_folder: Path) -> None:
    list(runner(study("all"), tmp_path, data_folder).run())
    assert (len(read_results(tmp_path)), read_results(tmp_path).warnings) == (4, ())


def test_of_several_networks_the_reported_one_is_given_back(tmp_path: Path) -> None:
    early = {"epochs: 3": "epochs: 8, patience: 1, select: best, optimizer: {name: sgd, lr: 0.1}"}
    actbench.run(study("all", **early), tmp_path, engine="inline")
    found = read_results(tmp_path, curves=True)
    assert any(record.final["selected_epoch"] != record.final["epochs_trained"] for record in found)
    for record in found:
        given = load_network(record, results=tmp_path).state_dict()
        chosen = load_network(record, results=tmp_path, epoch=int(record.final["selected_epoch"] or 0)).state_dict()
        assert all(torch.equal(given[name], chosen[name]) for name in given)
        assert len(record.curves) == int(record.final["epochs_trained"] or 0) + 1
