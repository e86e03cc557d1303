"""``order_seed``: the weights of one seed, the batches of another."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from actbench.schema.record import RunRecord
from actbench.schema.runtime import Cohort, Runtime
from actbench.schema.spec import RunSpec
from actbench.training.loop import run_cohort
from actbench.training.state import TrainState

SMALL: dict[str, Any] = {
    "dataset": {"name": "digits", "train_size": 200, "test_size": 100},
    "model": {"name": "mlp", "hidden": [8], "dropout": 0.2},
    "training": {"epochs": 2, "batch_size": 32, "augment": {"crop": 1}},
}


def spec(**changes: Any) -> RunSpec:
    return RunSpec.model_validate({**SMALL, **changes})


def state(folder: Path, **changes: Any) -> TrainState:
    return TrainState.open(Cohort((spec(**changes),)), Runtime(device="cpu", data_folder=folder))


def record_of(folder: Path, *specs: RunSpec) -> list[RunRecord]:
    events = run_cohort(Cohort(specs), Runtime(device="cpu", data_folder=folder))
    found = {event.record.spec.digest: event.record for event in events if hasattr(event, "record")}
    return [found[one.digest] for one in specs]


def numbers(record: RunRecord) -> list[Any]:
    return [(row["train.loss"], row["val.loss"]) for row in record.curves] + [record.final["test.loss"]]


def test_the_run_s_own_seed_as_order_seed_changes_no_number(tmp_path: Path) -> None:
    (own,) = record_of(tmp_path, spec(seed=3))
    (same,) = record_of(tmp_path, spec(seed=3, order_seed=3))

    assert numbers(own) == numbers(same)


def test_weights_follow_the_seed_and_batches_the_order_seed(tmp_path: Path) -> None:
    plain, other = state(tmp_path, seed=1), state(tmp_path, seed=1, order_seed=2)
    batches = state(tmp_path, seed=2)

    for name, tensor in plain.stack.tensors.items():
        assert torch.equal(tensor, other.stack.tensors[name])
    for (x, labels), (expected, targets) in zip(other.batches.epoch(), batches.batches.epoch(), strict=True):
        assert torch.equal(x, expected)
        assert torch.equal(labels, targets)
    noise = torch.empty(1, 4, 8)
    assert torch.equal(other.act.uniform(noise), batches.act.uniform(noise))


def test_the_order_alone_changes_a_result(tmp_path: Path) -> None:
    (one,), (other,) = record_of(tmp_path, spec(order_seed=0)), record_of(tmp_path, spec(order_seed=1))

    assert numbers(one)[0] == numbers(other)[0], "before training"
    assert numbers(one)[1] != numbers(other)[1]


def test_runs_of_two_orders_do_not_train_together_and_old_digests_stay() -> None:
    assert spec(order_seed=1).cohort_key != spec().cohort_key
    assert spec(order_seed=None).digest == spec().digest
    assert spec(order_seed=0).digest != spec().digest


def test_an_order_seed_is_a_whole_number_from_0_up() -> None:
    with pytest.raises(ValueError, match="greater than or equal to 0"):
        spec(order_seed=-1)
