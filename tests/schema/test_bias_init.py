"""``bias_init`` is decoded in one place, and its written form stays what it has always been."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from factories import record

from actbench.analysis.table.factors import flat_spec
from actbench.config import Study
from actbench.errors import ConfigError
from actbench.schema.bias_init import BiasInit
from actbench.schema.spec import RunSpec
from actbench.storage.reading import read_results

WRITTEN = [
    (0, 0.0, BiasInit("constant", 0.0), "relu-bias-0.0-seed-0-cb0c2df4"),
    (0.01, 0.01, BiasInit("constant", 0.01), "relu-bias-0.01-seed-0-d87fefae"),
    (-1e-7, -1e-7, BiasInit("constant", -1e-7), "relu-bias-1e-07-seed-0-d026a168"),
    ("pytorch", "pytorch", BiasInit("pytorch"), "relu-bias-pytorch-seed-0-2842c7e3"),
    (None, None, BiasInit("none"), "relu-bias-none-seed-0-8a0cca7a"),
]


@pytest.mark.parametrize(("written", "kept", "decoded", "run_id"), WRITTEN)
def test_specs_records_tables_and_folders_keep_the_written_form(
    written: Any, kept: Any, decoded: BiasInit, run_id: str
) -> None:
    spec = RunSpec.model_validate({"bias_init": written})

    assert spec.bias_init == decoded
    assert json.dumps(spec.to_json()["bias_init"]) == json.dumps(kept)
    assert json.dumps(flat_spec(spec)["bias_init"]) == json.dumps(kept)
    assert RunSpec.model_validate(json.loads(json.dumps(spec.to_json()))) == spec
    assert spec.run_id == run_id


@pytest.mark.parametrize(("written", "text"), [(0.01, "0.01"), ("pytorch", "pytorch"), (None, "null")])
def test_a_study_writes_it_as_a_config_spells_it(written: Any, text: str) -> None:
    study = Study(study="s", bias_init=written, sweep={"bias_init": [written, 5.0]})

    assert f"bias_init: {text}\n" in study.text
    assert f"- {text}\n" in study.text
    assert Study(study="s", bias_init=study.bias_init, sweep={"bias_init": [study.bias_init, 5.0]}).text == study.text


@pytest.mark.parametrize(("written", "message"), [(1e39, "beyond"), (-(10**50), "beyond"), (1e-320, "lost in")])
def test_a_number_that_float32_can_not_hold_is_refused(written: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=f"^'bias_init': .* {message}"):
        BiasInit.parse(written)


@pytest.mark.parametrize("written", [True, "none", "0.1", [0.1], {}, float("nan"), float("inf"), 10**400])
def test_anything_else_is_refused(written: Any) -> None:
    with pytest.raises(ConfigError, match=r"^'bias_init' should be a number, 'pytorch' or null, not "):
        BiasInit.parse(written)
    with pytest.raises(ValueError, match="'bias_init' should be a number, 'pytorch' or null, not "):
        RunSpec.model_validate({"bias_init": written})


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        ("NaN", "NaN is not a JSON number"),
        ("Infinity", "Infinity is not a JSON number"),
        ("true", "bias_init: 'bias_init' should be a number, 'pytorch' or null, not true"),
        ("1e39", "bias_init: 'bias_init': 1e+39 is beyond float32: at most 3.4e+38"),
    ],
)
def test_a_stored_one_that_is_refused_is_reported_in_one_plain_sentence(
    written: str, reason: str, tmp_path: Path
) -> None:
    run = tmp_path / "s" / "runs" / "r"
    run.mkdir(parents=True)
    (run / "spec.json").write_text(f'{{"bias_init": {written}}}')
    (run / "error.txt").write_text("it failed")

    (warning,) = read_results(tmp_path).warnings

    assert warning == f"s/runs/r: skipped, {reason}"


@pytest.mark.parametrize(("written", "kept", "decoded", "run_id"), WRITTEN)
def test_one_equals_its_written_form_in_every_order_and_hashes_alike(
    written: Any, kept: Any, decoded: BiasInit, run_id: str
) -> None:
    del run_id
    for form in (written, kept, BiasInit.parse(written)):
        assert decoded == form
        assert form == decoded
        assert hash(decoded) == hash(form)
        assert len({decoded, form}) == 1
        assert {form: "found"}[decoded] == {decoded: "found"}[form] == "found"


def test_one_differs_from_every_other_written_form_and_from_truth_values() -> None:
    forms = [0, 0.01, -1e-7, 1, "pytorch", None]
    for form in forms:
        others = [other for other in forms if other is not form]
        assert all(BiasInit.parse(form) != other for other in (*others, *map(BiasInit.parse, others)))
        assert all(BiasInit.parse(form) != other for other in (False, True, "none", "0.01", [form], object()))


def test_records_are_filtered_and_grouped_by_the_written_form() -> None:
    records = [record(bias_init=form) for form in (0.0, 0.1, "pytorch", None, 0)]

    assert [one for one in records if one.spec.bias_init == 0.0] == [records[0], records[4]]
    assert [one for one in records if one.spec.bias_init in ("pytorch", None)] == records[2:4]
    assert {one.spec.bias_init for one in records} == {0.0, 0.1, "pytorch", None}


def test_a_copy_of_a_spec_takes_the_written_form_and_has_a_digest_of_its_own() -> None:
    spec = RunSpec()
    assert spec.run_id  # cached from here on

    for deep in (False, True):
        for form in (0.1, "pytorch", None):
            copy = spec.model_copy(update={"bias_init": form}, deep=deep)
            assert copy == RunSpec.model_validate({"bias_init": form})
            assert copy.run_id == RunSpec.model_validate({"bias_init": form}).run_id
    with pytest.raises(ValueError, match="bias"):
        spec.model_copy(update={"bias": 0.1})


def test_runs_of_every_bias_init_may_train_together() -> None:
    assert len({RunSpec.model_validate({"bias_init": one[0]}).cohort_key for one in WRITTEN}) == 1
