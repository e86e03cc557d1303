"""``bias_init`` is decoded in one place, and its written form stays what it has always been."""

from __future__ import annotations

import json
from typing import Any

import pytest

from actbench.analysis.table.factors import flat_spec
from actbench.config import Study
from actbench.schema.bias_init import BiasInit
from actbench.schema.spec import RunSpec

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


@pytest.mark.parametrize("written", [True, "none", "0.1", [0.1], {}, float("nan"), float("inf")])
def test_anything_else_is_refused(written: Any) -> None:
    with pytest.raises(ValueError, match="'bias_init' should be a number, 'pytorch' or null, not "):
        BiasInit.parse(written)
    with pytest.raises(ValueError, match="'bias_init' should be a number, 'pytorch' or null, not "):
        RunSpec.model_validate({"bias_init": written})


def test_runs_of_every_bias_init_may_train_together() -> None:
    assert len({RunSpec.model_validate({"bias_init": one[0]}).cohort_key for one in WRITTEN}) == 1
