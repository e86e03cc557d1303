"""``compare --format json`` against its schema: every key, every type, no key more."""

import json
from typing import Literal

import pytest
from factories import ELU, RELU, cells, grid, record, smooth
from pydantic import BaseModel, ConfigDict

from actbench.analysis.compare import compare
from actbench.storage.reading import Records

Value = str | int | float | bool | None


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class Metric(Strict):
    mean: float | None
    low: float | None
    high: float | None
    sd: float | None
    min: float | None
    max: float | None
    n: int


class Contrast(Strict):
    difference: float | None
    low: float | None
    high: float | None
    p: float | None
    p_adjusted: float | None
    n_pairs: int
    wins: int
    pairing_gain: float | None
    significant: bool


class Outcomes(Strict):
    ok: int
    collapsed: int
    diverged: int
    failed: int


class Row(Strict):
    factors: dict[str, Value]
    runs: int
    outcomes: Outcomes
    metrics: dict[str, Metric]
    vs_baseline: dict[str, Contrast]
    tied_with_best: bool | None
    failure_rate: list[float] | None


class Effect(Strict):
    at: dict[str, Value]
    from_: dict[str, Value]
    difference: float
    low: float | None
    high: float | None
    n_pairs: int

    model_config = ConfigDict(extra="forbid", strict=True, alias_generator=lambda name: name.rstrip("_"))


class Interaction(Strict):
    metric: str
    factors: list[str]
    p: float
    largest: Effect


class Expectation(Strict):
    text: str
    verdict: Literal["supported", "contradicted", "undecided"]
    interval: list[float] | None
    n: int
    note: str


class Tuned(Strict):
    factors: list[str]
    by: str
    picked: list[dict[str, Value]]


class Comparison(Strict):
    study: str
    context: dict[str, str]
    factors: list[str]
    baseline: dict[str, Value] | None
    rows: list[Row]
    interaction: Interaction | None
    verdicts: list[str]
    expectations: list[Expectation]
    tuned: Tuned | None = None


class Document(Strict):
    schema_: Literal[1]
    comparisons: list[Comparison]
    warnings: list[str]

    model_config = ConfigDict(extra="forbid", strict=True, alias_generator=lambda name: name.rstrip("_"))


def rough(activation, bias, seed):
    return smooth(activation, bias, seed) + 0.001 * ((7 * seed + 3 * (activation == "elu") + 5 * (bias > 0)) % 4)


STUDIES = {
    "a full grid": grid(rough, seeds=range(9)),
    "one run": [record(0.9)],
    "two seeds": grid(rough, seeds=range(2)),
    "all failed": [record(None, outcome="failed", activation=a, seed=s) for a in ("relu", "elu") for s in range(3)],
    "one seed missing": grid(rough, seeds=range(5))[1:],
    "constant": cells({"relu": [0.9] * 9, "elu": [0.95] * 9}),
    "two studies": [*cells({"relu": RELU}), *cells({"relu": RELU, "elu": ELU}, study="other")],
    "mixed outcomes": [*grid(rough, seeds=range(4)), record(None, outcome="diverged", seed=9)],
    "many cells": [record(0.9 + 1e-4 * s * b, bias_init=b / 100, seed=s) for b in range(100) for s in range(3)],
}


@pytest.mark.parametrize("records", STUDIES.values(), ids=STUDIES)
@pytest.mark.parametrize("metric", ["test.accuracy", "health.dead_fraction"])
def test_the_json_keeps_its_schema(records, metric):
    expect = ["test.accuracy: activation=elu > activation=relu", "health.dead_fraction < 0.5"]
    found = compare(Records(tuple(records), (), {"demo": {"expect": expect}}), metric=metric).to_dict()
    text = json.dumps(found, allow_nan=False)
    assert json.loads(text) == found
    Document.model_validate(found)


def test_the_full_grid_has_all_parts():
    (found,) = compare(STUDIES["a full grid"]).to_dict()["comparisons"]
    assert found["interaction"]
    assert found["verdicts"]
