"""``compare --format json`` against its schema: every key, every type, no key more."""

import json

import pytest
from factories import ELU, RELU, cells, grid, record, smooth
from json_document import Document

from actbench.analysis.compare import compare
from actbench.storage.reading import Records


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
