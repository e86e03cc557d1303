"""``compare`` as a user calls it."""

import json
import shutil

import pytest
from factories import cells, record, save
from reading_commands import RECORDS, app, call, command, python
from typer.testing import CliRunner

from actbench.cli.output import listed, pairs
from actbench.errors import ResultsError, UnknownNameError, UsageError
from actbench.schema import registry


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return save(tmp_path_factory.mktemp("results"), RECORDS)


def test_compare_prints_a_table(results):
    text = call("compare", results)
    assert "demo · mnist-5k · mlp" in text
    assert "1 of 1 failed" in text


def test_compare_takes_its_options_in_the_documented_spellings(results):
    found = json.loads(
        call("compare", "--json", results, "--by", "activation", "--metric", "test.loss,test.accuracy",
             "--where", "bias_init=0,activation=relu", "--baseline", "activation=relu", "--alpha", "0.01")
    )  # fmt: skip
    (only,) = found["comparisons"][0]["rows"]
    assert only["factors"] == {"activation": "relu"}
    assert list(only["metrics"])[:2] == ["test.loss", "test.accuracy"]


def test_a_component_can_be_the_baseline_by_label_or_by_mapping(results):
    for spelled in ("activation=elu(alpha=0.2),bias_init=1e-2", "activation={name: elu, alpha: 0.2},bias_init=0.01"):
        found = json.loads(call("compare", results, "--json", "--baseline", spelled))["comparisons"][0]
        assert found["baseline"] == {"activation": "elu(alpha=0.2)", "bias_init": 0.01}


@pytest.mark.parametrize("form", registry.names("reports"))
def test_a_file_gets_what_standard_output_would(results, tmp_path, form):
    target = tmp_path / "found.txt"
    assert call("compare", results, "-f", form, "-o", target) == ""
    assert target.read_text() == call("compare", results, "--format", form)


def test_the_warnings_of_a_csv_go_to_standard_error(results):
    found = CliRunner().invoke(app, ["compare", str(results), "-f", "csv"])
    assert "warning: " in found.stderr
    assert "warning: " not in found.stdout


@pytest.mark.parametrize(
    ("arguments", "kind", "text"),
    [
        (["nowhere"], ResultsError, "no results at nowhere: it does not exist"),
        (["-f", "tabel"], UnknownNameError, "did you mean 'table'"),
        (["--metric", "acuracy"], UnknownNameError, "unknown metric 'acuracy'"),
        (["--baseline", "rleu"], UsageError, "--baseline: 'rleu' is a value of no factor; there are: activation"),
        (["--where", "activation=[1"], UsageError, "--where: the value of 'activation'"),
        (["--where", "bias_init=0,bias_init=0.01"], UsageError, "--where: 'bias_init' is given twice"),
        (["--baseline", "bias_init=0", "--baseline", "bias_init=0"], UsageError, "--baseline: 'bias_init' is given tw"),
        (["--by", "activation,activation"], UsageError, "factor 'activation' is given twice"),
        (["--delta", "0.2"], UsageError, "--delta: test.accuracy is a fraction, so a difference in it needs its unit"),
        (["--delta", "much"], UsageError, "--delta: 'much' is not an amount of test.accuracy: write 0.5pp"),
        (["--reach", "90"], UsageError, "--reach: val.accuracy is a fraction, from 0 to 1: write 90%, or 0.9"),
        (["--fail-if", "test.accuracy drop > 0.5"], UsageError, "write 0.5pp (or 50pp), not 0.5"),
        (["-o", "no/such/folder/x.md"], ResultsError, "can't write no/such/folder/x.md"),
    ],
)
def test_a_mistake_is_told_with_its_remedy(results, arguments, kind, text):
    with pytest.raises(kind) as error:
        call("compare", *([] if "nowhere" in arguments else [results]), *arguments)
    assert text in str(error.value)
    assert error.value.exit_code == 2


GATES = [
    (["test.accuracy drop > 0.5pp"], 0, ""),
    (["test.accuracy rise > 0.4pp"], 1, "actbench: --fail-if 'test.accuracy rise > 0.4pp' tripped: elu: test.accuracy"),
    (["test.accuracy rise > 1pp"], 0, "warning: --fail-if 'test.accuracy rise > 1pp': not decided: elu: "),
    (["failed > 0"], 0, ""),
    (["ok < 4"], 1, "actbench: --fail-if 'ok < 4' tripped: "),
    (["test.accuracy drop > 5pp", "expect"], 1, "actbench: --fail-if 'expect' tripped: contradicted: test.accuracy >"),
]


@pytest.fixture(scope="module")
def expecting(tmp_path_factory):
    text = "expect: ['test.accuracy > 0.99', 'test.acuracy > 1']"
    return save(tmp_path_factory.mktemp("expecting"), RECORDS[:6], text=text)


@pytest.mark.parametrize(("gates", "code", "told"), GATES)
def test_a_gate_that_trips_ends_with_one_and_a_line_that_says_why(expecting, gates, code, told):
    options = [word for gate in gates for word in ("--fail-if", gate)]
    found = CliRunner().invoke(app, ["compare", str(expecting), *options])
    assert found.exit_code == code
    assert found.stderr.startswith(told)
    assert found.stderr.count("\n") == bool(told)
    assert "demo · mnist-5k · mlp" in found.stdout


