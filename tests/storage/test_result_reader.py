"""Results that are read in parts give the records, and the refusals, of results that are read as a whole."""

from __future__ import annotations

import json
import pickle

import pytest
from factories import cells, record, save

from actbench import read_results
from actbench.schema.record import RunRecord
from actbench.schema.spec import RunSpec
from actbench.storage.result_reader import ResultReader
from actbench.system.files import json_text, parse_json

HEALTH = {"units": 3, "probe_size": 5, "layers": [{"name": "hidden.0", "units": 3, "dead": 1}], "diagnosis": []}


def text(**changes):
    one = RunRecord(RunSpec(activation="elu", seed=3), "ok", final={"test.accuracy": 0.5}, health=HEALTH)
    return json_text({**one.to_json(), **changes}, indent=2)


def outcome_of(read):
    try:
        return read()
    except ValueError as error:
        return type(error), str(error)


def whole(content):
    found = parse_json(content)
    if not isinstance(found, dict):
        raise ValueError("result.json holds no mapping")
    return RunRecord.from_json(found)


ENDS = [
    text(),
    text() + "\n",
    text(outcome="diverged", message="a\nb"),
    text(message='  "spec": {}, \n  "final": 3'),
    json.dumps(json.loads(text())),
    json.dumps(json.loads(text()), indent=4),
    text().replace("\n", "\r\n"),
    text(schema=2),
    text(outcome="perfect"),
    text(final={"test.accuracy": "high"}),
    text(health={**HEALTH, "layers": [{"name": "hidden.0", "dead": "all"}]}),
    text(spec={**RunSpec().to_json(), "seed": -1}),
    text(spec={**RunSpec().to_json(), "unknown": 1}),
    text(spec={**RunSpec().to_json(), "seed": 10**30}),
    text().replace('"seed": 3\n', '"seed": 03\n'),
    text().replace('"seed": 3\n', '"seed": 3.0\n'),
    text().replace('"seed": 3\n', '"seed": true\n'),
    text().replace('"final": {', '"final": {}, "final": {'),
    text().replace('  "timing": {}', '  "timing": {},\n  "outcome": "collapsed"'),
    text().replace('  "timing": {}', '  "timing": {}\n  "timing": {}'),
    text().replace('  "timing": {}', '  "timing": {},,\n  "timing": {}'),
    text().replace('"units": 3', '"units": NaN'),
    text().replace('"units": 3', '"units": 3,'),
    text().replace("0.5", "1e999"),
    "\ufeff" + text(),
    "",
    "{",
    "{\n}",
    "[]",
    text() + "}",
    *(text()[:length] for length in range(1, len(text()), 97)),
]


@pytest.mark.parametrize("number", range(len(ENDS)))
def test_in_parts_a_result_is_read_as_in_one(number):
    content, reader = ENDS[number].encode(), ResultReader()
    reader.record(text().encode(), "result.json")  # it knows the parts of a sound one
    expected = outcome_of(lambda: whole(content))
    assert outcome_of(lambda: reader.record(content, "result.json")) == expected
    assert outcome_of(lambda: reader.record(content, "result.json")) == expected


@pytest.mark.parametrize("zeroed", [slice(0, 1), slice(100, 101), slice(-40, -1), slice(-1, None)])
def test_a_result_with_bytes_that_are_no_text_is_refused_as_a_whole_is(zeroed):
    content = bytearray(text().encode())
    content[zeroed] = b"\xff" * len(content[zeroed])
    expected = outcome_of(lambda: whole(bytes(content)))
    assert expected[0] is not RunRecord
    assert outcome_of(lambda: ResultReader().record(bytes(content), "result.json")) == expected


def test_runs_of_one_cell_have_each_their_own_seed_and_digest(tmp_path):
    save(tmp_path, [record(seed=seed) for seed in range(3)])
    found = read_results(tmp_path)
    assert [one.spec for one in found] == [RunSpec(seed=seed) for seed in range(3)]
    assert [one.spec.digest for one in found] == [RunSpec(seed=seed).digest for seed in range(3)]
    assert found[0].spec.non_default_settings is found[2].spec.non_default_settings


def test_health_that_is_kept_packed_equals_what_is_stored(tmp_path):
    save(tmp_path, cells({"relu": [0.9]}))
    (path,) = tmp_path.glob("*/runs/*/result.json")
    stored = json.loads(path.read_text("utf-8"))
    stored["health"] = HEALTH
    path.write_text(json.dumps(stored), encoding="utf-8")
    (found,) = read_results(tmp_path)
    assert found.health == HEALTH
    assert (found.health["units"], len(found.health), list(found.health)) == (3, len(HEALTH), list(HEALTH))
    assert pickle.loads(pickle.dumps(found)) == found
    assert found.health == read_results(tmp_path, curves=True)[0].health
