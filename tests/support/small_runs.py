"""Runs that train in a second on 8×8 digits, and their numbers, for tests of many rooms."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from actbench.nn.activations import ELEMENTWISE
from actbench.schema.events import Failed, Finished
from actbench.schema.record import RunRecord
from actbench.schema.runtime import Cohort, Runtime
from actbench.schema.spec import RunSpec
from actbench.training.loop import run_cohort

CPU = Runtime(device="cpu", engine="inline")
DIGITS = {"name": "digits", "train_size": 200, "test_size": 100}
MLP = {"name": "mlp", "hidden": [24, 16]}


def spec(**changes: Any) -> RunSpec:
    """A small float64 run; keyword ``training`` and other mappings replace the defaults below."""
    training = {"epochs": 2, "batch_size": 32, "precision": "float64"} | changes.pop("training", {})
    return RunSpec.model_validate({"dataset": DIGITS, "model": MLP, "training": training} | changes)


def records(*specs: RunSpec) -> list[RunRecord]:
    events = list(run_cohort(Cohort(specs), CPU))
    failures = [event.traceback for event in events if isinstance(event, Failed)]
    assert not failures, failures[0]
    return [event.record for event in events if isinstance(event, Finished)]


def numbers(record: RunRecord) -> dict[str, Any]:
    """All that a run reports, but for what the clock and the machine decide."""
    curves = [{key: value for key, value in row.items() if key != "seconds"} for row in record.curves]
    final = {key: value for key, value in record.final.items() if key != "seconds"}
    return {"outcome": record.outcome, "final": final, "curves": curves, "health": record.health}


def every_activation() -> Iterator[RunSpec]:
    """Return a run for each elementwise activation, which may all train in one cohort."""
    for name in ELEMENTWISE:
        options = {"formula": "x * sigmoid(1.702 * x)"} if name == "expression" else {}
        yield spec(activation={"name": name, **options})
    yield spec(activation={"name": "prelu", "per": "unit"})
    yield spec(activation={"name": "swish", "learned": True})
