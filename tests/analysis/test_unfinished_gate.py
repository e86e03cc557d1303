"""``--fail-if 'unfinished > 0'``: runs that were planned or begun and have not ended."""

from dataclasses import replace

import pytest
from factories import record, save

from actbench.analysis.compare import compare
from actbench.config import Study
from actbench.config.hypotheses import parse_expectation
from actbench.errors import UsageError
from actbench.schema.record import RunRecord
from actbench.storage.reading import read_results
from actbench.storage.store import Store

CONFIG = "study: demo\nseeds: 3\nsweep: {activation: [relu, elu], bias_init: [0.0, 0.01]}\n"
SPECS = Study.from_text(CONFIG).specs()


def ended(spec, outcome="ok"):
    accuracy = None if outcome in ("failed", "diverged") else 0.9 + 0.01 * spec.seed
    return replace(record(accuracy, outcome=outcome, study="demo"), spec=spec)


def save_all_but(root, missing, outcome="ok"):
    """Store the study's runs, but for those of which ``missing`` is true."""
    return save(root, [ended(spec, outcome) for spec in SPECS if not missing(spec)], text=CONFIG)


def gate(root, text="unfinished > 0", **options):
    (found,) = compare(read_results(root), fail_if=[text], **options).gates
    return found.tripped_reason


def is_elu(spec):
    return spec.activation.name == "elu"


@pytest.mark.parametrize("outcome", ["ok", "collapsed", "diverged", "failed"])
def test_a_study_whose_runs_have_all_ended_passes_however_they_ended(outcome, tmp_path):
    assert gate(save_all_but(tmp_path, lambda spec: False, outcome)) == ""


def test_a_run_that_was_never_begun_trips_and_its_row_is_named(tmp_path):
    save_all_but(tmp_path, lambda spec: is_elu(spec) and spec.bias_init.value == 0.01 and spec.seed == 2)
    assert gate(tmp_path) == "elu (bias_init=0.01): 1 of 3 runs unfinished"
    assert gate(tmp_path, "unfinished > 1") == gate(tmp_path, "unfinished > 34%") == ""
    assert gate(tmp_path, "unfinished > 33%") != ""


def test_a_row_without_any_run_that_has_ended_counts(tmp_path):
    save_all_but(tmp_path, lambda spec: is_elu(spec) and spec.bias_init.value == 0.01)
    assert gate(tmp_path, "unfinished >= 100%") == "elu (bias_init=0.01): 3 of 3 runs unfinished"


def test_a_run_that_was_begun_by_other_overrides_counts(tmp_path):
    save_all_but(tmp_path, lambda spec: False)
    other = SPECS[0].model_copy(update={"seed": 7})
    Store(tmp_path, "demo").begin(other)
    assert gate(tmp_path) == "relu (bias_init=0): 1 of 4 runs unfinished"


def test_where_and_hidden_rows_narrow_the_gate(tmp_path):
    save_all_but(tmp_path, lambda spec: is_elu(spec) and spec.seed > 0)
    assert gate(tmp_path, "unfinished > 0 where activation=relu") == ""
    assert gate(tmp_path, where={"activation": "relu"}) == ""
    assert gate(tmp_path, "unfinished > 1 where bias_init=0") == "elu (bias_init=0): 2 of 3 runs unfinished"
    assert gate(tmp_path, by=["activation"]) == "elu: 4 of 6 runs unfinished"


def test_of_two_sides_the_new_one_is_counted(tmp_path):
    for side, missing in (("base", lambda spec: is_elu(spec)), ("new", lambda spec: spec.seed == 1)):
        save_all_but(tmp_path / side, missing)
    (found,) = compare(
        read_results(tmp_path / "new"), fail_if=["unfinished > 0"], against=read_results(tmp_path / "base")
    ).gates
    assert found.tripped_reason.endswith(": 1 of 3 runs unfinished, and 3 more")


def test_what_nobody_knows_to_be_planned_is_an_error_and_no_pass(tmp_path):
    save_all_but(tmp_path, lambda spec: False)
    (tmp_path / "demo/study.yaml").unlink()
    with pytest.raises(UsageError, match=r"--fail-if 'unfinished > 0': what was planned for 'demo' is not known"):
        gate(tmp_path)
    with pytest.raises(UsageError, match="its runs do not lie in one folder"):
        compare([RunRecord(SPECS[0], "ok", study="demo")], fail_if=["unfinished > 0"])


def test_an_expectation_can_t_be_about_unfinished_runs():
    with pytest.raises(UsageError, match="runs that have not ended show nothing yet: --fail-if counts them"):
        parse_expectation("unfinished < 1")