def test_gates_can_come_from_the_environment(expecting, monkeypatch):
    monkeypatch.setenv("ACTBENCH_COMPARE_FAIL_IF", "test.accuracy drop > 5pp; test.accuracy < 95%")
    found = CliRunner().invoke(app, ["compare", str(expecting)])
    assert found.exit_code == 1
    assert "--fail-if 'test.accuracy < 95%' tripped: relu: test.accuracy 91.00 [88.52, 93.48] (3 seeds)" in found.stderr


def test_results_can_be_held_against_earlier_ones(results, tmp_path):
    save(tmp_path, cells({"relu": [0.80, 0.81, 0.82], "elu": [0.912, 0.918, 0.933]}))
    found = CliRunner().invoke(
        app, ["compare", str(tmp_path), "--against", str(results), "--fail-if", "test.accuracy drop > 5pp"]
    )
    assert found.exit_code == 1
    told = "tripped: relu (bias_init=0, results=new): test.accuracy drop +10.00 [+10.00, +10.00] points (3 seeds)"
    assert told in found.stderr
    caption = "Δ = row − baseline (results=base with equal activation, bias_init), paired by seed"
    assert caption in " ".join(found.stdout.split())
    assert "identical" in found.stdout


def test_two_folders_with_the_same_runs_are_the_base_and_the_new_results(results, tmp_path):
    save(tmp_path, cells({"relu": [0.80, 0.81, 0.82], "elu": [0.912, 0.918, 0.933]}))
    assert call("compare", results, tmp_path) == call("compare", tmp_path, "--against", results)


def test_two_studies_of_different_names_with_the_same_runs_are_base_and_new(tmp_path):
    runs = {"relu": [0.90, 0.91, 0.92], "elu": [0.912, 0.918, 0.933]}
    save(tmp_path, cells(runs, study="before"), text="study: before\n")
    save(tmp_path, cells(runs, study="after"), text="study: after\n")
    save(tmp_path, cells({**runs, "selu": [0.8, 0.81, 0.83]}, study="wider"), text="study: wider\n")
    paths = {name: tmp_path / name for name in ("before", "after", "wider")}
    (found,) = json.loads(call("compare", "--json", paths["before"], paths["after"]))["comparisons"]
    assert (found["study"], found["baseline"]) == ("after", {"results": "base"})
    # Studies that share some runs are two tables.
    both = json.loads(call("compare", "--json", paths["before"], paths["wider"]))["comparisons"]
    assert [one["study"] for one in both] == ["before", "wider"]


def test_folders_with_different_runs_are_pooled(results):
    first, second = sorted((results / "demo/runs").glob("relu*"))[:2]
    (pooled,) = json.loads(call("compare", first, second, "--json"))["comparisons"]
    assert [row["runs"] for row in pooled["rows"]] == [2]


def test_a_gate_that_can_not_be_read_ends_with_two(expecting):
    with pytest.raises(UsageError, match="not a gate; write"):
        call("compare", expecting, "--fail-if", "faster")


def test_expectations_are_shown_and_a_broken_one_is_told(expecting):
    text = " ".join(call("compare", expecting).split())
    assert "· ✗ contradicted: test.accuracy > 0.99 ([88.52, 93.48], 3 seeds, p = .01, of 2 cells relu decides)" in text
    assert "demo/study.yaml: an expectation is ignored, unknown metric or outcome 'test.acuracy'" in text
    (found,) = json.loads(call("compare", expecting, "--json"))["comparisons"][0]["expectations"]
    assert (found["text"], found["verdict"], found["n"]) == ("test.accuracy > 0.99", "contradicted", 3)


def test_the_reader_chooses_how_many_verdicts_there_are(tmp_path):
    save(tmp_path, [record(0.9 + b / 10 + s / 1e4, bias_init=b / 100, seed=s) for b in range(12) for s in range(3)])
    counts = {number: call("compare", tmp_path, "--verdicts", number).count(" relu (bias_init=0)") for number in (0, 3)}
    assert counts == {0: 0, 3: 3}
    assert "… and 6 more (--verdicts all)" in call("compare", tmp_path)
    assert "… and" not in call("compare", tmp_path, "--verdicts", "all")
    assert len(json.loads(call("compare", tmp_path, "--json"))["comparisons"][0]["verdicts"]) == 11
    with pytest.raises(UsageError, match="--verdicts: expected a number or 'all', not 'few'"):
        call("compare", tmp_path, "--verdicts", "few")


def test_lists_and_pairs_are_split_at_commas_outside_brackets():
    assert listed(["a, b", "c"]) == ["a", "b", "c"]
    assert pairs("--where", ["activation=max(x, 0),bias_init=null"]) == {"activation": "max(x, 0)", "bias_init": None}
    assert pairs("--where", None) == {}


@pytest.mark.slow
def test_a_copied_folder_gives_the_same_bytes_in_any_terminal(results, tmp_path):
    shutil.copytree(results, tmp_path / "copy")
    here = command("compare", results, "--json", COLUMNS="40", LC_ALL="C", PYTHONIOENCODING="ascii")
    there = command("compare", tmp_path / "copy", "--json", COLUMNS="200", FORCE_COLOR="1", PYTHONHASHSEED="1")
    assert here == there


def test_the_real_command_ends_with_two_and_one_line_when_the_user_can_mend_it():
    found = python("-m", "actbench", "compare", "nowhere")
    assert (found.returncode, found.stdout) == (2, "")
    assert found.stderr == "actbench: no results at nowhere: it does not exist\n"
